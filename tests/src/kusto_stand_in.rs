//! A stand-in for Kusto's data-management endpoint, of which nothing real runs on a bare machine.
//!
//! It hands out Azurite's containers and queues, creates tables and mappings, and ingests what
//! clients queue: strictly, so that what it takes, Kusto takes. Unlike Kusto it ingests each
//! message at once and once. The official Python client proves it (`tests/tests/servers`).

mod error;
mod lexer;
mod column;
mod command;
mod reply;
mod mapping;
mod message;
mod table;
mod store;
mod resources;
mod management;
mod reader;
mod http;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use self::{command::Command, http::Shared, mapping::Mapping, resources::Resources, store::Store};
use crate::{servers::azurite::Account, wait};

/// How long the storage may take to answer at start.
const STORAGE_DEADLINE: Duration = Duration::from_secs(30);

/// Serves on `listener` and ingests, until one of the two fails.
///
/// Tables are kept below `dir`, one folder per database.
///
/// # Errors
/// When `dir` cannot be used or the storage does not answer.
pub async fn serve(listener: TcpListener, account: Account, dir: PathBuf) -> Result<()> {
    let shared = Shared { store: Arc::new(Mutex::new(Store::open(dir)?)), resources: Resources::of(account) };
    let resources = shared.resources.clone();
    wait::until(STORAGE_DEADLINE, "the storage", async || Ok(resources.create().await?)).await?;
    let store = Arc::clone(&shared.store);
    tokio::select! {
        served = axum::serve(listener, http::router(shared)) => served.context("cannot serve"),
        read = reader::run(&store, &resources) => read,
    }
}

/// The row that a line of a blob becomes, as JSON text: in the table that the command `create` makes when it is missing, by
/// the mapping that the command `map` makes.
///
/// # Errors
/// When Kusto would refuse one of the commands, or the line.
pub fn ingested(create: &str, map: &str, line: &str) -> Result<String> {
    let Command::MergeTable { columns, .. } = Command::parse(create)? else {
        bail!("{create} makes no table")
    };
    let Command::SetMapping { text, .. } = Command::parse(map)? else { bail!("{map} makes no mapping") };
    let document: Box<RawValue> = serde_json::from_str(line).context("the line is no document")?;
    Ok(Mapping::parse(&text)?.row(&columns, &document))
}
