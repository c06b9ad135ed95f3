//! Where what is parked goes: to a container of Azure's storage, and, when there is no room, to the dead letters.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_proto::routes::v1::{DeliveryPolicy, EndpointHealth, OnFull};

use crate::{scene::DEADLINE, stranded::stranded};

/// Twins of each scenario, and how often each is updated while Kafka is away.
const TWINS: i32 = 200;
const ROUNDS: i32 = 5;

#[test]
fn parked_in_azure_an_outage_of_kafka_survives_the_worker_and_drains() -> Result<()> {
    stranded("parked_azure", DeliveryPolicy::default(), async |scene| {
        // Given a worker that parks in a container, and says why it is not ready while that is away
        let backlog = scene.in_azure();
        scene.azurite.stop().await?;
        let away = |status, text: &str| status == 503 && text.contains("backlog store: ");
        scene.start_worker(backlog.clone())?.until_page(DEADLINE, "/readyz", away).await?;
        scene.azurite.start_again().await?;
        scene.workers.last_mut().context("a worker")?.until_ready().await?;
        // And a Kafka that is stopped
        scene.source.create("twin", TWINS).await?;
        scene.settles("no fault").await?;
        scene.kafka.stop().await?;
        // When twins are updated, then the slot moves on, and the container has what is parked
        scene.update("twin", TWINS, ROUNDS).await?;
        scene.source.until_confirmed().await?;
        ensure!(segments(&scene.backlog.names().await?) > 0, "nothing is parked");
        // When the worker is killed, then another one adopts it
        scene.workers.pop().context("a worker")?.kill().await?;
        scene.add_worker(backlog).await?;
        scene
            .until_endpoint(|state| state.backlog_events == u64::from((TWINS * ROUNDS).unsigned_abs()))
            .await?;
        // And when Kafka is back, all arrives, in order, and nothing is left but the claims and the store's id
        scene.kafka.start_again().await?;
        assert_eq!(scene.settles("what the killed worker had not told").await?, 0);
        scene.until_endpoint(|state| state.backlog_events == 0 && state.backlog_bytes == 0).await?;
        let left = scene.backlog.names().await?;
        let is_expected = |name: &String| name == "store-id" || name.ends_with("/claim");
        ensure!(left.iter().all(is_expected), "{left:?}");
        Ok(())
    })
}

#[test]
fn parked_up_to_its_bound_a_backlog_may_spill_into_dead_letters() -> Result<()> {
    let policy = DeliveryPolicy {
        parked_bytes_max: 128 * 1024,
        on_full: OnFull::DeadLetter.into(),
        ..DeliveryPolicy::default()
    };
    stranded("parked_full", policy, async |scene| {
        // Given a Kafka that is stopped
        scene.add_worker(json!({})).await?;
        scene.source.create("twin", TWINS).await?;
        scene.settles("no fault").await?;
        scene.kafka.stop().await?;
        // When more is written than there is room for, then the slot moves on
        scene.update("twin", TWINS, ROUNDS).await?;
        scene.source.until_confirmed().await?;
        let full = |bytes: u64| bytes > 0 && bytes <= 2 * 128 * 1024;
        let down =
            scene.until_endpoint(|state| state.health() == EndpointHealth::Down && full(state.backlog_bytes));
        down.await?;
        // And when Kafka is back, what was parked arrives in order, and the rest is in the container
        scene.kafka.start_again().await?;
        let letters = scene.settles("none explains any").await?;
        let all = usize::try_from(TWINS * ROUNDS)?;
        ensure!(0 < letters && letters < all, "{letters} letters of {all} changes");
        // And what is written then is delivered
        scene
            .until_endpoint(|state| state.health() == EndpointHealth::Healthy && state.backlog_bytes == 0)
            .await?;
        scene.update("twin", TWINS, 1).await?;
        assert_eq!(scene.settles("none explains any").await?, letters);
        Ok(())
    })
}

fn segments(names: &[String]) -> usize {
    names.iter().filter(|name| name.ends_with(".segment")).count()
}
