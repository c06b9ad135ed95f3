//! Reads the rows of Kusto tables from the stand-in.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Consumer, Inbox, PAUSE_AFTER_ERROR, Received, Sink, deliver};

/// The tables of Azure Digital Twins' data history, as this project names them by default.
pub const TABLES: [&str; 3] =
    ["AdtPropertyEvents", "AdtTwinLifeCycleEvents", "AdtRelationshipLifeCycleEvents"];

/// How often the tables are asked for new rows: often, for it is part of the measured latency.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long one answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Consumes `tables` of `database` from the stand-in at `uri`; tables that are missing may come.
///
/// # Errors
/// When the HTTP client cannot be made.
pub fn consume(uri: &str, database: &str, tables: &[&str]) -> Result<Consumer> {
    let http = reqwest::Client::builder().timeout(ANSWER_DEADLINE).build()?;
    let mut tables: Vec<TableReader> = tables
        .iter()
        .map(|&table| TableReader {
            table: table.to_owned(),
            rows: format!("{uri}/rows?database={database}&table={table}&from="),
            seen: 0,
        })
        .collect();
    let inbox = Inbox::default();
    Ok(Consumer::run(&inbox.clone(), async move {
        loop {
            for table in &mut tables {
                if table.poll(&http, &inbox).await.is_err() {
                    // The stand-in is down; it keeps its rows.
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }))
}

struct TableReader {
    table: String,
    /// The URL of its rows, but for the number of the first.
    rows: String,
    seen: usize,
}

impl TableReader {
    async fn poll(&mut self, http: &reqwest::Client, inbox: &Inbox) -> Result<()> {
        let answer = http.get(format!("{}{}", self.rows, self.seen)).send().await?;
        if answer.status() == reqwest::StatusCode::BAD_REQUEST {
            // Not created yet.
            return Ok(());
        }
        let text = answer.error_for_status()?.text().await?;
        for line in text.lines() {
            deliver(inbox, read(&self.table, line));
            self.seen += 1;
        }
        Ok(())
    }
}

/// What of a row of any of the tables is looked at; the columns are those of the design.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    event_id: String,
    sequence: String,
    time_stamp: jiff::Timestamp,
    service_id: String,
    id: Option<String>,
    twin_id: Option<String>,
    relationship_id: Option<String>,
    source: Option<String>,
}

fn read(table: &str, line: &str) -> Result<Received> {
    let row: Row = serde_json::from_str(line).with_context(|| format!("not a row of {table}: {line}"))?;
    ensure!(!row.event_id.is_empty(), "a row without EventId: {line}");
    let key = row.id.or(row.twin_id).or(row.source);
    let key = key.with_context(|| format!("a row of nobody: {line}"))?;
    let subject = match row.relationship_id.as_deref() {
        None | Some("") => key.clone(),
        Some(relationship) => format!("{key}/relationships/{relationship}"),
    };
    Ok(Received {
        sink: Sink::Kusto,
        id: row.event_id,
        source: row.service_id,
        type_: table.to_owned(),
        subject,
        key,
        sequence: row.sequence,
        time: row.time_stamp,
        data: RawValue::from_string(line.to_owned())?,
        wire: line.into(),
        received_at: jiff::Timestamp::now(),
    })
}
