//! Subscriptions that calls create: their filters, their ends, and that they harm nobody.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tonic::{Code, Status};
use twinroute_proto::{
    capture::v1::{
        Hello, ListSubscriptionsRequest, RetentionPolicy, Subscription, SubscriptionFilter,
        SubscriptionState, hello,
    },
    event::v1::EntityKind,
};
use twinroute_tests::{
    services::{Program, Service},
    wait,
};

use crate::{
    administration::{client, create, delete, entities, get, named, status_of},
    decision::{consumer, only_events_come},
    raw::{self, RawConsumer, Request, events},
    scene::DEADLINE,
    source::{Source, source},
};

/// Credit that no scenario uses up.
const PLENTY: (u64, u64) = (1_000_000, 1 << 40);

/// Waits until all that is written now is confirmed to a slot.
async fn until_confirmed(source: &Source, slot: &str) -> Result<()> {
    let end = source.postgres.wal_end().await?;
    wait::until(DEADLINE, "the slot to follow", async || {
        let confirmed = source.postgres.confirmed(slot).await?;
        ensure!(confirmed >= end, "confirmed is {confirmed:X}, the end was {end:X}");
        Ok(())
    })
    .await
}

/// Number of replication slots of this name.
async fn slots(source: &Source, slot: &str) -> Result<i64> {
    let client = source.postgres.connect("postgres").await?;
    let sql = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1";
    Ok(client.query_one(sql, &[&slot]).await?.try_get(0)?)
}

#[test]
fn a_created_subscription_gets_what_its_filter_selects_until_it_is_deleted() -> Result<()> {
    source("filtered", json!({ "subscriptions": { "poll_ms": 200 } }), async |source| {
        // Given a subscription to the twins of one label
        let filter = SubscriptionFilter {
            labels: vec!["Sensor".to_owned()],
            kinds: vec![EntityKind::Twin.into()],
            ..SubscriptionFilter::default()
        };
        let wanted = Subscription { filter: Some(filter.clone()), partition_count: 8, ..named("sensors") };
        let made = create(&source.capture, wanted).await??;
        assert_eq!((made.state(), made.slot.as_str()), (SubscriptionState::Streaming, "twinroute_sensors"));
        assert_eq!((made.partition_count, made.filter.as_ref()), (8, Some(&filter)));
        assert_eq!(made.retention_policy(), RetentionPolicy::Drop);
        assert!(made.wal_retained_bytes_max > 0);
        // When twins of two labels, a relationship and a truncation are committed
        let mut graph = source.graph().await?;
        source.create("other", 10).await?;
        let change = graph.change().await?;
        change.cypher("CREATE (:Sensor {`$dtId`: 'sensor-1', `$metadata`: {}})").await?;
        change
            .cypher(
                "MATCH (a:Sensor {`$dtId`: 'sensor-1'}) CREATE (a)-[:Sensor2 {`$relationshipId`: 'r',
                 `$sourceId`: 'sensor-1', `$targetId`: 'sensor-1', `$relationshipName`: 'Sensor2'}]->(a)",
            )
            .await?;
        change.commit().await?;
        graph.client().batch_execute(&format!("TRUNCATE \"{}\".\"Twin\"", graph.name())).await?;
        let change = graph.change().await?;
        change.cypher("CREATE (:Sensor {`$dtId`: 'sensor-2', `$metadata`: {}})").await?;
        change.commit().await?;
        // Then only the sensors come
        let mut sensors = consumer(&source.capture, "sensors").await?;
        assert_eq!(entities(&mut sensors, 2).await?, ["sensor-1", "sensor-2"]);
        sensors.is_quiet().await?;
        // When it is deleted
        delete(&source.capture, "sensors").await??;
        // Then its consumer is told, the slot and the row are gone, and a new consumer is not let in
        let ended = sensors.end().await?;
        assert_eq!(ended.code(), Code::NotFound, "{ended}");
        assert!(ended.message().contains("deleted"), "{ended}");
        assert_eq!(slots(source, "twinroute_sensors").await?, 0);
        let rows = graph.client().query("SELECT name FROM twinroute.subscription", &[]).await?;
        assert_eq!(rows.len(), 1);
        let mut late = source.connect().await?;
        late.send(raw::hello("sensors", "late")).await?;
        assert_eq!(late.end().await?.code(), Code::NotFound);
        let no_metrics = |_: u16, text: &str| !text.contains("subscription=\"sensors\"");
        source.capture.until_page(DEADLINE, "/metrics", no_metrics).await?;
        // And one of the same name begins anew
        create(&source.capture, named("sensors")).await??;
        delete(&source.capture, "sensors").await??;
        Ok(())
    })
}

