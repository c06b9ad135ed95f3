//! A writer that goes on through every outage of its database, at a steady rate, until it is told to end.

use std::time::Duration;

use anyhow::Result;
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use twinroute_tests::{
    stack::GRAPH,
    twins::{Graph, bulk::Bulk},
};

/// How many twins it changes, over and over.
const TWINS: i32 = 500;

/// Twins of one transaction.
const TRANSACTION_TWINS: i32 = 50;

/// From one transaction to the next: some 2,500 changes a second.
const INTERVAL: Duration = Duration::from_millis(20);

/// How long it waits before it opens a new session.
const PAUSE: Duration = Duration::from_millis(50);

/// Twins that are being changed.
pub(crate) struct Writer {
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Writer {
    /// Creates twins named `prefix-<number>` in the database of `url`, and changes them from then on. What counts is the
    /// ledger: a transaction whose commit was not answered is in it, or it is not.
    pub(crate) async fn start(url: &str, prefix: &str) -> Result<Self> {
        open(url, prefix).await?.create(0, TWINS).await?;
        let end = CancellationToken::new();
        let (ended, url, prefix) = (end.clone(), url.to_owned(), prefix.to_owned());
        let task = tokio::spawn(async move {
            while !ended.is_cancelled() {
                // An outage is what the scenario is about.
                drop(write(&url, &prefix, &ended).await);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(Self { end, task })
    }

    /// Ends after the transaction that is under way.
    pub(crate) async fn end(self) -> Result<()> {
        self.end.cancel();
        Ok(self.task.await?)
    }
}

async fn open(url: &str, prefix: &str) -> Result<Bulk> {
    Bulk::new(Graph::open(url, GRAPH).await?, prefix).await
}

/// Writes until the session is lost, or the end.
async fn write(url: &str, prefix: &str, end: &CancellationToken) -> Result<()> {
    let bulk = open(url, prefix).await?;
    let mut rate = tokio::time::interval(INTERVAL);
    rate.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut from = 0;
    while !end.is_cancelled() {
        rate.tick().await;
        bulk.update(from, TRANSACTION_TWINS).await?;
        from = (from + TRANSACTION_TWINS) % TWINS;
    }
    Ok(())
}
