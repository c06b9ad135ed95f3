//! What can be said of the images and the compose file without running them.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use twinroute_tests::checkout::root;

use crate::{checkout, nothing};

#[test]
fn every_image_is_pinned_and_every_build_has_its_target() -> Result<()> {
    let dockerfile = checkout::read("deploy/Dockerfile")?;
    let mut found = Vec::new();
    for (name, service) in &section("services")? {
        match (service.get("image").and_then(Value::as_str), service.pointer("/build/target")) {
            (Some(image), None) => {
                let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
                if tag.is_none_or(|tag| tag.ends_with("latest")) {
                    found.push(format!("{name}: {image} is not pinned"));
                }
            }
            (None, Some(Value::String(target))) => {
                if !dockerfile.lines().any(|line| line.ends_with(&format!(" AS {target}"))) {
                    found.push(format!("{name}: the Dockerfile has no target {target}"));
                }
            }
            _ => found.push(format!("{name}: has an image, or a target to build, and not both")),
        }
    }
    nothing(&found);
    Ok(())
}

#[test]
fn every_file_that_is_mounted_exists_in_the_checkout() -> Result<()> {
    let mut found = Vec::new();
    for kind in ["configs", "secrets"] {
        for (name, source) in &section(kind)? {
            let file =
                source.get("file").and_then(Value::as_str).with_context(|| format!("{name}: no file"))?;
            if !file.starts_with("./") || !root().join(file).is_file() {
                found.push(format!("{name}: {file}"));
            }
        }
    }
    nothing(&found);
    Ok(())
}

fn section(name: &str) -> Result<Map<String, Value>> {
    let compose = checkout::yaml("docker-compose.yml")?;
    compose.get(name).and_then(Value::as_object).cloned().with_context(|| format!("there is no `{name}`"))
}
