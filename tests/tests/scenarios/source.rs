//! PostgreSQL and one capture, for scenarios whose consumers are their own. The server is shared; each
//! scenario has a database, a subscription and a capture of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use twinroute_tests::{
    servers::postgres::Postgres,
    services::{Program, Service},
    stack::GRAPH,
    twins::{Graph, bulk::Bulk},
    wait,
};

use crate::{
    raw::RawConsumer,
    scene::{self, DEADLINE},
    steady::Steady,
};

/// A graph in a database of its own, and a capture of it.
pub(crate) struct Source {
    pub(crate) postgres: &'static Postgres,
    pub(crate) capture: Service,
    name: String,
    url: String,
    settings: Value,
    dir: PathBuf,
}

/// Runs a scenario on a source called `name`; `settings` of capture beside those it needs.
pub(crate) fn source(
    name: &str,
    settings: Value,
    scenario: impl AsyncFnOnce(&mut Source) -> Result<()>,
) -> Result<()> {
    scene::run(async {
        let mut source = Source::start(name, settings).await?;
        let outcome = scenario(&mut source).await;
        let ended = source.end().await;
        outcome.and(ended)
    })
}

/// The server that sources share, on which nothing is ever stopped.
pub(crate) async fn postgres() -> Result<&'static Postgres> {
    static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
    POSTGRES.get_or_try_init(async || Postgres::start(&scene::dir("source")?).await).await
}

impl Source {
    async fn start(name: &str, mut settings: Value) -> Result<Self> {
        let postgres = postgres().await?;
        let url = postgres.create_database(name).await?;
        Graph::create(&url, GRAPH).await?;
        let given =
            json!({ "postgres": { "url": url }, "source": { "graphs": [GRAPH], "subscription": name } });
        if let (Some(settings), Value::Object(given)) = (settings.as_object_mut(), given) {
            settings.extend(given);
        }
        let dir = scene::dir(&format!("source-{name}"))?;
        let mut capture = Service::start(Program::Capture, "capture", settings.clone(), &dir)?;
        capture.until_ready().await?;
        Ok(Self { postgres, capture, name: name.to_owned(), url, settings, dir })
    }

    /// Leaves no slot behind: the server has a number of them, and there are many scenarios.
    async fn end(mut self) -> Result<()> {
        self.capture.kill().await?;
        let client = self.postgres.connect(&self.name).await?;
        wait::until(DEADLINE, "the slots of the database to go", async || {
            let drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                WHERE database = current_database() AND NOT active";
            client.query(drop, &[]).await?;
            let left = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
            let left: i64 = client.query_one(left, &[]).await?.get(0);
            ensure!(left == 0, "{left} are active");
            Ok(())
        })
        .await
    }

    /// The settings of the capture, ports aside.
    pub(crate) fn settings(&self) -> Value {
        self.settings.clone()
    }

    /// The folder of configurations and logs.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A session on the graph.
    pub(crate) async fn graph(&self) -> Result<Graph> {
        Graph::open(&self.url, GRAPH).await
    }

    /// The name of the subscription.
    pub(crate) fn subscription(&self) -> &str {
        &self.name
    }

    /// Creates twins named `prefix-<number>` in one transaction.
    pub(crate) async fn create(&self, prefix: &str, twins: i32) -> Result<()> {
        Bulk::new(self.graph().await?, prefix).await?.create(0, twins).await
    }

    /// Creates twins named `prefix-<number>` in one transaction, in rows from `first` on: their documents have a payload of so
    /// many letters, or are as small as they can be.
    pub(crate) async fn insert(
        &self,
        prefix: &str,
        first: usize,
        twins: usize,
        letters: usize,
    ) -> Result<()> {
        let payload = match letters {
            0 => String::new(),
            _ => format!(", \"payload\": \"{}\"", "x".repeat(letters)),
        };
        let statement = format!(
            "INSERT INTO {GRAPH}.\"Twin\" (id, properties) SELECT
                ag_catalog._graphid(ag_catalog._label_id('{GRAPH}'::name, 'Twin'::name)::int, {first} + n),
                format('{{\"$dtId\": \"{prefix}-%s\"{payload}}}', n)::ag_catalog.agtype
             FROM generate_series(1, {twins}) n"
        );
        Ok(self.postgres.connect(&self.name).await?.batch_execute(&statement).await?)
    }

    /// Updates the first `twins` twins of the prefix again and again, until it is ended.
    pub(crate) async fn update_all_the_time(&self, prefix: &str, twins: i32) -> Result<Steady> {
        Steady::start(self.graph().await?, prefix, twins).await
    }

    /// Writes WAL that is nothing to capture.
    pub(crate) async fn write_elsewhere(&self) -> Result<()> {
        let client = self.postgres.connect("postgres").await?;
        let sql = "CREATE TABLE IF NOT EXISTS elsewhere (n int); INSERT INTO elsewhere SELECT generate_series(1, 1000)";
        Ok(client.batch_execute(sql).await?)
    }

    /// A stream that has said nothing.
    pub(crate) async fn connect(&self) -> Result<RawConsumer> {
        RawConsumer::connect(&self.capture.grpc()).await
    }

    /// A consumer that has joined the subscription, and keeps its leases.
    pub(crate) async fn join(&self, consumer_id: &str) -> Result<RawConsumer> {
        let mut consumer = self.connect().await?;
        consumer.hello(&self.name, consumer_id).await?;
        consumer.keep_leases();
        Ok(consumer)
    }

    /// Waits until all that is written now is confirmed to PostgreSQL.
    pub(crate) async fn until_confirmed(&self) -> Result<()> {
        self.until_confirmed_within(DEADLINE).await
    }

    /// The same with a deadline of its own.
    pub(crate) async fn until_confirmed_within(&self, deadline: Duration) -> Result<()> {
        let end = self.postgres.wal_end().await?;
        wait::until(deadline, "the slot to follow", async || {
            let confirmed = self.confirmed().await?;
            ensure!(confirmed >= end, "confirmed is {confirmed:X}, the end was {end:X}");
            Ok(())
        })
        .await
    }

    /// How far the slot is confirmed, in bytes.
    pub(crate) async fn confirmed(&self) -> Result<u64> {
        self.postgres.confirmed(&format!("twinroute_{}", self.name)).await
    }
}
