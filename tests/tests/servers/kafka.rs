//! Kafka: a record there and back, over a kill, and the size up to which a topic takes one.

use anyhow::{Result, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use twinroute_tests::{
    consumers::{Received, kafka},
    servers::kafka::Kafka,
};

use super::DEADLINE;

const TOPIC: &str = "twins";

async fn produce(brokers: &str, id: &str) -> Result<()> {
    produce_data(brokers, id, r#"{"a": 150.0}"#).await
}

async fn produce_data(brokers: &str, id: &str, data: &str) -> Result<()> {
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
    let record = FutureRecord::to(TOPIC).key("room1").payload(data).headers(headers);
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

#[tokio::test]
async fn a_topic_takes_records_up_to_its_limit_as_soon_as_it_is_set() -> Result<()> {
    // Given a topic with a record, and a broker that is busy with another one
    let server = Kafka::start(&super::dir("kafka_limit")?).await?;
    produce(&server.brokers(), "first").await?;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", server.brokers()).create()?;
    let busy = NewTopic::new("busy", 1_000, TopicReplication::Fixed(1));
    let created = admin.create_topics([&busy], &AdminOptions::new()).await?;
    ensure!(created.iter().all(Result::is_ok), "{created:?}");
    // When its limit is lowered, then a larger record is refused
    let large = format!(r#"{{"a": "{}"}}"#, "x".repeat(400_000));
    server.limit_records(TOPIC, 200_000).await?;
    let refused = produce_data(&server.brokers(), "refused", &large).await;
    assert!(refused.is_err_and(|error| format!("{error:#}").contains("MessageSizeTooLarge")));
    // When it is raised, then that record is taken
    server.limit_records(TOPIC, 1_000_000).await?;
    produce_data(&server.brokers(), "taken", &large).await?;
    // And nothing else is in the topic
    let consumer = kafka::consume(&server.brokers(), TOPIC)?;
    let both = |received: &[Received]| {
        ensure!(received.len() == 2, "{}", received.len());
        Ok(received.iter().map(|event| event.id.clone()).collect::<Vec<_>>())
    };
    let ids = consumer.inbox().until(DEADLINE, "both records", both).await?;
    assert_eq!(ids, ["first", "taken"]);
    assert_eq!(consumer.inbox().faults(), Vec::<String>::new());
    Ok(())
}
