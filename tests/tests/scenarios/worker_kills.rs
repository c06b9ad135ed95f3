//! Workers killed (-9) again and again under load.

use anyhow::{Context as _, Result};
use twinroute_tests::soak;

use crate::{
    load::load,
    ordeal::{moment, random},
};

/// Twins that are updated all the time.
const TWINS: i32 = 1_000;

/// A kill comes within so many milliseconds after all workers are ready: one in three seconds.
const PAUSE_MS: usize = 5_000;

#[test]
fn workers_killed_at_random_under_load_lose_nothing() -> Result<()> {
    let kills = if soak::is_on() { 50 } else { 4 };
    load(async |load| {
        // Given twins that are updated all the time
        let twins = "workers-killed";
        load.create(twins, TWINS).await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        // When one worker after the other is killed, and started again
        for _ in 0..kills {
            moment(PAUSE_MS).await?;
            let chosen = random(load.stack.workers.len());
            let worker = load.stack.workers.get_mut(chosen).context("a worker")?;
            worker.kill().await?;
            worker.start_again()?;
            worker.until_ready().await?;
        }
        updates.end().await?;
        // Then all arrives at each sink, in order, and at Kusto once: what was on its way is sent again as it was
        let verdicts = load.settles_after(twins, &format!("{kills} kills of workers")).await?;
        assert_eq!(verdicts.at_kusto().repeated, 0);
        Ok(())
    })
}
