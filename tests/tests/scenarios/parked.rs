//! The parked backlog: what a broken sink does not take is kept in a store, through crashes, restarts and damage, and
//! delivered in order when the sink is back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_proto::routes::v1::{EndpointHealth, GetBacklogRequest, SkipBacklogSegmentRequest};
use twinroute_tests::{
    services::{Program, Service},
    soak,
    stack::{SOURCE, routes},
    wait,
};

use crate::{
    backlog_store::segments,
    judgement::account,
    load::{Load, load},
    scene::DEADLINE,
    unsettled::Unsettled,
};

/// Twins of each scenario, and how often each is updated while a sink is away.
const TWINS: i32 = 1_000;
const ROUNDS: i32 = 5;
const CHANGES: usize = 7_000;

/// The same for a sink that is away for long: in the long form more than all buffers hold.
fn long_rounds() -> i32 {
    if soak::is_on() { 150 } else { ROUNDS }
}

/// How long a backlog of this size may take to drain.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn what_a_killed_worker_has_parked_is_delivered_by_the_next_holder() -> Result<()> {
    load(async |load| {
        // Given a broker that is down, and its events parked
        let twins = "parked-killed";
        park_mqtt(load, twins).await?;
        // When both workers are killed, and others take their place
        for worker in &mut load.stack.workers {
            worker.kill().await?;
        }
        load.stack.workers.clear();
        load.stack.add_worker()?;
        load.stack.add_worker()?;
        // Then they find what is parked
        load.until_endpoint("mqtt", DEADLINE, |state| state.backlog_events >= 5_000).await?;
        // And when the broker is back, all arrives, in order
        load.stack.servers.mosquitto.start_again().await?;
        load.settles_after(twins, "killed workers had not acknowledged what they had delivered").await?;
        let drained = load.until_endpoint("mqtt", DEADLINE, |state| state.backlog_bytes == 0).await?;
        assert_eq!(drained.backlog_events, 0);
        Ok(())
    })
}

#[test]
fn workers_that_are_restarted_during_an_outage_repeat_nothing() -> Result<()> {
    load(async |load| {
        // Given a broker that is down, and its events parked
        let twins = "parked-restarted";
        park_mqtt(load, twins).await?;
        // When one worker after the other is stopped and another one started
        for _ in 0..2 {
            load.stack.add_worker()?;
            load.stack.workers.last_mut().context("a worker")?.until_ready().await?;
            load.stack.workers.remove(0).terminate().await?;
        }
        // And the broker is back
        load.stack.servers.mosquitto.start_again().await?;
        // Then all arrives, once
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        Ok(())
    })
}

#[test]
fn a_kafka_that_accepts_and_never_answers_holds_up_nobody() -> Result<()> {
    load(async |load| {
        // Given a broker that stands still
        let twins = "parked-silent";
        load.create(twins, TWINS).await?;
        load.settles(twins).await?;
        let unsettled = Unsettled::watch(&load.stack.capture).await?;
        load.stack.servers.kafka.process().pause()?;
        // When twins are updated
        load.update(twins, TWINS, long_rounds()).await?.end().await?;
        let written = load.stack.servers.postgres.wal_end().await?;
        // Then the slot follows, the endpoint is down, and no event of the others has waited long
        load.until_endpoint("kafka", DEADLINE, |state| state.health() == EndpointHealth::Down).await?;
        load.until_confirmed(written).await?;
        let seen = unsettled.end().await?;
        load.steps.done(&format!("while the broker hung: {seen:?}"));
        // And when the broker goes on, all arrives, in order
        load.stack.servers.kafka.process().resume()?;
        load.settles_after(twins, "what had no answer when its events were parked").await?;
        Ok(())
    })
}

#[test]
fn while_the_blobs_of_kusto_are_away_the_others_go_on() -> Result<()> {
    load(async |load| {
        // Given blob storage that is stopped
        let twins = "parked-blobs";
        load.create(twins, TWINS).await?;
        load.settles(twins).await?;
        load.stack.servers.azurite.stop().await?;
        // When twins are updated
        load.update(twins, TWINS, long_rounds()).await?.end().await?;
        let written = load.stack.servers.postgres.wal_end().await?;
        // Then Kafka has it all, and the slot follows
        load.until_arrived(twins, usize::try_from(TWINS + long_rounds() * TWINS)?).await?;
        load.until_confirmed(written).await?;
        // And when it is back, all arrives, in order
        load.stack.servers.azurite.start_again().await?;
        load.settles_after(twins, "blobs whose upload had no answer").await?;
        Ok(())
    })
}

