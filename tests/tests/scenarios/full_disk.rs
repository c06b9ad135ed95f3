//! The disk of the parked backlog is full.

use anyhow::{Context as _, Result};
use twinroute_tests::consumers::Sink;

use crate::{load::load, scene::DEADLINE};

/// Twins that are updated all the time.
const TWINS: i32 = 1_000;

/// The disk of the backlog: full after a few seconds of load.
const DISK_BYTES: u64 = 4 << 20;

/// Events that arrive at another sink while the disk is full.
const BESIDE: usize = 2_000;

#[test]
fn a_full_disk_of_the_backlog_loses_nothing_and_holds_up_only_who_needs_it() -> Result<()> {
    load(async |load| {
        // Given a worker whose backlog has a small disk
        let twins = "full";
        load.create(twins, TWINS).await?;
        load.settles(twins).await?;
        for endpoint in ["kafka", "mqtt", "kusto"] {
            load.until_endpoint(endpoint, DEADLINE, |state| state.backlog_bytes == 0).await?;
        }
        for mut worker in std::mem::take(&mut load.stack.workers) {
            worker.terminate().await?;
        }
        let mut worker = load.stack.start_worker_on_small_disk(DISK_BYTES)?;
        worker.until_ready().await.context("a worker with a disk of its own")?;
        // When Kafka is down, until the disk is full
        load.stack.servers.kafka.stop().await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        let full = |text: &str| text.contains("No space left on device");
        load.until_endpoint("kafka", DEADLINE, |state| full(&state.last_error)).await?;
        // Then what is not parked is not confirmed, and MQTT, which needs no disk, goes on
        let arrived = load.arrived_at(Sink::Mqtt, twins);
        let written = load.stack.servers.postgres.wal_end().await?;
        load.until_arrived_at(Sink::Mqtt, twins, arrived + BESIDE).await?;
        let confirmed = load.confirmed().await?;
        assert!(confirmed < written, "{confirmed:X} is beyond {written:X}");
        load.until_endpoint("kafka", DEADLINE, |state| full(&state.last_error)).await?;
        worker.until_page(DEADLINE, "/readyz", |status, _| status == 200).await?;
        // And when Kafka is back, all arrives, in order
        load.stack.servers.kafka.start_again().await?;
        updates.end().await?;
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        assert!(worker.terminate().await?.success());
        Ok(())
    })
}
