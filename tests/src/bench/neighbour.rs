//! `neighbour_of_dead_sink`: how late events are at Kafka alone, and beside an endpoint whose broker is dead.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use twinroute_proto::routes::v1::{
    CreateEndpointRequest, CreateEventRouteRequest, Endpoint, EndpointHealth, EventRoute, GetEndpointRequest,
    MqttOptions, endpoint::Destination, routes_service_client::RoutesServiceClient,
};

use super::workload::DATABASE;
use super::{RUN_DEADLINE, Source, capture, delivery};
use crate::consumers::{Inbox, Received, kafka as consumer};
use crate::oracle::percentile;
use crate::ports;
use crate::servers::kafka::Kafka;
use crate::services::{Program, Service};
use crate::stack::{GRAPH, SOURCE};
use crate::twins::{Graph, bulk::Bulk};
use crate::wait;

/// Name of the subscription, the topic and the twins.
const NAME: &str = "bench_neighbour";
/// Twins that are changed in turn, one in a transaction.
const TWINS: i32 = 200;
/// Time from one transaction to the next.
const PACE: Duration = Duration::from_millis(1);
/// How long is written before anything is measured, and how long then.
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(10);

/// How late events are at the healthy endpoint.
#[derive(Debug, Serialize)]
pub(super) struct Neighbour {
    pub(super) alone: Latency,
    pub(super) beside_dead: Latency,
}

/// From commit to consumer.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    /// As many as the writer managed.
    pub(super) transactions_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

pub(super) async fn run(source: &Source<'_>, kafka: &Kafka) -> Result<Neighbour> {
    delivery::create_topic(kafka, NAME).await?;
    let mut routes_api = delivery::routes(source, kafka, NAME).await?;
    let mut capture = capture::serve(source, NAME)?;
    let settings = json!({
        "worker": { "id": NAME, "source": SOURCE },
        "capture": { "addresses": format!("http://{}", capture.grpc()) },
        "stream": { "subscription": NAME },
        "routes_api": { "addresses": format!("http://{}", routes_api.grpc()) },
    });
    let mut delivery = Service::start(Program::Delivery, "delivery-neighbour", settings, source.dir)?;
    delivery.until_ready().await?;
    let bulk = Bulk::new(Graph::open(&source.postgres.url(DATABASE), GRAPH).await?, NAME).await?;
    bulk.create(0, TWINS).await?;
    let consumer = consumer::attach(&kafka.brokers(), NAME).await?;

    let alone = measure(&bulk, consumer.inbox()).await?;
    kill_a_neighbour(&routes_api, &bulk).await?;
    let beside_dead = measure(&bulk, consumer.inbox()).await?;
    for service in [&mut capture, &mut delivery, &mut routes_api] {
        service.terminate().await?;
    }
    source.workload.drop_slot(&format!("twinroute_{NAME}")).await?;
    Ok(Neighbour { alone, beside_dead })
}

/// Makes an endpoint that gets everything and whose broker is not there, and waits until it is down.
async fn kill_a_neighbour(routes_api: &Service, bulk: &Bulk) -> Result<()> {
    let client = RoutesServiceClient::connect(format!("http://{}", routes_api.grpc())).await?;
    let options = MqttOptions {
        broker: "127.0.0.1".to_owned(),
        port: ports::free()?.into(),
        topic: "twins".to_owned(),
        ..MqttOptions::default()
    };
    let endpoint = Endpoint {
        name: "dead".to_owned(),
        destination: Some(Destination::Mqtt(options)),
        ..Endpoint::default()
    };
    let route = EventRoute {
        name: "dead-events".to_owned(),
        endpoint_name: endpoint.name.clone(),
        filter: "true".to_owned(),
        ..EventRoute::default()
    };
    client.clone().create_endpoint(CreateEndpointRequest { endpoint: Some(endpoint) }).await?;
    client.clone().create_event_route(CreateEventRouteRequest { event_route: Some(route) }).await?;
    wait::until(RUN_DEADLINE, "the neighbour to be down, and its events parked", async || {
        bulk.update(0, 1).await?;
        let request = GetEndpointRequest { name: "dead".to_owned() };
        let endpoint = client.clone().get_endpoint(request).await?.into_inner().endpoint;
        let state = endpoint.and_then(|endpoint| endpoint.state).context("no state")?;
        ensure!(state.health() == EndpointHealth::Down && state.backlog_bytes > 0, "{state:?}");
        Ok(())
    })
    .await
}

async fn measure(bulk: &Bulk, inbox: &Inbox) -> Result<Latency> {
    write_for(bulk, WARM_UP).await?;
    let before = inbox.received().len();
    let written = write_for(bulk, MEASURED).await?;
    let all = |received: &[Received]| {
        let arrived = received.len() - before;
        ensure!(arrived >= written, "{arrived} of {written} are there");
        Ok(())
    };
    inbox.until(RUN_DEADLINE, "all events at Kafka", all).await?;
    let received = inbox.received();
    let latencies: Vec<f64> = received.iter().skip(before).map(Received::latency_ms).collect();
    let at = |percent| percentile(&latencies, percent).context("nothing has arrived");
    let transactions_per_s = written as f64 / MEASURED.as_secs_f64();
    Ok(Latency { transactions_per_s, p50_ms: at(50)?, p99_ms: at(99)? })
}

/// The number of transactions.
async fn write_for(bulk: &Bulk, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut written = 0;
    for twin in (0..TWINS).cycle() {
        pace.tick().await;
        if Instant::now() >= end {
            break;
        }
        bulk.update(twin, 1).await?;
        written += 1;
    }
    Ok(written)
}
