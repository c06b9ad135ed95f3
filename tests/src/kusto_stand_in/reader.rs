//! Ingestion: takes messages from the queue, reads their blobs, maps them into rows.

use std::{
    io::Read as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use azure_core::http::StatusCode;
use azure_storage_queue::{
    QueueClient,
    models::{
        QueueClientGetPropertiesResultHeaders as _, QueueClientReceiveMessagesOptions, ReceivedMessage,
    },
};
use flate2::read::MultiGzDecoder;
use serde_json::value::RawValue;

use super::{
    error::Refusal,
    management::IDENTITY_TOKEN,
    mapping::Mapping,
    message::IngestionMessage,
    resources::Resources,
    store::{Failure, Store},
    table::Extent,
};

/// How long an empty queue is left alone. Kusto itself waits for minutes; tests should not.
const IDLE: Duration = Duration::from_millis(50);

/// How long Azurite is left alone after an error.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// As many messages as the queue gives at a time.
const MESSAGES_MAX: i32 = 32;

/// A message that was taken and not deleted comes back after this many seconds: soon, since a stand-in that is started again
/// waits for it.
const VISIBILITY_TIMEOUT_S: u32 = 5;

/// How long a blob may take to arrive.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(30);

/// The first bytes of a gzip stream (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Ingests without end.
pub(super) async fn run(store: &Mutex<Store>, resources: &Resources) -> Result<()> {
    let queue = resources.ready()?;
    let http = reqwest::Client::builder().timeout(DOWNLOAD_DEADLINE).build()?;
    if !is_empty(&queue).await.unwrap_or_default() {
        // What was taken before a kill comes back only now, and what stands behind it must not overtake it.
        tokio::time::sleep(Duration::from_secs(VISIBILITY_TIMEOUT_S.into())).await;
    }
    let mut taken = Vec::new();
    loop {
        let pause = match round(store, &queue, &http, &mut taken).await {
            Ok(0) => IDLE,
            Ok(_) => continue,
            Err(e) => {
                tracing::warn!("ingestion pauses: {e:#}");
                PAUSE_AFTER_ERROR
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Nothing is in the queue, not even what was taken and not deleted.
async fn is_empty(queue: &QueueClient) -> Result<bool> {
    Ok(queue.get_properties(None).await?.approximate_messages_count()? == Some(0))
}

/// Ingests the messages that are there, in the order in which they were made; gives back how many. One that cannot be ingested
/// yet stays `taken`, and is not overtaken: in the queue it would come back behind those that came meanwhile.
async fn round(
    store: &Mutex<Store>,
    queue: &QueueClient,
    http: &reqwest::Client,
    taken: &mut Vec<ReceivedMessage>,
) -> Result<usize> {
    take(queue, taken).await?;
    let mut count = 0;
    while let Some(message) = taken.first() {
        ingest(store, http, message).await?;
        let id = message.message_id.as_deref().context("a message without id")?;
        let receipt = message.pop_receipt.as_deref().context("a message without receipt")?;
        match queue.delete_message(id, receipt, None).await {
            // It was deleted, and the answer was lost.
            Err(e) if e.http_status() == Some(StatusCode::NotFound) => {}
            deleted => drop(deleted?),
        }
        taken.remove(0);
        count += 1;
    }
    Ok(count)
}

/// Takes what is in the queue. One that has come back takes the place of what it was.
async fn take(queue: &QueueClient, taken: &mut Vec<ReceivedMessage>) -> Result<()> {
    loop {
        let options = QueueClientReceiveMessagesOptions {
            number_of_messages: Some(MESSAGES_MAX),
            visibility_timeout: Some(VISIBILITY_TIMEOUT_S.try_into()?),
            ..Default::default()
        };
        let received = queue.receive_messages(Some(options)).await?.into_model()?;
        let messages = received.items.unwrap_or_default();
        if messages.is_empty() {
            taken.sort_by_cached_key(made_at);
            return Ok(());
        }
        for message in messages {
            taken.retain(|known| known.message_id != message.message_id);
            taken.push(message);
        }
    }
}

fn made_at(message: &ReceivedMessage) -> Option<jiff::civil::DateTime> {
    let text = message.message_text.as_deref().unwrap_or_default();
    IngestionMessage::parse(text).ok()?.made_at()
}

/// Fails only where another try may help.
async fn ingest(store: &Mutex<Store>, http: &reqwest::Client, queued: &ReceivedMessage) -> Result<()> {
    let id = queued.message_id.as_deref().unwrap_or_default();
    let text = queued.message_text.as_deref().unwrap_or_default();
    let (table, blob, outcome) = match IngestionMessage::parse(text) {
        Err(refusal) => (String::new(), String::new(), Err(refusal)),
        Ok(message) => {
            let content = download(http, &message.blob_path).await?;
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = apply(&mut store, id, &message, &content);
            let blob = message.blob_path.split('?').next().unwrap_or_default();
            (message.table_name, blob.to_owned(), outcome)
        }
    };
    if let Err(refusal) = outcome {
        let reason = refusal.to_string();
        tracing::warn!("cannot ingest {blob}: {reason}");
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        store.fail(Failure { table, blob, reason });
    }
    Ok(())
}

async fn download(http: &reqwest::Client, url: &str) -> Result<String> {
    let answer = http.get(url).send().await?.error_for_status()?;
    let bytes = answer.bytes().await?;
    let mut text = String::new();
    if bytes.starts_with(&GZIP_MAGIC) {
        MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text)?;
    } else {
        (&bytes[..]).read_to_string(&mut text)?;
    }
    Ok(text)
}

fn apply(store: &mut Store, id: &str, message: &IngestionMessage, content: &str) -> Result<(), Refusal> {
    let properties = &message.additional_properties;
    if properties.authorization_context.as_deref() != Some(IDENTITY_TOKEN) {
        return Err(Refusal::invalid("authorizationContext is not what .get kusto identity token gave"));
    }
    let table = store.table_mut(&message.database_name, &message.table_name)?;
    let exists = properties.unless()?.iter().any(|tag| table.has_tag(tag));
    if exists || table.has_message(id) {
        return Ok(());
    }
    let mapping = match (&properties.ingestion_mapping_reference, &properties.ingestion_mapping) {
        (Some(name), _) => {
            let text = table.mappings().get(name);
            Mapping::parse(text.ok_or_else(|| Refusal::not_found("MappingPersistent", name))?)?
        }
        (None, Some(text)) => Mapping::parse(text)?,
        (None, None) => Mapping::by_name(table.columns()),
    };
    let documents = documents(properties.format.as_deref().unwrap_or("csv"), content)?;
    let rows = documents.iter().map(|document| mapping.row(table.columns(), document));
    let rows = rows.collect();
    let extent = Extent::of(id, properties.ingest_by()?);
    table.append(rows, extent).map_err(|e| Refusal::internal(&e))
}

/// The documents of a blob: one after the other, or, in `multijson`, in one array.
fn documents(format: &str, content: &str) -> Result<Vec<Box<RawValue>>, Refusal> {
    let array = content.trim_start().starts_with('[');
    let read = match format.to_lowercase().as_str() {
        "multijson" if array => serde_json::from_str(content),
        "json" | "multijson" => serde_json::Deserializer::from_str(content).into_iter().collect(),
        other => return Err(Refusal::invalid(format!("the stand-in does not read {other}"))),
    };
    read.map_err(|e| Refusal::invalid(format!("the blob is not {format}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_lines_or_an_array() -> Result<(), Refusal> {
        assert_eq!(documents("json", "{\"a\":1}\n{\"a\":2}\n")?.len(), 2);
        assert_eq!(documents("multijson", "[{\"a\":1},\n{\"a\":2}]")?.len(), 2);
        assert!(documents("csv", "1,2").is_err());
        assert!(documents("json", "{\"a\"").is_err());
        Ok(())
    }
}
