//! Tables that change while their rows are streamed: nothing is lost, and the stream does not break.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_tests::{stack::GRAPH, twins::Graph, wait};

use crate::{
    alone::{Alone, SUBSCRIPTION, alone},
    ordeal::{Ordeal, SETTLE_DEADLINE},
    scene::DEADLINE,
    writer::Writer,
};

/// Changes of a label's table, one after the other, under load. AGE refuses to drop a column of one.
const LABEL: [&str; 4] = [
    "ADD COLUMN added int DEFAULT 7",
    "RENAME COLUMN added TO renamed",
    "ALTER COLUMN renamed TYPE text",
    "ALTER COLUMN properties SET STORAGE EXTERNAL",
];

/// A plain table, its rows, and what happens to it. `ENTER` stands for an entry of `machine` in the ledger.
const PLAIN: [&str; 10] = [
    "CREATE TABLE factory.machine (id bigint PRIMARY KEY, properties json NOT NULL)",
    "ENTER INSERT INTO factory.machine SELECT 1, json_build_object('$dtId', 'machine', 'marker', marker) FROM entered",
    "ALTER TABLE factory.machine ALTER properties TYPE jsonb",
    "ENTER UPDATE factory.machine SET properties = properties || jsonb_build_object('marker', marker) FROM entered",
    // In one transaction, with a change before and one after it.
    "BEGIN;
     UPDATE factory.machine SET properties = properties || '{\"n\": 1}';
     ALTER TABLE factory.machine ADD COLUMN added int DEFAULT 7;
     ALTER TABLE factory.machine RENAME COLUMN id TO number;
     ENTER UPDATE factory.machine SET properties = properties || jsonb_build_object('marker', marker) FROM entered;
     COMMIT",
    "ALTER TABLE factory.machine DROP COLUMN added",
    "ENTER UPDATE factory.machine SET properties = properties || jsonb_build_object('marker', marker) FROM entered",
    "ALTER TABLE factory.machine RENAME TO engine",
    "ENTER UPDATE factory.engine SET properties = properties || jsonb_build_object('marker', marker) FROM entered",
    "TRUNCATE factory.engine",
];

/// Enters a change of `machine` into the ledger.
const ENTER: &str = "WITH entered AS (INSERT INTO ledger.changes (key) VALUES ('machine') RETURNING marker)";

/// So many events come between two changes of a table.
const EVENTS_BETWEEN: usize = 500;

async fn more_events(ordeal: &Ordeal) -> Result<()> {
    ordeal.recorder.until(ordeal.recorder.len() + EVENTS_BETWEEN, SETTLE_DEADLINE).await
}

#[test]
fn a_labels_table_changes_under_load() -> Result<()> {
    alone("ddl-label", json!({}), async |it| {
        // Given changes that are being written
        let url = it.postgres.url("postgres");
        let writer = Writer::start(&url, "twin").await?;
        let ordeal = Ordeal::begin("DDL on a label", &url, &it.capture, SUBSCRIPTION);
        // When the table gets a column, which is renamed and changed
        for change in LABEL {
            more_events(&ordeal).await?;
            it.run(&format!("ALTER TABLE {GRAPH}.\"Twin\" {change}")).await?;
        }
        // And another label comes and goes
        more_events(&ordeal).await?;
        let graph = Graph::open(&url, GRAPH).await?;
        let sensor =
            "INSERT INTO GRAPH.\"Sensor\" (properties) VALUES ('{\"$dtId\": \"sensor\"}'::ag_catalog.agtype)";
        for statement in
            ["SELECT create_vlabel('GRAPH', 'Sensor')", sensor, "SELECT drop_label('GRAPH', 'Sensor')"]
        {
            graph.client().batch_execute(&statement.replace("GRAPH", GRAPH)).await?;
        }
        more_events(&ordeal).await?;
        writer.end().await?;
        // Then all arrives, in order, in one stream, and of the label that is gone its row
        ordeal.settles(0).await?;
        let sensors = ordeal
            .recorder
            .look(|records| records.events.iter().filter(|event| event.label == "Sensor").count());
        ensure!(sensors == 1, "{sensors} events of the label that is gone");
        // When the table is emptied
        it.run(&format!("TRUNCATE {GRAPH}.\"Twin\"")).await?;
        // Then that is told
        let reason = format!("{GRAPH}.Twin was truncated");
        ordeal.recorder.until_discontinuity(&reason, DEADLINE).await?;
        goes_on(it, &ordeal).await
    })
}

/// What is written afterwards arrives, in the same stream.
async fn goes_on(it: &Alone, ordeal: &Ordeal) -> Result<()> {
    it.create("afterwards", 10).await?;
    ordeal.settles(0).await
}

#[test]
fn a_plain_table_changes_while_it_is_written() -> Result<()> {
    alone("ddl-plain", json!({ "graphs": [GRAPH, "factory"], "labels_poll_ms": 50 }), async |it| {
        // Given a schema with a table that capture follows
        let url = it.postgres.url("postgres");
        let ordeal = Ordeal::begin("DDL on a plain table", &url, &it.capture, SUBSCRIPTION);
        let client = it.postgres.connect("postgres").await?;
        client.batch_execute("CREATE SCHEMA factory").await?;
        // When its column is made jsonb, it gets and loses a column, its key is renamed, and then it is, between changes
        for statements in PLAIN {
            client.batch_execute(&statements.replace("ENTER", ENTER)).await?;
            until_followed(&client).await?;
        }
        ordeal.recorder.until(5, SETTLE_DEADLINE).await?;
        // Then that it was emptied is told
        ordeal.recorder.until_discontinuity("factory.engine was truncated", DEADLINE).await?;
        // And each change has come, in order, with the document before it, under the name that the table had
        let told = ordeal.recorder.look(|records| {
            let events = records.events.iter();
            events.map(|event| (event.label.clone(), event.has_old)).collect::<Vec<_>>()
        });
        let expected =
            [("machine", false), ("machine", true), ("machine", true), ("machine", true), ("engine", true)];
        let told: Vec<_> = told.iter().map(|(label, has_old)| (label.as_str(), *has_old)).collect();
        ensure!(told == expected, "{told:?}");
        // When it is dropped
        client.batch_execute("DROP TABLE factory.engine").await?;
        // Then the rest goes on
        goes_on(it, &ordeal).await
    })
}

/// Waits until each table of the schema is published, with its old rows.
async fn until_followed(client: &tokio_postgres::Client) -> Result<()> {
    let sql = "SELECT bool_and(c.relreplident = 'f' AND EXISTS (
                   SELECT FROM pg_publication_tables t WHERE t.schemaname = 'factory' AND t.tablename = c.relname))
               FROM pg_class c WHERE c.relnamespace = 'factory'::regnamespace AND c.relkind = 'r'";
    wait::until(DEADLINE, "capture to follow the table", async || {
        let followed: Option<bool> = client.query_one(sql, &[]).await?.try_get(0)?;
        ensure!(followed.context("no table")?, "it does not yet");
        Ok(())
    })
    .await
}
