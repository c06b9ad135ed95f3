//! What the containers of the services may do, and what is in their images.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    command::docker,
    container::{Container, HostConfig},
    factory,
    scene::scene,
};

/// The services that users deploy.
pub(crate) const SERVICES: [&str; 3] = ["capture", "delivery", "routes-api"];

/// The services' own bound is 256 MiB.
const MEMORY_BYTES: u64 = 320 * 1024 * 1024;

/// A binary, five libraries, certificates; a debug build is twice as large as a release.
const IMAGE_BYTES_MAX: u64 = 120_000_000;

#[test]
fn services_run_with_nothing_that_they_do_not_need() -> Result<()> {
    scene(async |scene| {
        // Given the containers of the services
        let containers = scene.project.containers_of(&SERVICES).await?;
        assert_eq!(containers.len(), 4);
        for container in &containers {
            // Then each is bounded
            is_bounded(container).with_context(|| container.name().to_owned())?;
            // And its secrets are in files, not in its environment
            let password = factory::password()?;
            let told = container.config.env.iter().find(|variable| variable.contains(&password));
            assert_eq!(told, None, "{}", container.name());
        }
        Ok(())
    })
}

fn is_bounded(container: &Container) -> Result<()> {
    let Container { config, state, host_config: limits, .. } = container;
    let HostConfig { cap_drop, cap_add, security_opt, port_bindings, .. } = limits;
    ensure!(limits.readonly_rootfs, "its root is not read-only");
    ensure!(!limits.privileged && cap_add.is_none(), "it has capabilities: {cap_add:?}");
    ensure!(cap_drop.as_deref().unwrap_or_default() == ["ALL"], "it keeps capabilities: {cap_drop:?}");
    let options = security_opt.as_deref().unwrap_or_default();
    ensure!(options == ["no-new-privileges:true"], "it may get privileges: {security_opt:?}");
    ensure!(config.user == "65532:65532", "it is {:?}", config.user);
    let memory = (limits.memory, limits.memory_swap);
    ensure!(memory == (MEMORY_BYTES, MEMORY_BYTES), "its memory is bound to {memory:?}");
    ensure!(!state.oom_killed, "it took more memory than that");
    let bindings = port_bindings.values().flatten().flatten();
    let addresses: Vec<_> = bindings.map(|binding| binding.host_ip.as_str()).collect();
    ensure!(addresses.iter().all(|address| *address == "127.0.0.1"), "it is published on {addresses:?}");
    Ok(())
}

#[test]
fn images_say_what_they_are_and_hold_no_shell() -> Result<()> {
    scene(async |scene| {
        for service in SERVICES {
            // Given the image of a service
            let image = scene.project.image(service);
            let shown: Value = serde_json::from_str(&docker(["image", "inspect", &image]).await?)?;
            let of_image =
                |pointer: &str| shown.pointer(pointer).cloned().with_context(|| pointer.to_owned());
            // Then it is small, and runs the service as nobody in particular
            let bytes = of_image("/0/Size")?.as_u64().context("a size")?;
            scene.done(&format!("{image} has {bytes} bytes"));
            assert!(bytes < IMAGE_BYTES_MAX, "{image} has {bytes} bytes");
            assert_eq!(of_image("/0/Config/User")?, "65532:65532");
            assert_eq!(of_image("/0/Config/Entrypoint/0")?, format!("/usr/local/bin/{service}"));
            // And has the labels by which registries and people know it
            let labels: BTreeMap<String, String> = serde_json::from_value(of_image("/0/Config/Labels")?)?;
            for name in ["title", "description", "vendor", "licenses", "version", "revision"] {
                let label = labels.get(&format!("org.opencontainers.image.{name}"));
                assert!(label.is_some_and(|text| !text.is_empty()), "{image}: {name}");
            }
            // And there is no shell in it
            let shell =
                docker(["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", &image, "-c", ":"])
                    .await;
            let said = shell.map_or_else(|error| format!("{error:#}"), |_| "a shell ran".to_owned());
            assert!(said.contains("no such file"), "{image}: {said}");
        }
        Ok(())
    })
}
