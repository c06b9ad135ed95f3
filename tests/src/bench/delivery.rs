//! Capture and one delivery worker, with one route to Kafka.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::json;
use twinroute_proto::routes::v1::{
    Endpoint, KafkaOptions, endpoint::Destination, routes_service_client::RoutesServiceClient,
};

use super::pipeline::Pipeline;
use super::{EVENTS, RUN_DEADLINE, Run, Source};
use crate::servers::kafka::Kafka;
use crate::services::{Program, Service};
use crate::stack::routes;
use crate::wait;

/// Kafka partitions of the topic.
const TOPIC_PARTITIONS: i32 = 4;
/// How long one call to the broker may take.
const BROKER_DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn run(source: &Source<'_>, kafka: &Kafka) -> Result<Run> {
    let name = format!("bench_kafka_{}", source.round);
    create_topic(kafka, &name).await?;
    let routes_api = routes(source, kafka, &name).await?;
    let mut pipeline = Pipeline::start(source, &name, routes_api).await?;
    until_delivered(kafka, &name).await?;
    let run = pipeline.taken("kafka")?;
    pipeline.end(source).await?;
    Ok(run)
}

/// A routes-api of its own, by which everything goes to the topic.
pub(super) async fn routes(source: &Source<'_>, kafka: &Kafka, topic: &str) -> Result<Service> {
    let url = source.postgres.create_database(&format!("routes_{topic}")).await?;
    let settings = json!({ "postgres": { "url": url } });
    let name = format!("routes-api-{topic}");
    let mut service = Service::start(Program::RoutesApi, &name, settings, source.dir)?;
    service.until_ready().await?;
    let mut client = RoutesServiceClient::connect(format!("http://{}", service.grpc())).await?;
    routes::add(&mut client, endpoint("kafka", kafka.brokers(), topic)).await?;
    Ok(service)
}

/// A topic at a broker.
pub(super) fn endpoint(name: &str, broker: String, topic: &str) -> Endpoint {
    let options = KafkaOptions { brokers: vec![broker], topic: topic.to_owned(), ..KafkaOptions::default() };
    Endpoint { name: name.to_owned(), destination: Some(Destination::Kafka(options)), ..Endpoint::default() }
}

pub(super) async fn create_topic(kafka: &Kafka, topic: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create()?;
    let topic = NewTopic::new(topic, TOPIC_PARTITIONS, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(BROKER_DEADLINE));
    for created in admin.create_topics(&[topic], &options).await? {
        created.map_err(|(topic, code)| anyhow::anyhow!("cannot create {topic}: {code}"))?;
    }
    Ok(())
}

/// Waits until the topic has all events, by its end offsets: reading them would use the processor that is measured.
pub(super) async fn until_delivered(kafka: &Kafka, topic: &str) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create()?;
    wait::until(RUN_DEADLINE, "all events to be in Kafka", async || {
        let mut events = 0;
        for partition in 0..TOPIC_PARTITIONS {
            let (low, high) =
                consumer.fetch_watermarks(topic, partition, BROKER_DEADLINE).context("no offsets")?;
            events += high - low;
        }
        ensure!(u64::try_from(events)? >= EVENTS, "{events} of {EVENTS} are there");
        Ok(())
    })
    .await
}
