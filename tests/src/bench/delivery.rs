//! Capture and one delivery worker, with one route to Kafka.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::json;
use twinroute_proto::routes::v1::{
    CreateEndpointRequest, CreateEventRouteRequest, Endpoint, EventRoute, KafkaOptions,
    endpoint::Destination, routes_service_client::RoutesServiceClient,
};

use super::{EVENTS, RUN_DEADLINE, Run, Source, capture};
use crate::servers::kafka::Kafka;
use crate::services::{Program, Service};
use crate::stack::SOURCE;
use crate::usage;
use crate::wait;

/// Kafka partitions of the topic.
const TOPIC_PARTITIONS: i32 = 4;
/// How long one call to the broker may take.
const BROKER_DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn run(source: &Source<'_>, kafka: &Kafka) -> Result<Run> {
    let subscription = format!("bench_kafka_{}", source.round);
    let topic = format!("bench-{}", source.round);
    create_topic(kafka, &topic).await?;
    let mut routes_api = routes(source, kafka, &topic).await?;
    // Capture's ports are known once it is started, and the time runs from then on.
    let start = Instant::now();
    let mut capture = capture::start(source, &subscription).await?;
    let settings = json!({
        "worker": { "id": subscription, "source": SOURCE },
        "capture": { "addresses": format!("http://{}", capture.grpc()) },
        "stream": { "subscription": subscription },
        "routes_api": { "addresses": format!("http://{}", routes_api.grpc()) },
    });
    let name = format!("delivery-{subscription}");
    let mut delivery = Service::start(Program::Delivery, &name, settings, source.dir)?;
    until_delivered(kafka, &topic).await?;
    let seconds = start.elapsed().as_secs_f64();
    let captured = usage::of(capture.process().pid())?;
    let delivered = usage::of(delivery.process().pid())?;
    for service in [&mut delivery, &mut capture, &mut routes_api] {
        service.terminate().await?;
    }
    source.workload.drop_slot(&format!("twinroute_{subscription}")).await?;
    Ok(Run {
        name: "kafka",
        seconds,
        cpu_s: vec![("capture", captured.cpu_s), ("delivery", delivered.cpu_s)],
        peak_rss_mib: vec![("capture", captured.peak_rss_mib), ("delivery", delivered.peak_rss_mib)],
    })
}

/// A routes-api of its own, with one endpoint and one route.
pub(super) async fn routes(source: &Source<'_>, kafka: &Kafka, topic: &str) -> Result<Service> {
    let database = format!("routes_{}", source.round);
    let url = source.postgres.create_database(&database).await?;
    let settings = json!({ "postgres": { "url": url } });
    let mut service =
        Service::start(Program::RoutesApi, &format!("routes-api-{}", source.round), settings, source.dir)?;
    service.until_ready().await?;
    let mut client = RoutesServiceClient::connect(format!("http://{}", service.grpc())).await?;
    let options =
        KafkaOptions { brokers: vec![kafka.brokers()], topic: topic.to_owned(), ..KafkaOptions::default() };
    let endpoint = Endpoint {
        name: "kafka".to_owned(),
        destination: Some(Destination::Kafka(options)),
        ..Endpoint::default()
    };
    client.create_endpoint(CreateEndpointRequest { endpoint: Some(endpoint) }).await?;
    let route = EventRoute {
        name: "kafka-events".to_owned(),
        endpoint_name: "kafka".to_owned(),
        filter: "true".to_owned(),
        ..EventRoute::default()
    };
    client.create_event_route(CreateEventRouteRequest { event_route: Some(route) }).await?;
    Ok(service)
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
async fn until_delivered(kafka: &Kafka, topic: &str) -> Result<()> {
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
