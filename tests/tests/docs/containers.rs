//! What can be said of the images and the compose file without running them.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use twinroute_tests::checkout::root;

use crate::{checkout, nothing};

const DOCKERFILES: [&str; 2] = ["deploy/Dockerfile", "deploy/servers/Dockerfile"];

/// The tag that stands for the version, unless somebody gives their own.
const TAG: &str = ":${TWINROUTE_TAG:-0.1.0}";

#[test]
fn every_service_is_built_from_a_target_and_its_image_is_named() -> Result<()> {
    let mut found = Vec::new();
    for (name, service) in &section("services")? {
        let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (image, target) = (text("/image"), text("/build/target"));
        if image != format!("twinroute/{target}{TAG}") {
            found.push(format!("{name}: {image} is not called after its target {target}, with {TAG}"));
        }
        let dockerfile = checkout::read(text("/build/dockerfile"))?;
        if !dockerfile.lines().any(|line| line.ends_with(&format!(" AS {target}"))) {
            found.push(format!("{name}: the Dockerfile has no target {target}"));
        }
    }
    nothing(&found);
    Ok(())
}

#[test]
fn every_base_image_is_an_argument_and_pinned() -> Result<()> {
    let mut found = Vec::new();
    for file in DOCKERFILES {
        let text = checkout::read(file)?;
        let is_stage = |name: &str| text.lines().any(|line| line.ends_with(&format!(" AS {name}")));
        for line in text.lines() {
            if let Some((image, _)) = line.strip_prefix("FROM ").and_then(|line| line.split_once(" AS "))
                && !image.starts_with("${")
                && image != "scratch"
                && !is_stage(image)
            {
                found.push(format!("{file}: {image} is no argument"));
            }
            let argument = line.strip_prefix("ARG ").and_then(|line| line.split_once("_IMAGE="));
            if let Some((_, image)) = argument {
                let tag = image.split_once(':').map_or("", |(_, tag)| tag);
                if !is_stage(image) && (tag.is_empty() || tag.starts_with("latest")) {
                    found.push(format!("{file}: {image} is not pinned"));
                }
            }
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
    for (name, service) in &section("services")? {
        for volume in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
            let source = volume.as_str().and_then(|volume| volume.split_once(':')).map_or("", |(it, _)| it);
            if section("volumes")?.get(source).is_none() {
                found.push(format!("{name}: {volume} is no volume of the file"));
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
