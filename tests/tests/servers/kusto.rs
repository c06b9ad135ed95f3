//! The Kusto stand-in: the official client ingests through it, and it keeps what it has.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use twinroute_tests::{
    checkout, consumers,
    servers::{azurite::Azurite, kusto::Kusto},
    wait,
};

use super::DEADLINE;

const DATABASE: &str = "history";
const TABLE: &str = "AdtPropertyEvents";
const COLUMNS: &str =
    "TimeStamp:datetime, ServiceId:string, Id:string, Value:dynamic, EventId:string, Sequence:string";
const MAPPING: &str = r#"[
    {"column": "TimeStamp", "Properties": {"Path": "$.timeStamp"}},
    {"column": "ServiceId", "Properties": {"Path": "$.serviceId"}},
    {"column": "Id", "Properties": {"Path": "$.twinId"}},
    {"column": "Value", "Properties": {"Path": "$.propertyValue"}},
    {"column": "EventId", "Properties": {"Path": "$.eventId"}},
    {"column": "Sequence", "Properties": {"Path": "$.sequence"}}
]"#;

async fn command(uri: &str, text: &str) -> Result<Value> {
    let request = json!({"db": DATABASE, "csl": text});
    let endpoint = format!("{uri}/v1/rest/mgmt");
    let answer = reqwest::Client::new().post(endpoint).json(&request).send().await?;
    let status = answer.status();
    let answer: Value = answer.json().await?;
    ensure!(status.is_success(), "{text} gives {answer}");
    Ok(answer)
}

/// Runs the official client; it must succeed.
fn ingest_officially(uri: &str, file: &std::path::Path) -> Result<()> {
    let python = checkout::installed("kusto-ingest-6.0.4")?.join("bin/python");
    let script = checkout::root().join("tests/tests/servers/ingest.py");
    let output = Command::new(python)
        .arg(script)
        .args([uri, DATABASE, TABLE, "PropertyMapping"])
        .arg(file)
        .output()
        .context("cannot run Python")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn the_official_client_ingests_through_the_stand_in() -> Result<()> {
    // Given a table with a mapping, and a consumer of it
    let dir = super::dir("kusto")?;
    let azurite = Azurite::start(&dir.join("azurite")).await?;
    let mut kusto = Kusto::start(&dir.join("kusto"), &azurite).await?;
    let uri = kusto.uri();
    command(&uri, &format!(".create-merge table {TABLE} ({COLUMNS})")).await?;
    let mapping = format!(
        ".create-or-alter table {TABLE} ingestion json mapping 'PropertyMapping' '{}'",
        MAPPING.replace('\n', " ")
    );
    command(&uri, &mapping).await?;
    let consumer = consumers::kusto::consume(&uri, DATABASE, &[TABLE])?;
    // When the official Python client ingests a file of two documents, twice with the same tag
    let file = dir.join("events.json");
    let document = |id: &str, value: &str| {
        format!(
            r#"{{"timeStamp":"2026-01-01T11:00:00.000001Z","serviceId":"https://here/","twinId":"room1","propertyValue":{value},"eventId":"{id}","sequence":"0{id}"}}"#
        )
    };
    std::fs::write(&file, format!("{}\n{}\n", document("1", "150.0"), document("2", "{\"b\": [1]}")))?;
    ingest_officially(&uri, &file)?;
    // Then the two rows are there once, mapped, in order
    let inbox = consumer.inbox();
    let received = inbox
        .until(DEADLINE, "both rows", |received| {
            ensure!(received.len() == 2);
            Ok(received.to_vec())
        })
        .await?;
    assert_eq!(inbox.faults(), Vec::<String>::new());
    let ids: Vec<&str> = received.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["1", "2"]);
    let first = received.first().context("a row")?;
    assert!(first.data.get().contains(r#""Value":150.0"#), "{}", first.data);
    // And they are still there, once, after a kill
    kusto.kill().await?;
    kusto.start_again().await?;
    let rows = format!("{uri}/rows?table={TABLE}");
    let text = reqwest::get(&rows).await?.text().await?;
    assert_eq!(text.lines().count(), 2);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_ingested_is_told() -> Result<()> {
    // Given a table without the mapping that the client names
    let dir = super::dir("kusto-failures")?;
    let azurite = Azurite::start(&dir.join("azurite")).await?;
    let kusto = Kusto::start(&dir.join("kusto"), &azurite).await?;
    let uri = kusto.uri();
    let create = format!(".create table {TABLE} (Id:string)");
    command(&uri, &create).await?;
    let other = format!(
        ".create table {TABLE} ingestion json mapping 'PropertyMapping' '[{{\"column\":\"Id\",\"Properties\":{{\"Path\":\"$.id\"}}}}]'"
    );
    command(&uri, &other).await?;
    assert!(command(&uri, &other).await.is_err(), "a second mapping of this name");
    // When a document is ingested that is no JSON
    let file = dir.join("events.json");
    std::fs::write(&file, "{\"id\": ")?;
    ingest_officially(&uri, &file)?;
    // Then the failure is listed, with the reason
    let failures = wait::until(DEADLINE, "a failure", async || {
        let answer = command(&uri, ".show ingestion failures").await?;
        let failures = answer.pointer("/Tables/0/Rows/0").context("none")?;
        Ok(failures.to_string())
    })
    .await?;
    assert!(failures.contains("not multijson"), "{failures}");
    Ok(())
}
