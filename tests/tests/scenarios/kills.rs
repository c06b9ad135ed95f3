//! Processes killed (-9) under load, and a transaction larger than every bound: nothing is lost, nothing
//! overtakes, repeats have the same ids.

use anyhow::{Context as _, Result};

use crate::load::load;

#[test]
fn a_worker_killed_in_the_middle_of_a_hundred_thousand_updates_loses_nothing() -> Result<()> {
    load(async |load| {
        // Given a thousand twins, and a hundred updates of each being written
        let twins = "worker-killed";
        load.create(twins, 1_000).await?;
        let updates = load.update(twins, 1_000, 100).await?;
        // When one of two workers is killed halfway, and another one started
        load.until_arrived(twins, 50_000).await?;
        load.stack.workers.first_mut().context("a worker")?.kill().await?;
        load.stack.add_worker()?;
        updates.end().await?;
        // Then all arrives at each sink, in order, and at Kusto once
        let verdicts = load.settles_after(twins, "a killed worker").await?;
        assert_eq!(verdicts.at_kusto().repeated, 0);
        Ok(())
    })
}

#[test]
fn capture_killed_in_the_middle_of_updates_loses_nothing() -> Result<()> {
    load(async |load| {
        // Given a thousand twins, and fifty updates of each being written
        let twins = "capture-killed";
        load.create(twins, 1_000).await?;
        let updates = load.update(twins, 1_000, 50).await?;
        // When capture is killed halfway, and started again
        load.until_arrived(twins, 25_000).await?;
        load.stack.capture.kill().await?;
        load.stack.capture.start_again()?;
        updates.end().await?;
        // Then all arrives at each sink, in order
        load.settles_after(twins, "capture killed").await?;
        Ok(())
    })
}

#[test]
fn capture_killed_in_the_middle_of_a_large_transaction_loses_nothing() -> Result<()> {
    load(async |load| {
        // Given a transaction over fifty thousand twins
        let twins = "large-killed";
        load.create_small(twins, 50_000).await?;
        // When capture is killed while it is delivered, and started again
        load.until_arrived(twins, 20_000).await?;
        load.stack.capture.kill().await?;
        load.stack.capture.start_again()?;
        // Then all arrives at each sink, in order
        load.settles_after(twins, "capture killed").await?;
        Ok(())
    })
}

#[test]
fn one_transaction_larger_than_every_bound_arrives_whole_and_once() -> Result<()> {
    load(async |load| {
        // When three hundred thousand twins are created in one transaction
        let twins = "large-transaction";
        load.create_small(twins, 300_000).await?;
        // Then all of it arrives at each sink, without a repeat
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        Ok(())
    })
}
