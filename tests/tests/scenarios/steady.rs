//! Updates at a steady rate, until they are ended.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use twinroute_tests::twins::{Graph, bulk::Bulk};

/// Twins of one transaction, and the time between two: some 1,000 changes a second.
const TRANSACTION_TWINS: i32 = 20;
const INTERVAL: Duration = Duration::from_millis(20);

/// Updates that go on.
pub(crate) struct Steady {
    enough: CancellationToken,
    writer: JoinHandle<Result<()>>,
}

impl Steady {
    /// Updates the first `twins` twins of the prefix again and again, twenty in a transaction.
    pub(crate) async fn start(graph: Graph, prefix: &str, twins: i32) -> Result<Self> {
        let bulk = Bulk::new(graph, prefix).await?;
        let enough = CancellationToken::new();
        let is_enough = enough.clone();
        let mut pace = tokio::time::interval(INTERVAL);
        let writer = tokio::spawn(async move {
            for from in (0..twins).step_by(TRANSACTION_TWINS as usize).cycle() {
                if is_enough.is_cancelled() {
                    break;
                }
                bulk.update(from, TRANSACTION_TWINS).await?;
                pace.tick().await;
            }
            Ok(())
        });
        Ok(Self { enough, writer })
    }

    /// Ends them, and waits until all are committed.
    pub(crate) async fn end(self) -> Result<()> {
        self.enough.cancel();
        self.writer.await?
    }
}
