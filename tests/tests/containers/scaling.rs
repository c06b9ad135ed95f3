//! More and fewer workers by `docker compose up --scale`.

use anyhow::Result;

use crate::scene::scene;

#[test]
fn workers_come_and_go_without_a_loss_and_without_a_repeat() -> Result<()> {
    scene(async |scene| {
        // Given two workers, and a busy factory
        scene.settles().await?;
        let before = scene.mark();
        scene.goes_on(100).await?;
        for workers in [4, 1, 2] {
            // When there are four, then one, then two again
            scene.up(&["--scale", &format!("delivery={workers}")]).await?;
            let containers = scene.project.containers_of(&["delivery"]).await?;
            assert_eq!(containers.len(), workers);
            scene.done(&format!("{workers} workers"));
            scene.goes_on(100).await?;
        }
        // Then all arrives, each event once
        scene.settles().await?;
        assert_eq!(scene.repeated_since(&before), [0, 0, 0]);
        Ok(())
    })
}