#[test]
fn a_damaged_segment_stops_its_partition_and_is_named() -> Result<()> {
    load(async |load| {
        // Given parked events, of which one segment is damaged
        let twins = "parked-damaged";
        park_mqtt(load, twins).await?;
        let segment = segments(&load.backlog(), "mqtt")?.pop_last().context("no segment")?;
        let content = std::fs::read(&segment)?;
        std::fs::write(&segment, content.get(..content.len() / 2).context("nothing in it")?)?;
        // When the broker is back
        load.stack.servers.mosquitto.start_again().await?;
        // Then the endpoint names the object
        let name = segment.file_name().context("a name")?.to_string_lossy().into_owned();
        load.until_endpoint("mqtt", DEADLINE, |state| {
            state.health() == EndpointHealth::Down && state.last_error.contains(&name)
        })
        .await?;
        // And when it is mended, and looked at anew, nothing is lost
        std::fs::write(&segment, content)?;
        for worker in &mut load.stack.workers {
            worker.kill().await?;
            worker.start_again()?;
            worker.until_ready().await?;
        }
        load.settles_after(twins, "killed workers had not noted what they had delivered").await?;
        Ok(())
    })
}

#[test]
fn a_damaged_segment_is_skipped_by_a_call_and_the_rest_arrives() -> Result<()> {
    load(async |load| {
        // Given parked events, of which one segment is damaged, and a broker that is back
        let twins = "parked-skipped";
        park_mqtt(load, twins).await?;
        let segment = segments(&load.backlog(), "mqtt")?.pop_last().context("no segment")?;
        std::fs::write(&segment, "torn")?;
        let begun = Instant::now();
        load.stack.servers.mosquitto.start_again().await?;
        let mut client = routes::client(&load.stack).await?;
        // Then GetBacklog names it, with the events that are at stake
        let damaged = wait::until(DEADLINE, "the damaged segment", async || {
            let request = GetBacklogRequest { endpoint_name: "mqtt".to_owned() };
            let backlog = client.clone().get_backlog(request).await?.into_inner();
            backlog.damaged_segments.into_iter().next().context("none is told")
        })
        .await?;
        ensure!(segment.ends_with(&damaged.object_name) && damaged.events > 0, "{damaged:?}");
        // When it is skipped, then the backlog drains, and the object is kept as the record of the gap
        let (endpoint_name, object_name) = ("mqtt".to_owned(), damaged.object_name.clone());
        client.skip_backlog_segment(SkipBacklogSegmentRequest { endpoint_name, object_name }).await?;
        assert_eq!(std::fs::read_to_string(segment.with_extension("skipped"))?, "torn");
        ensure!(!segment.exists(), "it is there under both names");
        load.until_endpoint("mqtt", LONG, |state| {
            state.health() == EndpointHealth::Healthy && state.backlog_events == 0 && state.backlog_bytes == 0
        })
        .await?;
        // And no more is lost than was in it
        let verdict = wait::until(DEADLINE, "the last events", async || {
            let verdict = load.verdict_at_mqtt(twins).await?;
            let lost = verdict.lost.len();
            ensure!(u64::try_from(lost)? == damaged.events, "{lost} of {} are lost", damaged.events);
            Ok(verdict)
        })
        .await?;
        let told = account(&[verdict], "none explains any; lost is what was skipped", begun);
        load.steps.done(&format!("{twins}, at MQTT: {told}"));
        Ok(())
    })
}

#[test]
fn a_worker_with_another_store_is_refused_with_the_reason() -> Result<()> {
    load(async |load| {
        // When a worker is started with a store of its own
        let dir = load.stack.workers.first().context("a worker")?.directory().to_owned();
        let settings = json!({
            "worker": { "id": "with-another-store", "source": SOURCE },
            "capture": { "addresses": format!("http://{}", load.stack.capture.grpc()) },
            "routes_api": { "addresses": format!("http://{}", load.stack.routes_api.grpc()) },
            "backlog": { "url": format!("file://{}/another-backlog", dir.display()) },
        });
        let worker = Service::start(Program::Delivery, "with-another-store", settings, &dir)?;
        // Then it says why it is not ready, and the others go on
        let refused = |status, text: &str| status == 503 && text.contains("group_token");
        worker.until_page(DEADLINE, "/readyz", refused).await?;
        load.create("another-store", 100).await?;
        load.settles("another-store").await?;
        Ok(())
    })
}

/// Stops the broker, updates twins, and waits until what it lacks is parked and acknowledged.
async fn park_mqtt(load: &mut Load, twins: &str) -> Result<()> {
    load.create(twins, TWINS).await?;
    load.settles(twins).await?;
    load.stack.servers.mosquitto.stop().await?;
    // In two parts: the last segment of a partition is never its first, which a worker has in memory to try the broker with.
    for rounds in [ROUNDS, 1] {
        load.update(twins, TWINS, rounds).await?.end().await?;
        load.until_confirmed(load.stack.servers.postgres.wal_end().await?).await?;
    }
    load.until_arrived(twins, CHANGES).await
}
