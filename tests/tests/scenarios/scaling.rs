//! Workers that are added and taken away while a sink is down and while its backlog is drained.

use anyhow::{Context as _, Result};
use twinroute_tests::consumers::Sink;

use crate::{holders::until_held_by, load::load, scene::DEADLINE};

/// Twins that are updated all the time.
const TWINS: i32 = 1_000;

#[test]
fn from_one_worker_to_four_and_back_a_backlog_moves_along_and_nothing_is_repeated() -> Result<()> {
    load(async |load| {
        // Given one worker, and twins
        let twins = "scaled";
        load.create(twins, TWINS).await?;
        load.settles(twins).await?;
        load.stack.workers.pop().context("a worker")?.terminate().await?;
        // And Kafka that is down, while they are updated all the time
        load.stack.servers.kafka.stop().await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        load.until_arrived_at(Sink::Mqtt, twins, 4_000).await?;
        // When three more workers come
        for _ in 0..3 {
            load.stack.add_worker()?;
        }
        until_held_by(&load.stack.capture, 4).await?;
        load.until_endpoint("kafka", DEADLINE, |state| state.backlog_bytes > 0).await?;
        load.until_arrived_at(Sink::Mqtt, twins, 8_000).await?;
        // And Kafka is back, and three leave one after the other, the first of all among them
        load.stack.servers.kafka.start_again().await?;
        for left in [3, 2, 1] {
            let ended = load.stack.workers.remove(0).terminate().await?;
            assert!(ended.success(), "{ended}");
            until_held_by(&load.stack.capture, left).await?;
        }
        updates.end().await?;
        // Then all arrives, in order, each event once
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        Ok(())
    })
}
