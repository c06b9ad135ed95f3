//! A PostgreSQL that belongs to one scenario, which may do to it what it wants, and a capture.

use anyhow::Result;
use serde_json::{Value, json};
use twinroute_tests::{
    servers::postgres::Postgres,
    services::{Program, Service},
    stack::GRAPH,
    twins::{Graph, bulk::Bulk},
};

use crate::scene;

/// Name of its subscription.
pub(crate) const SUBSCRIPTION: &str = "delivery";

/// A server, and a capture of its database `postgres`.
pub(crate) struct Alone {
    pub(crate) postgres: Postgres,
    pub(crate) capture: Service,
}

/// Runs a scenario on servers of its own, called `name`; `source` are settings of that section of capture.
pub(crate) fn alone(
    name: &str,
    source: Value,
    scenario: impl AsyncFnOnce(&mut Alone) -> Result<()>,
) -> Result<()> {
    scene::run(async {
        let dir = scene::dir(&format!("alone-{name}"))?;
        let postgres = Postgres::start(&dir.join("postgres")).await?;
        let url = postgres.url("postgres");
        Graph::create(&url, GRAPH).await?;
        let settings = json!({ "postgres": { "url": url, "reconnect_wait_max_ms": 500 }, "source": source });
        let mut capture = Service::start(Program::Capture, "capture", settings, &dir)?;
        capture.until_ready().await?;
        scenario(&mut Alone { postgres, capture }).await
    })
}

impl Alone {
    /// Creates twins named `prefix-<number>` in one transaction.
    pub(crate) async fn create(&self, prefix: &str, twins: i32) -> Result<()> {
        let graph = Graph::open(&self.postgres.url("postgres"), GRAPH).await?;
        Bulk::new(graph, prefix).await?.create(0, twins).await
    }

    /// Runs statements.
    pub(crate) async fn run(&self, statements: &str) -> Result<()> {
        Ok(self.postgres.connect("postgres").await?.batch_execute(statements).await?)
    }

    /// Fills and leaves a segment of the WAL.
    pub(crate) async fn write_segment(&self) -> Result<()> {
        self.run("CREATE TABLE IF NOT EXISTS elsewhere (n int); INSERT INTO elsewhere VALUES (1)").await?;
        self.run("SELECT pg_switch_wal()").await
    }
}