#[test]
fn what_cannot_be_created_is_refused_with_the_field_and_the_remedy() -> Result<()> {
    source("refused", json!({}), async |source| {
        let refused = async |wanted: Subscription| -> Result<Status> {
            create(&source.capture, wanted).await?.err().context("it was created")
        };
        // When names, filters or policies make no sense
        for name in ["", "Upper", "1st", "with-dash", &"x".repeat(41)] {
            let status = refused(named(name)).await?;
            ensure!(status.code() == Code::InvalidArgument, "{name}: {status}");
            ensure!(status.message().contains("subscription.name"), "{status}");
        }
        let filter = |filter| Subscription { filter: Some(filter), ..named("one") };
        let none = SubscriptionFilter { labels: vec![String::new()], ..SubscriptionFilter::default() };
        let unknown = SubscriptionFilter { kinds: vec![77], ..SubscriptionFilter::default() };
        for (wanted, field) in [
            (filter(none), "filter.labels"),
            (filter(unknown), "filter.kinds"),
            (Subscription { partition_count: 5_000, ..named("one") }, "partition_count"),
            (Subscription { retention_policy: 9, ..named("one") }, "retention_policy"),
        ] {
            // Then the field is named
            let status = refused(wanted).await?;
            ensure!(status.code() == Code::InvalidArgument && status.message().contains(field), "{status}");
        }
        // And so are names that are taken, here or by a slot
        ensure!(refused(named(source.subscription())).await?.code() == Code::AlreadyExists);
        let postgres = source.postgres.connect("postgres").await?;
        let sql = "SELECT pg_create_physical_replication_slot('twinroute_refused_taken')";
        postgres.batch_execute(sql).await?;
        let taken = refused(named("refused_taken")).await?;
        ensure!(taken.code() == Code::FailedPrecondition, "{taken}");
        postgres.batch_execute("SELECT pg_drop_replication_slot('twinroute_refused_taken')").await?;
        Ok(())
    })
}

