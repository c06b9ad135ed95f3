//! A slot that PostgreSQL invalidates because it keeps too much WAL: foreseen, told, and made anew when accepted.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_tests::wait;

use crate::{
    alone::{SUBSCRIPTION, alone},
    decision::{PARTITIONS, consumer, first_of_each_partition, resume, status, until_stopped},
    raw::events,
    scene::DEADLINE,
};

/// Enough for the slot to be lost: more than what it may keep, in segments of 16 MB.
const SEGMENTS: usize = 8;

#[test]
fn a_slot_that_keeps_too_much_is_foreseen_to_be_lost_and_is_told_when_it_is() -> Result<()> {
    alone("invalidated", json!({ "slot_poll_ms": 100 }), async |it| {
        // Given a bound of what slots keep, and a consumer that does not acknowledge
        it.run("ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'").await?;
        it.run("SELECT pg_reload_conf()").await?;
        let mut idle = consumer(&it.capture, SUBSCRIPTION).await?;
        it.create("held", 2).await?;
        let held = idle.batches(2).await?;
        // When WAL is written
        it.write_segment().await?;
        // Then the status tells how much is left, for how long, and who holds it back
        wait::until(DEADLINE, "a forecast", async || {
            it.write_segment().await?;
            let status = status(&it.capture).await?;
            ensure!(status.time_to_slot_loss.is_some(), "{status:?}");
            let slot = status.slot.context("no slot")?;
            ensure!(slot.safe_wal_size.is_some() && slot.retained_bytes > 0, "{slot:?}");
            let worst = status.blockers.first().context("no blocker")?;
            ensure!(worst.consumer_id == "consumer" && worst.age.is_some(), "{worst:?}");
            ensure!(worst.position == status.oldest_unacked, "{worst:?}");
            Ok(())
        })
        .await?;
        // When capture is killed, and so much WAL is written that the slot is lost
        it.capture.kill().await?;
        for _ in 0..SEGMENTS {
            it.write_segment().await?;
        }
        it.run("CHECKPOINT").await?;
        it.capture.start_again()?;
        // Then capture stops, and PostgreSQL's own view is shown
        let stopped = until_stopped(&it.capture, "slot_invalidated", "is invalidated").await?;
        let slot = stopped.slot.context("no slot")?;
        ensure!(slot.wal_status == "lost" && !slot.invalidation_reason.is_empty(), "{slot:?}");
        // When that is accepted
        resume(&it.capture, SUBSCRIPTION, stopped.stopped_at).await??;
        // Then there is a new slot, and consumers go on behind the discontinuity
        it.capture.until_ready().await?;
        let mut after = consumer(&it.capture, SUBSCRIPTION).await?;
        it.create("after", 1).await?;
        let told = after.batches(PARTITIONS + 1).await?;
        let gap = first_of_each_partition(&told)?;
        let oldest = events(&held).filter_map(|event| event.position).map(|at| at.commit_lsn).min();
        ensure!(gap.last_known.map(|at| at.commit_lsn) <= oldest, "{gap:?} {oldest:?}");
        after.ack(&told).await?;
        let slot = status(&it.capture).await?.slot.context("no slot")?;
        ensure!(slot.wal_status == "reserved" && slot.failover, "{slot:?}");
        Ok(())
    })
}
