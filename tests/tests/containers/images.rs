//! The images, built with what this machine has already: the binaries of this build, and Kafka and Azurite of the cache.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tokio::process::Command;
use twinroute_tests::checkout;

use crate::{
    command::output,
    project::{Project, folder},
};

/// What all images are built on: the install script makes it, since nothing is pulled here.
pub(crate) const BASE_IMAGE: &str = "twinroute/debian:trixie";

/// The programs of the images.
const BINARIES: [&str; 5] = ["capture", "delivery", "routes-api", "generator", "kusto-stand-in"];

/// What the cache has, and in which folder there.
const KAFKA: (&str, &str) = ("kafka-4.1.1", "libs");
const AZURITE: (&str, &str) = ("azurite-3.35.0", "node_modules");

/// How long a copy may take.
const COPY_DEADLINE: Duration = Duration::from_secs(60);

/// Networks of builds may lead nowhere where this machine's own reaches Debian's packages.
const HOST_NETWORK: &str = "
services:
  postgres: {build: {network: host}}
  kafka: {build: {network: host}}
  mosquitto: {build: {network: host}}
  azurite: {build: {network: host}}
  kusto-stand-in: {build: {network: host}}
  routes-api: {build: {network: host}}
  delivery: {build: {network: host}}
  capture: {build: {network: host}}
  generator: {build: {network: host}}
";

/// The build arguments of the images, as Compose takes them from the environment.
pub(crate) fn environment() -> Vec<(&'static str, String)> {
    vec![
        ("DEBIAN_IMAGE", BASE_IMAGE.to_owned()),
        ("RUNTIME_IMAGE", "libraries".to_owned()),
        ("BINARIES", "ready-built".to_owned()),
        ("PACKAGES", "ready-made".to_owned()),
        ("KAFKA_FOLDER", packages(KAFKA)),
        ("AZURITE_FOLDER", packages(AZURITE)),
    ]
}

/// Builds all of them.
pub(crate) async fn build(project: &Project) -> Result<()> {
    for name in BINARIES {
        strip(name).await?;
    }
    for package in [KAFKA, AZURITE] {
        copy(package).await?;
    }
    let network = checkout::create(&folder())?.join("network.yaml");
    std::fs::write(&network, HOST_NETWORK)?;
    let network = network.to_str().context("the checkout's path is not UTF-8")?;
    project.compose(&["--file", "docker-compose.yml", "--file", network, "build", "--quiet"]).await?;
    Ok(())
}

/// Puts a binary into the build's context, without what debuggers need: most of a debug build.
async fn strip(name: &str) -> Result<()> {
    let folder = checkout::create(&checkout::root().join(".run/binaries"))?;
    let mut command = Command::new("strip");
    command.arg("-o").arg(folder.join(name)).arg(checkout::binary(name)?);
    output(command, COPY_DEADLINE).await.map(drop)
}

/// Where a package is in the build's context.
fn packages((name, folder): (&str, &str)) -> String {
    format!(".run/packages/{name}/{folder}")
}

/// Puts a package into the build's context, unless it is there.
async fn copy((name, _): (&str, &str)) -> Result<()> {
    let all = checkout::create(&checkout::root().join(".run/packages"))?;
    let (target, partial) = (all.join(name), all.join(format!("partial-{name}")));
    if target.exists() {
        return Ok(());
    }
    remove(&partial)?;
    let mut command = Command::new("cp");
    command.arg("--archive").arg(checkout::installed(name)?).arg(&partial);
    output(command, COPY_DEADLINE).await?;
    std::fs::rename(&partial, &target).with_context(|| format!("cannot make {}", target.display()))
}

/// Removes what a copy that was cut off has left.
fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