#[test]
fn subscriptions_are_bounded_in_number_listed_by_name_and_deleted_only_if_a_call_made_them() -> Result<()> {
    let settings = json!({ "subscriptions": { "created_max": 2, "poll_ms": 200 } });
    source("listed", settings, async |source| {
        // Given as many created subscriptions as there may be
        for name in ["listed_a", "listed_b"] {
            create(&source.capture, named(name)).await??;
        }
        // When one more is created, or one that is there, then that is refused
        let full = create(&source.capture, named("listed_c")).await?.err().context("it was created")?;
        ensure!(full.code() == Code::ResourceExhausted, "{full}");
        ensure!(full.message().contains("subscriptions.created_max"), "{full}");
        let taken = create(&source.capture, named("listed_a")).await?.err().context("it was created")?;
        ensure!(taken.code() == Code::AlreadyExists, "{taken}");
        // And pages show all, by name
        let mut client = client(&source.capture).await?;
        let mut names = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListSubscriptionsRequest { page_size: 2, page_token };
            let page = client.list_subscriptions(request).await?.into_inner();
            names.extend(page.subscriptions.into_iter().map(|one| one.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        ensure!(names == ["listed", "listed_a", "listed_b"], "{names:?}");
        // And the configured one, and what is not there, cannot be deleted
        let configured = delete(&source.capture, source.subscription()).await?.err().context("deleted")?;
        ensure!(configured.code() == Code::FailedPrecondition, "{configured}");
        let unknown = delete(&source.capture, "unknown").await?.err().context("deleted")?;
        ensure!(unknown.code() == Code::NotFound, "{unknown}");
        // And a filter in Hello is for live subscriptions
        let mut filtering = source.connect().await?;
        let filter = Some(SubscriptionFilter::default());
        let source_of = Some(hello::Source::Subscription("listed_a".to_owned()));
        let consumer_id = "filtering".to_owned();
        let hello = Hello { source: source_of, consumer_id, protocol_version: 1, filter, ..Hello::default() };
        filtering.send(Request::Hello(hello)).await?;
        let status = filtering.end().await?;
        ensure!(status.code() == Code::InvalidArgument, "{status}");
        ensure!(status.message().contains("CreateSubscription"), "{status}");
        for name in ["listed_a", "listed_b"] {
            delete(&source.capture, name).await??;
        }
        Ok(())
    })
}

#[test]
fn created_subscriptions_run_again_after_a_crash_and_on_the_capture_that_takes_over() -> Result<()> {
    source("survives", json!({ "subscriptions": { "poll_ms": 200 } }), async |source| {
        // Given a created subscription with an event that is acknowledged
        create(&source.capture, named("survivor")).await??;
        let mut before = consumer(&source.capture, "survivor").await?;
        source.create("before", 1).await?;
        assert_eq!(entities(&mut before, 1).await?, ["before-0"]);
        until_confirmed(source, "twinroute_survivor").await?;
        // When capture is killed, and twins are created meanwhile
        source.capture.kill().await?;
        source.create("meanwhile", 2).await?;
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        // Then it runs again, with all that was created
        wait::until(DEADLINE, "the created subscription", async || {
            ensure!(get(&source.capture, "survivor").await?.state() == SubscriptionState::Streaming);
            Ok(())
        })
        .await?;
        let mut after = consumer(&source.capture, "survivor").await?;
        let batches = after.batches(2).await?;
        assert!(events(&batches).any(|event| event.entity_id == "meanwhile-1"));
        // When a second capture stands by, it serves nothing
        let mut second = Service::start(Program::Capture, "second", source.settings(), source.dir())?;
        let held = |status: u16, text: &str| status == 503 && text.contains("held by");
        second.until_page(DEADLINE, "/readyz", held).await?;
        let refused = get(&second, "survivor").await.err().map(|error| format!("{error:#}"));
        assert!(refused.is_some_and(|text| text.contains("held by")));
        // And when the first one is killed, it takes over both
        source.capture.kill().await?;
        second.until_ready().await?;
        wait::until(DEADLINE, "the created subscription on the second", async || {
            ensure!(get(&second, "survivor").await?.state() == SubscriptionState::Streaming);
            Ok(())
        })
        .await?;
        let mut there = consumer(&second, "survivor").await?;
        assert_eq!(events(&only_events_come(&mut there, 2).await?).count(), 2);
        Ok(delete(&second, "survivor").await??)
    })
}

#[test]
fn what_a_crash_has_left_half_made_or_half_deleted_is_finished_at_the_next_start() -> Result<()> {
    source("halves", json!({ "subscriptions": { "poll_ms": 200 } }), async |source| {
        // Given a crash after the row of one was written and before its slot was made, and one while another is deleted
        for name in ["half_made", "half_deleted"] {
            create(&source.capture, named(name)).await??;
        }
        source.capture.kill().await?;
        let graph = source.graph().await?;
        wait::until(DEADLINE, "the walsender to end", async || {
            let sql = "SELECT pg_drop_replication_slot('twinroute_half_made')";
            Ok(graph.client().batch_execute(sql).await?)
        })
        .await?;
        for (name, phase) in [("half_made", "making"), ("half_deleted", "deleting")] {
            let sql = "UPDATE twinroute.subscription
                       SET options = jsonb_set(options, '{created,phase}', to_jsonb($2::text)) WHERE name = $1";
            graph.client().execute(sql, &[&name, &phase]).await?;
        }
        // When capture is started
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        // Then the one has its slot and streams, and of the other nothing is left
        wait::until(DEADLINE, "the one to stream", async || {
            ensure!(get(&source.capture, "half_made").await?.state() == SubscriptionState::Streaming);
            Ok(())
        })
        .await?;
        wait::until(DEADLINE, "the other to go", async || {
            let names = graph.client().query("SELECT name FROM twinroute.subscription", &[]).await?;
            ensure!(names.len() == 2 && slots(source, "twinroute_half_deleted").await? == 0, "{names:?}");
            Ok(())
        })
        .await?;
        let mut whole = consumer(&source.capture, "half_made").await?;
        source.create("whole", 1).await?;
        assert_eq!(entities(&mut whole, 1).await?, ["whole-0"]);
        Ok(delete(&source.capture, "half_made").await??)
    })
}

#[test]
fn a_consumer_that_takes_nothing_holds_up_only_its_own_subscription() -> Result<()> {
    let settings = json!({ "subscriptions": { "poll_ms": 200, "unacked_events_max": 100 } });
    source("slow", settings, async |source| {
        // Given a created subscription whose consumer takes nothing, and a consumer of the configured one
        create(&source.capture, named("idler")).await??;
        let mut sleeper = RawConsumer::connect(&source.capture.grpc()).await?;
        sleeper.hello("idler", "idler").await?;
        sleeper.keep_leases();
        let mut settler = source.join("settler").await?.settle().await?;
        // When far more is created than the sleeping one may hold
        for batch in 0..5 {
            source.create(&format!("slow{batch}"), 1_000).await?;
        }
        // Then all of it arrives at the other, whose slot follows
        settler.until_seen("slow4-999").await?;
        source.until_confirmed().await?;
        // And the sleeping one has stopped reading at its bound, and is not confirmed
        let status = status_of(&source.capture, "idler").await?;
        assert!((100..5_000).contains(&status.unacked_events), "{}", status.unacked_events);
        assert!(source.postgres.confirmed("twinroute_idler").await? < source.confirmed().await?);
        // When it wakes up, it has it all
        sleeper.credit(PLENTY.0, PLENTY.1).await?;
        let mut awake = sleeper.settle().await?;
        awake.until_seen("slow4-999").await?;
        drop(awake);
        Ok(delete(&source.capture, "idler").await??)
    })
}

#[test]
fn what_the_filter_leaves_out_does_not_hold_the_slot_back() -> Result<()> {
    let settings = json!({
        "subscriptions": { "poll_ms": 200, "unacked_events_max": 10 },
        "stream": { "idle_confirm_interval_ms": 500 },
    });
    source("left_out", settings, async |source| {
        // Given a subscription to models alone, without a consumer
        let filter = SubscriptionFilter { kinds: vec![EntityKind::Model.into()], ..Default::default() };
        create(&source.capture, Subscription { filter: Some(filter), ..named("models_only") }).await??;
        // When twins are created
        source.create("twin", 5_000).await?;
        // Then its slot follows, though nobody has acknowledged anything
        until_confirmed(source, "twinroute_models_only").await?;
        Ok(delete(&source.capture, "models_only").await??)
    })
}
