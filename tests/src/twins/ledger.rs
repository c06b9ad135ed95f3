//! The ledger: one row per change, written in the same transaction, in a schema that nobody
//! captures. What it holds must arrive.

use anyhow::Result;
use serde_json::Value;
use tokio_postgres::{Client, GenericClient};

use crate::{
    consumers::{Received, Sink},
    oracle::{Arrival, Expected},
};

/// The property in which a document carries the number of the change that wrote it.
pub const MARKER: &str = "marker";

/// `marker` is the row's number, so that it is unique and rises with the commits of one key.
const SCHEMA: &str = "
CREATE SCHEMA IF NOT EXISTS ledger;
CREATE TABLE IF NOT EXISTS ledger.changes (
    marker bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    written timestamptz NOT NULL DEFAULT clock_timestamp()
)";

/// Makes the ledger when it is missing.
///
/// # Errors
/// When the server refuses.
pub async fn create(client: &Client) -> Result<()> {
    Ok(client.batch_execute(SCHEMA).await?)
}

/// Enters a change of `key`; gives back its marker.
pub(super) async fn enter(client: &impl GenericClient, key: &str) -> Result<i64> {
    let sql = "INSERT INTO ledger.changes (key) VALUES ($1) RETURNING marker";
    Ok(client.query_one(sql, &[&key]).await?.try_get(0)?)
}

/// All committed changes, in their order per key.
///
/// # Errors
/// When the server does not answer.
pub async fn expected(client: &Client) -> Result<Vec<Expected>> {
    let rows = client.query("SELECT key, marker FROM ledger.changes ORDER BY marker", &[]).await?;
    let change = |row: &tokio_postgres::Row| {
        Ok(Expected { key: row.try_get(0)?, marker: row.try_get::<_, i64>(1)?.to_string() })
    };
    rows.iter().map(change).collect()
}

/// How many changes have been committed.
///
/// # Errors
/// When the server does not answer.
pub async fn count(client: &Client) -> Result<usize> {
    let row = client.query_one("SELECT count(*) FROM ledger.changes", &[]).await?;
    Ok(row.try_get::<_, i64>(0)?.try_into()?)
}

/// What the oracle needs to know of an event.
#[must_use]
pub fn arrival(received: &Received) -> Arrival {
    Arrival {
        id: received.id.clone(),
        scope: received.scope(),
        sequence: received.sequence.clone(),
        key: received.key.clone(),
        marker: marker(received).map(|marker| marker.to_string()),
    }
}

/// The marker that an event shows: of a document written, of a patch that sets it, of a property
/// event about it. A deletion shows the document's last one; it is not this change's.
#[must_use]
pub fn marker(received: &Received) -> Option<i64> {
    let data: Value = serde_json::from_str(received.data.get()).ok()?;
    if received.sink == Sink::Kusto {
        let about = data.get("Key").and_then(Value::as_str) == Some(MARKER);
        return about.then(|| data.get("Value")?.as_i64())?;
    }
    marker_in(&received.type_, &data)
}

/// The same of an event's data, by its type.
#[must_use]
pub fn marker_in(type_: &str, data: &Value) -> Option<i64> {
    if type_.ends_with(".Delete") {
        return None;
    }
    if let Some(operations) = data.get("patch").and_then(Value::as_array) {
        let path = format!("/{MARKER}");
        let mut of_marker = operations
            .iter()
            .filter(|operation| operation.get("path").and_then(Value::as_str) == Some(&path));
        return of_marker.next()?.get("value")?.as_i64();
    }
    if data.get("propertyName").and_then(Value::as_str) == Some(MARKER) {
        return data.get("propertyValue")?.as_i64();
    }
    data.get(MARKER)?.as_i64()
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;

    fn received(sink: Sink, type_: &str, data: &Value) -> Result<Received> {
        Ok(Received {
            sink,
            id: String::new(),
            source: String::new(),
            type_: type_.to_owned(),
            subject: String::new(),
            key: String::new(),
            sequence: String::new(),
            time: jiff::Timestamp::UNIX_EPOCH,
            data: to_raw_value(data)?,
            wire: "".into(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn every_kind_of_event_shows_its_marker() -> Result<()> {
        for (sink, type_, data, expected) in [
            (Sink::Kafka, "P.Twin.Create", json!({"marker": 7}), Some(7)),
            (Sink::Kafka, "P.Twin.Delete", json!({"marker": 7}), None),
            (
                Sink::Mqtt,
                "P.Twin.Update",
                json!({"patch": [{"op": "replace", "path": "/t", "value": 1},
                    {"op": "replace", "path": "/marker", "value": 8}]}),
                Some(8),
            ),
            (Sink::Kafka, "P.Property.Event", json!({"propertyName": "marker", "propertyValue": 9}), Some(9)),
            (Sink::Kusto, "T", json!({"Key": "marker", "Value": 10}), Some(10)),
            (Sink::Kusto, "T", json!({"Key": "t", "Value": 10}), None),
        ] {
            assert_eq!(marker(&received(sink, type_, &data)?), expected, "{type_} {data}");
        }
        Ok(())
    }
}
