//! Workers that come, go and freeze under load: partitions move, and nothing is lost, repeated without
//! need, or out of order.

use anyhow::{Context as _, Result};
use twinroute_tests::consumers::Sink;

use crate::{holders::until_held_by, load::load};

/// Events that a worker may have delivered and not acknowledged under the steady load: those of two seconds, since one blob of
/// Kusto's is filled for a second while the one before it is on its way.
const UNACKNOWLEDGED_MAX: usize = 2_000;

#[test]
fn workers_that_come_and_go_under_load_cost_not_even_a_repeat() -> Result<()> {
    load(async |load| {
        // Given twins that are updated all the time
        let twins = "rebalanced";
        load.create(twins, 1_000).await?;
        let updates = load.update(twins, 1_000, 30).await?;
        // When two more workers come
        load.until_arrived(twins, 5_000).await?;
        load.stack.add_worker()?;
        load.stack.add_worker()?;
        for worker in &mut load.stack.workers {
            worker.until_ready().await?;
        }
        // And the two that were there first leave
        for count in [12_000, 20_000] {
            load.until_arrived(twins, count).await?;
            let mut leaving = load.stack.workers.remove(0);
            let ended = leaving.terminate().await?;
            assert!(ended.success(), "{ended}");
        }
        updates.end().await?;
        // Then all arrives, each event once
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        Ok(())
    })
}

#[test]
fn a_worker_that_was_frozen_for_longer_than_its_lease_does_no_harm_when_it_goes_on() -> Result<()> {
    load(async |load| {
        // Given twins that are updated all the time
        let twins = "frozen";
        load.create(twins, 1_000).await?;
        let updates = load.keep_updating(twins, 1_000).await?;
        // When a worker is frozen under load, until others have its partitions
        load.until_arrived(twins, 5_000).await?;
        load.stack.workers.first_mut().context("a worker")?.process().pause()?;
        until_held_by(&load.stack.capture, 1).await?;
        // And it goes on with what it still has, while more comes
        load.stack.workers.first_mut().context("a worker")?.process().resume()?;
        let more = load.arrived_at(Sink::Kafka, twins) + 5_000;
        load.until_arrived(twins, more).await?;
        updates.end().await?;
        // Then all arrives, in order, and no more is repeated than it had not acknowledged
        let fault = "a frozen worker had not acknowledged what it had delivered";
        let verdicts = load.settles_after(twins, fault).await?;
        let repeated = verdicts.0.map(|verdict| verdict.repeated);
        assert!(repeated.iter().all(|repeated| *repeated <= UNACKNOWLEDGED_MAX), "{repeated:?}");
        Ok(())
    })
}
