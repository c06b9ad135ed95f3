//! What `docker compose up` promises.

use anyhow::Result;

use crate::scene::scene;

/// The containers of the compose file: nine services, one of them twice.
const CONTAINERS: usize = 10;

#[test]
fn all_containers_are_well_and_what_the_generator_changes_arrives_at_all_three_sinks() -> Result<()> {
    scene(async |scene| {
        // Given what `docker compose up` brings up
        let containers = scene.project.containers().await?;
        assert_eq!(containers.len(), CONTAINERS);
        // When the factory works
        scene.goes_on(100).await?;
        // Then each container is well
        scene.project.is_well().await?;
        // And all is at each sink
        scene.settles().await
    })
}
