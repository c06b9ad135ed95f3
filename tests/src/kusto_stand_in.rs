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

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

use self::{http::Shared, resources::Resources, store::Store};
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
