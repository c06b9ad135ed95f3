//! Reads a Kafka topic from its beginning: `CloudEvents` in binary content mode
//! (CloudEvents Kafka protocol binding 1.0.2, section 3.2).

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{Consumer as _, StreamConsumer},
    message::{BorrowedMessage, Headers as _},
};
use serde_json::value::RawValue;

use super::{CONNECT_DEADLINE, Consumer, Inbox, PAUSE_AFTER_ERROR, Received, Sink, deliver};
use crate::wait;

/// Consumes all partitions of `topic`, which is created when missing.
///
/// # Errors
/// When the consumer cannot be made.
pub fn consume(brokers: &str, topic: &str) -> Result<Consumer> {
    Ok(start(brokers, topic)?.1)
}

/// Consumes as [`consume`] does, and has been given its partitions when this returns.
///
/// # Errors
/// When the broker does not answer in time.
pub async fn attach(brokers: &str, topic: &str) -> Result<Consumer> {
    let (client, consumer) = start(brokers, topic)?;
    // To ask for a topic makes it; to subscribe to it does not.
    let (asking, asked) = (Arc::clone(&client), topic.to_owned());
    tokio::task::spawn_blocking(move || asking.fetch_metadata(Some(&asked), CONNECT_DEADLINE))
        .await?
        .with_context(|| format!("the Kafka broker {brokers} does not answer"))?;
    wait::until(CONNECT_DEADLINE, "partitions of the Kafka topic", async || {
        ensure!(client.assignment()?.count() > 0, "{topic} at {brokers}: none yet");
        Ok(())
    })
    .await?;
    Ok(consumer)
}

fn start(brokers: &str, topic: &str) -> Result<(Arc<StreamConsumer>, Consumer)> {
    let client: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // A group of its own: it reads everything.
        .set("group.id", uuid::Uuid::new_v4().to_string())
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "true")
        // A topic that appears is seen soon, and so are events.
        .set("topic.metadata.refresh.interval.ms", "500")
        .set("fetch.wait.max.ms", "20")
        // A broker that is down for a while is part of the tests.
        .set("reconnect.backoff.max.ms", "500")
        .set("log_level", "2")
        .create()?;
    client.subscribe(&[topic])?;
    let client = Arc::new(client);
    let inbox = Inbox::default();
    let receiving = Arc::clone(&client);
    let consumer = Consumer::run(&inbox.clone(), async move {
        loop {
            match receiving.recv().await {
                Ok(message) => {
                    deliver(&inbox, read(&message));
                    // While messages are there, receiving them never waits; other consumers must run too.
                    tokio::task::coop::consume_budget().await;
                }
                // Of the connection, not of an event: the client goes on by itself.
                Err(_) => tokio::time::sleep(PAUSE_AFTER_ERROR).await,
            }
        }
    });
    Ok((client, consumer))
}

fn read(message: &BorrowedMessage<'_>) -> Result<Received> {
    let received_at = jiff::Timestamp::now();
    let headers = message.headers().context("a record without headers")?;
    let mut attributes = BTreeMap::new();
    let mut wire = format!("key: {}\n", String::from_utf8_lossy(message.key().unwrap_or_default()));
    for header in headers.iter() {
        let value = str::from_utf8(header.value.unwrap_or_default())
            .with_context(|| format!("header {} is not UTF-8", header.key))?;
        writeln!(wire, "{}: {value}", header.key)?;
        let name = header.key.strip_prefix("ce_").unwrap_or(header.key);
        let before = attributes.insert(name, value);
        ensure!(before.is_none(), "header {name} is there twice");
    }
    let attribute = |name: &str| {
        let value = attributes.get(name).copied().map(str::to_owned);
        value.with_context(|| format!("an event without {name}: {attributes:?}"))
    };
    ensure!(attribute("specversion")? == "1.0", "specversion is not 1.0");
    ensure!(attribute("content-type")? == "application/json", "content-type is not application/json");
    let key = attribute("partitionkey")?;
    ensure!(message.key() == Some(key.as_bytes()), "the record's key is not the ordering key {key}");
    let data = str::from_utf8(message.payload().context("a record without value")?)?;
    write!(wire, "\n{data}")?;
    Ok(Received {
        sink: Sink::Kafka,
        id: attribute("id")?,
        source: attribute("source")?,
        type_: attribute("type")?,
        subject: attribute("subject")?,
        key,
        sequence: attribute("sequence")?,
        time: attribute("time")?.parse().context("time is none")?,
        data: RawValue::from_string(data.to_owned()).context("the value is not JSON")?,
        wire: wire.into(),
        received_at,
    })
}
