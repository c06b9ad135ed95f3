//! Services that are asked to stop under load.

use anyhow::Result;

use crate::load::load;

#[test]
fn services_that_are_stopped_under_load_settle_and_repeat_nothing() -> Result<()> {
    load(async |load| {
        // Given twins that are updated all the time
        let twins = "stopped";
        load.create(twins, 1_000).await?;
        let updates = load.update(twins, 1_000, 30).await?;
        load.until_arrived(twins, 10_000).await?;
        // When all services get SIGTERM
        load.stack.drain().await?;
        // And are started again
        load.stack.capture.start_again()?;
        load.stack.routes_api.start_again()?;
        for worker in &mut load.stack.workers {
            worker.start_again()?;
        }
        updates.end().await?;
        // Then all arrives, each event once
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        Ok(())
    })
}
