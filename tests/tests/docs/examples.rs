//! Examples in the documents do what is said of them.

use std::{ffi::OsString, fs, path::Path};

use anyhow::{Context as _, Result};
use twinroute_capture::{config::CaptureSettings, postgres::row};
use twinroute_common::config;
use twinroute_delivery::config::DeliverySettings;
use twinroute_routes_api::{bootstrap, settings::RoutesApiSettings};
use twinroute_tests::checkout::root;

use crate::{checkout, prose::block};

#[test]
fn the_bootstrap_file_of_the_readme_is_accepted() -> Result<()> {
    let readme = checkout::read("README.md")?;
    let example = block(&readme, "yaml", "events:").context("README.md shows no bootstrap file")?;
    let file = written(example)?;
    let resources = bootstrap::load(file.path()).map_err(|mistakes| anyhow::anyhow!("{mistakes:#?}"))?;
    assert_eq!((resources.endpoints.len(), resources.routes.len()), (3, 3));
    Ok(())
}

#[test]
fn the_configurations_of_the_compose_file_are_accepted() -> Result<()> {
    let folder = root().join("deploy/compose");
    let file = |service: &str| folder.join(format!("{service}.yaml"));
    config::load::<CaptureSettings>(Some(&file("capture")), [])?;
    config::load::<DeliverySettings>(Some(&file("delivery")), [])?;
    // In the container the file has another place.
    let routes = ("TWINROUTE__BOOTSTRAP__FILE".into(), folder.join("routes.yaml").into_os_string());
    config::load::<RoutesApiSettings>(Some(&file("routes-api")), [routes as (OsString, OsString)])?;
    Ok(())
}

#[test]
fn mistakes_are_told_as_the_documents_show() -> Result<()> {
    let document = checkout::read("docs/configuration.md")?;
    let shown = block(&document, "", "3 mistakes").context("docs/configuration.md shows no mistakes")?;
    let file = written("postgres: {url: \"http://x\"}\nstream: {leese_ms: 3, partition_count: 0}\n")?;
    let mistakes = config::load::<CaptureSettings>(Some(file.path()), []).err().context("it is accepted")?;
    assert_eq!(mistakes.to_string(), shown.trim_end());
    Ok(())
}

#[test]
fn the_table_that_an_administrator_prepares_is_the_one_that_capture_makes() -> Result<()> {
    let document = checkout::read("docs/postgres.md")?;
    let made = row::SCHEMA.last().copied().unwrap_or_default().replace("IF NOT EXISTS ", "");
    let is_there = plain(&document).contains(&plain(&made));
    assert!(is_there, "docs/postgres.md does not have\n{made}");
    Ok(())
}

#[test]
fn the_consumer_is_as_short_as_the_readme_says() -> Result<()> {
    let lines = checkout::read("examples/consumer-python/consumer.py")?.lines().count();
    assert!(lines < 60, "{lines} lines");
    Ok(())
}

/// Without blanks, which carry no meaning here.
fn plain(text: &str) -> String {
    text.split_whitespace().collect()
}

fn written(text: &str) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path() as &Path, text)?;
    Ok(file)
}
