//! PostgreSQL with AGE: Cypher, the ledger, bulk writes, restarts, two servers side by side.

use anyhow::{Context as _, Result};
use serde_json::json;
use twinroute_tests::{
    servers::postgres::{Postgres, Shutdown},
    twins::{Graph, Relationship, Twin, bulk::Bulk, ledger},
};

const ROOM: &str = "dtmi:example:Room;1";

#[tokio::test]
async fn twins_are_written_through_cypher_and_read_back() -> Result<()> {
    // Given a graph with a model and two related twins with awkward values
    let server = Postgres::start(&super::dir("postgres-cypher")?).await?;
    let url = server.create_database("factory").await?;
    let mut graph = Graph::create(&url, "factory").await?;
    let change = graph.change().await?;
    change.put_model(ROOM, &json!({"@id": ROOM, "@type": "Interface"})).await?;
    let awkward = "it's a \"quote\" \\ $$ $cypher0$ `ü`\n";
    for id in ["room1", "room2"] {
        let marker = change.mark(id).await?;
        let properties = json!({"Temperature": 150.0, "text": awkward, "marker": marker});
        change.put_twin(&Twin::new(id, ROOM, properties)).await?;
    }
    let mut door = Relationship::new("door1", "leadsTo", ("room1", "room2"), json!({"open": true}));
    change.relate(&door).await?;
    change.commit().await?;
    // When the twin and the relationship are updated, and another update is rolled back
    let change = graph.change().await?;
    change.set("room1", json!({"Temperature": 22.5})).await?;
    door.properties.insert("open".to_owned(), json!(false));
    change.update_relationship(&door).await?;
    change.commit().await?;
    let change = graph.change().await?;
    change.mark("room1").await?;
    change.set("room1", json!({"Temperature": -1})).await?;
    change.rollback().await?;
    // Then all reads back as it was written
    let change = graph.change().await?;
    let room = change.twin("room1").await?;
    assert_eq!(room.get("Temperature"), Some(&json!(22.5)));
    assert_eq!(room.get("text"), Some(&json!(awkward)));
    let updated = "/$metadata/Temperature/lastUpdateTime";
    assert!(json!(room).pointer(updated).is_some(), "{room:?}");
    let open = change.cypher("MATCH ()-[r:leadsTo]->() RETURN r.open").await?;
    assert_eq!(open, ["false"]);
    // And the ledger holds what was committed
    change.detach_delete_twin("room1").await?;
    change.delete_twin("room2").await?;
    change.delete_model(ROOM).await?;
    assert_eq!(change.cypher("MATCH (n) RETURN n").await?.len(), 0);
    change.commit().await?;
    let expected = ledger::expected(graph.client()).await?;
    let keys: Vec<&str> = expected.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["room1", "room2"]);
    Ok(())
}

#[tokio::test]
async fn bulk_writes_enter_every_twin_into_the_ledger() -> Result<()> {
    // Given a thousand twins written in one statement
    let server = Postgres::start(&super::dir("postgres-bulk")?).await?;
    let url = server.url("postgres");
    let bulk = Bulk::new(Graph::create(&url, "plant").await?, "machine").await?;
    bulk.create(0, 1_000).await?;
    // When some are updated
    bulk.update(100, 50).await?;
    // Then each change is in the ledger, and in its twin
    let mut graph = Graph::open(&url, "plant").await?;
    let expected = ledger::expected(graph.client()).await?;
    assert_eq!(expected.len(), 1_050);
    let last = expected.last().context("a last one")?;
    let change = graph.change().await?;
    let twin = change.twin(&last.key).await?;
    assert_eq!(twin.get(ledger::MARKER).map(ToString::to_string), Some(last.marker.clone()));
    Ok(())
}

#[tokio::test]
async fn a_server_comes_back_on_its_data_and_port_however_it_ended() -> Result<()> {
    // Given two servers side by side, one with a table
    let dir = super::dir("postgres-restart")?;
    let (first, second) = tokio::join!(async { Postgres::start(&dir.join("first")).await }, async {
        Postgres::start(&dir.join("second")).await
    },);
    let (mut server, _other) = (first?, second?);
    let client = server.connect("postgres").await?;
    client.batch_execute("CREATE TABLE kept AS SELECT 1 AS n").await?;
    // When it is restarted in each way, and killed
    server.restart(Shutdown::Fast).await?;
    server.restart(Shutdown::Immediate).await?;
    server.kill().await?;
    server.start_again().await?;
    // Then the table is there
    let client = server.connect("postgres").await?;
    let count: i32 = client.query_one("SELECT n FROM kept", &[]).await?.try_get(0)?;
    assert_eq!(count, 1);
    Ok(())
}

#[tokio::test]
async fn the_tools_of_the_tree_reach_the_server() -> Result<()> {
    // Given a slot
    let server = Postgres::start(&super::dir("postgres-tools")?).await?;
    let client = server.connect("postgres").await?;
    let slot = "SELECT pg_create_logical_replication_slot('s', 'test_decoding')";
    client.batch_execute(slot).await?;
    // When pg_recvlogical drops it
    let mut tool = server.tool("pg_recvlogical");
    tool.args(["--drop-slot", "--slot=s", "--dbname", &server.url("postgres")]);
    let output = tool.output()?;
    // Then it is gone
    assert!(output.status.success(), "{output:?}");
    let left = client.query("SELECT FROM pg_replication_slots", &[]).await?;
    assert!(left.is_empty());
    Ok(())
}
