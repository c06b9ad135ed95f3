//! The backlog: updates of 1,000 twins of 400 B, REPLICA IDENTITY FULL, transactions of 100 distinct twins.

use anyhow::Result;
use tokio_postgres::Client;

use crate::servers::postgres::Postgres;
use crate::stack::GRAPH;
use crate::twins::Graph;
use crate::twins::bulk::Bulk;

/// Name of the publication.
pub(super) const PUBLICATION: &str = "twinroute";
/// The slot that every run gets a copy of.
const BASE_SLOT: &str = "bench_base";
/// The database of the twins.
pub(super) const DATABASE: &str = "postgres";
/// Twins in one transaction.
const TWINS_PER_TRANSACTION: u64 = 100;
/// Twins in all.
const TWINS: i32 = 1_000;

/// A session beside the backlog.
#[derive(Debug)]
pub struct Workload {
    client: Client,
    end_lsn: String,
    wal_bytes: i64,
}

impl Workload {
    /// Makes the graph and the slot, then the backlog.
    pub(super) async fn write(postgres: &Postgres, events: u64) -> Result<Self> {
        let url = postgres.url(DATABASE);
        let graph = Graph::create(&url, GRAPH).await?;
        Bulk::new(graph, "twin").await?.create(0, TWINS).await?;
        let client = postgres.connect(DATABASE).await?;
        // AGE's operators are not in the default path.
        client.batch_execute("SET search_path = ag_catalog, public").await?;
        client
            .batch_execute(&format!(
                "ALTER TABLE \"{GRAPH}\".\"Twin\" REPLICA IDENTITY FULL;
                 CREATE PUBLICATION {PUBLICATION} FOR TABLES IN SCHEMA \"{GRAPH}\";
                 CREATE TABLE ledger.numbered AS
                 SELECT row_number() OVER () - 1 AS number, id FROM \"{GRAPH}\".\"Twin\";
                 CREATE UNIQUE INDEX ON ledger.numbered (number)"
            ))
            .await?;
        client.batch_execute("VACUUM ANALYZE").await?;
        let slot = format!("SELECT pg_create_logical_replication_slot('{BASE_SLOT}', 'pgoutput')");
        client.batch_execute(&slot).await?;
        let start: String =
            client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await?.try_get(0)?;
        client.batch_execute(&backlog(events / TWINS_PER_TRANSACTION)).await?;
        let end = client
            .query_one(
                "SELECT pg_current_wal_insert_lsn()::text,
                        (pg_current_wal_insert_lsn() - $1::text::pg_lsn)::bigint",
                &[&start],
            )
            .await?;
        Ok(Self { client, end_lsn: end.try_get(0)?, wal_bytes: end.try_get(1)? })
    }

    pub(super) fn wal_mib(&self) -> i64 {
        self.wal_bytes >> 20
    }

    /// Where the backlog ends.
    pub(super) fn end_lsn(&self) -> &str {
        &self.end_lsn
    }

    /// Lets PostgreSQL write out what the runs have left, which would hold up commits later.
    pub(super) async fn checkpoint(&self) -> Result<()> {
        Ok(self.client.batch_execute("CHECKPOINT").await?)
    }

    /// A slot in front of the whole backlog.
    pub(super) async fn slot(&self, name: &str) -> Result<()> {
        let copy = format!("SELECT pg_copy_logical_replication_slot('{BASE_SLOT}', '{name}')");
        Ok(self.client.batch_execute(&copy).await?)
    }

    /// The slot needs nothing of the backlog any more.
    pub(super) async fn is_confirmed(&self, slot: &str) -> Result<bool> {
        let query =
            "SELECT confirmed_flush_lsn >= $2::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $1";
        Ok(self.client.query_one(query, &[&slot, &self.end_lsn]).await?.try_get(0)?)
    }

    /// A run is over; its slot goes, so that it holds up nothing.
    pub(super) async fn drop_slot(&self, name: &str) -> Result<()> {
        let drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                    WHERE slot_name = $1 AND NOT active";
        self.client.execute(drop, &[&name]).await?;
        Ok(())
    }
}

fn backlog(transactions: u64) -> String {
    let groups = i64::from(TWINS) / i64::try_from(TWINS_PER_TRANSACTION).unwrap_or(1);
    format!(
        r#"DO $do$ BEGIN FOR i IN 1..{transactions} LOOP
            UPDATE "{GRAPH}"."Twin" t SET properties = format(
                '{{"$dtId": "twin-%s", "$etag": "W/\"%s\"", "Temperature": %s, "padding": "%s", '
                '"$metadata": {{"$model": "dtmi:example:Machine;1", "$lastUpdateTime": "%s", '
                '"Temperature": {{"lastUpdateTime": "%s"}}}}}}',
                n.number, gen_random_uuid(), 20 + i % 100 / 10.0, repeat('x', 160), now(), now()
            )::ag_catalog.agtype
            FROM ledger.numbered n
            WHERE n.id = t.id AND n.number / {TWINS_PER_TRANSACTION} = i % {groups};
            COMMIT;
        END LOOP; END $do$"#
    )
}
