//! Kafka: a record there and back, over a kill.

use anyhow::{Result, ensure};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use twinroute_tests::{consumers::kafka, servers::kafka::Kafka};

use super::DEADLINE;

const TOPIC: &str = "twins";

async fn produce(brokers: &str, id: &str) -> Result<()> {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", "https://here/"),
        ("ce_type", "t"),
        ("ce_subject", "room1"),
        ("ce_time", "2026-01-01T11:00:00.000001Z"),
        ("ce_sequence", "01"),
        ("ce_partitionkey", "room1"),
        ("content-type", "application/json"),
    ]
    .into_iter()
    .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
    let record = FutureRecord::to(TOPIC).key("room1").payload(r#"{"a": 150.0}"#).headers(headers);
    producer.send(record, DEADLINE).await.map_err(|(e, _)| e)?;
    Ok(())
}

#[tokio::test]
async fn a_cloud_event_is_read_back_also_over_a_kill_of_the_broker() -> Result<()> {
    // Given a consumer of a topic that does not exist yet
    let mut server = Kafka::start(&super::dir("kafka")?).await?;
    let consumer = kafka::consume(&server.brokers(), TOPIC)?;
    // When one event is produced before and one after the broker is killed
    produce(&server.brokers(), "first").await?;
    let inbox = consumer.inbox();
    inbox
        .until(DEADLINE, "the first event", |received| {
            ensure!(received.len() == 1);
            Ok(())
        })
        .await?;
    server.kill().await?;
    server.start_again().await?;
    produce(&server.brokers(), "second").await?;
    // Then both arrive, byte for byte
    let received = inbox
        .until(DEADLINE, "the second event", |received| {
            ensure!(received.len() == 2);
            Ok(received.to_vec())
        })
        .await?;
    assert_eq!(inbox.faults(), Vec::<String>::new());
    let ids: Vec<&str> = received.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["first", "second"]);
    assert!(received.iter().all(|event| event.data.get() == r#"{"a": 150.0}"#));
    Ok(())
}
