//! Services that are stopped, each as the first process of its container.

use anyhow::{Result, ensure};

use crate::{hardening::SERVICES, scene::scene};

#[test]
fn services_that_are_stopped_end_well_and_go_on_where_they_were() -> Result<()> {
    scene(async |scene| {
        // Given a busy factory
        scene.settles().await?;
        let before = scene.mark();
        scene.goes_on(100).await?;
        // When all services are stopped
        scene.project.compose(&[&["stop"][..], &SERVICES].concat()).await?;
        // Then each has ended by itself, with nothing left to do
        for container in scene.project.containers_of(&SERVICES).await? {
            let code = container.state.exit_code;
            ensure!(code == 0, "{} ended with {code}", container.name());
        }
        // And when they are started again, all that was committed meanwhile arrives, each event once
        scene.up(&[]).await?;
        scene.done("stopped and started again");
        scene.settles().await?;
        assert_eq!(scene.repeated_since(&before), [0, 0, 0]);
        Ok(())
    })
}
