//! How late events are at Kafka: alone, while all workers are restarted one after the other (`rolling_restart`), and beside
//! an endpoint whose broker is dead (`neighbour_of_dead_sink`).

use std::{collections::HashSet, pin::pin, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use twinroute_proto::routes::v1::{
    Endpoint, EndpointHealth, GetEndpointRequest, MqttOptions, endpoint::Destination,
    routes_service_client::RoutesServiceClient,
};

use super::workload::DATABASE;
use super::{RUN_DEADLINE, Source, capture, delivery};
use crate::consumers::{Inbox, Received, kafka as consumer};
use crate::oracle::percentile;
use crate::ports;
use crate::servers::kafka::Kafka;
use crate::services::{Program, Service};
use crate::stack::{GRAPH, SOURCE, routes};
use crate::twins::{Graph, bulk::Bulk};
use crate::wait;

/// Name of the subscription, the topic and the twins.
const NAME: &str = "bench_latency";
/// Twins that are changed in turn, one in a transaction.
const TWINS: i32 = 200;
/// Time from one transaction to the next.
const PACE: Duration = Duration::from_millis(1);
/// How long is written before anything is measured, and how long then.
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(10);

/// How late events are at Kafka.
#[derive(Debug, Serialize)]
pub(super) struct Latencies {
    pub(super) alone: Latency,
    pub(super) rolling_restart: Latency,
    pub(super) neighbour_of_dead_sink: Latency,
}

/// From commit to consumer.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    /// As many as the writer managed.
    pub(super) transactions_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Events that came more than once.
    pub(super) repeated: usize,
}

pub(super) async fn run(source: &Source<'_>, kafka: &Kafka) -> Result<Latencies> {
    source.workload.checkpoint().await?;
    delivery::create_topic(kafka, NAME).await?;
    let mut routes_api = delivery::routes(source, kafka, NAME).await?;
    let mut capture = capture::serve(source, NAME)?;
    let mut first = worker(source, "first", &capture, &routes_api).await?;
    let bulk = Bulk::new(Graph::open(&source.postgres.url(DATABASE), GRAPH).await?, NAME).await?;
    bulk.create(0, TWINS).await?;
    let consumer = consumer::attach(&kafka.brokers(), NAME).await?;

    let mut second = worker(source, "second", &capture, &routes_api).await?;
    let restarts = restart_each([&mut first, &mut second]);
    let rolling_restart = measure(&bulk, consumer.inbox(), restarts).await?;
    second.terminate().await?;
    // One right after the other: they are compared.
    let alone = measure(&bulk, consumer.inbox(), for_a_while(MEASURED)).await?;
    kill_a_neighbour(&routes_api, &bulk).await?;
    let neighbour_of_dead_sink = measure(&bulk, consumer.inbox(), for_a_while(MEASURED)).await?;
    for service in [&mut capture, &mut first, &mut routes_api] {
        service.terminate().await?;
    }
    source.workload.drop_slot(&format!("twinroute_{NAME}")).await?;
    Ok(Latencies { alone, rolling_restart, neighbour_of_dead_sink })
}

async fn worker(source: &Source<'_>, id: &str, capture: &Service, routes_api: &Service) -> Result<Service> {
    let settings = json!({
        "worker": { "id": id, "source": SOURCE },
        "capture": { "addresses": format!("http://{}", capture.grpc()) },
        "stream": { "subscription": NAME },
        "routes_api": { "addresses": format!("http://{}", routes_api.grpc()) },
    });
    let mut worker = Service::start(Program::Delivery, &format!("delivery-{id}"), settings, source.dir)?;
    worker.until_ready().await?;
    Ok(worker)
}

async fn restart_each(workers: [&mut Service; 2]) -> Result<()> {
    for worker in workers {
        worker.terminate().await?;
        worker.start_again()?;
        worker.until_ready().await?;
        for_a_while(WARM_UP).await?;
    }
    Ok(())
}

async fn for_a_while(time: Duration) -> Result<()> {
    tokio::time::sleep(time).await;
    Ok(())
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
    routes::add(&mut client.clone(), endpoint).await?;
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

/// Writes while something happens, and looks when it arrives.
async fn measure(bulk: &Bulk, inbox: &Inbox, meanwhile: impl Future<Output = Result<()>>) -> Result<Latency> {
    write_during(bulk, for_a_while(WARM_UP)).await?;
    let before = inbox.received().len();
    let started = tokio::time::Instant::now();
    let written = write_during(bulk, meanwhile).await?;
    let seconds = started.elapsed().as_secs_f64();
    let all = |received: &[Received]| {
        let ids: HashSet<&str> = received.iter().skip(before).map(|event| event.id.as_str()).collect();
        ensure!(ids.len() >= written, "{} of {written} are there", ids.len());
        Ok(received.len() - before - ids.len())
    };
    let repeated = inbox.until(RUN_DEADLINE, "all events at Kafka", all).await?;
    let received = inbox.received();
    let latencies: Vec<f64> = received.iter().skip(before).map(Received::latency_ms).collect();
    let at = |percent| percentile(&latencies, percent).context("nothing has arrived");
    Ok(Latency { transactions_per_s: written as f64 / seconds, p50_ms: at(50)?, p99_ms: at(99)?, repeated })
}

/// The number of transactions.
async fn write_during(bulk: &Bulk, meanwhile: impl Future<Output = Result<()>>) -> Result<usize> {
    let mut meanwhile = pin!(meanwhile);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut written = 0;
    for twin in (0..TWINS).cycle() {
        tokio::select! {
            biased;
            done = &mut meanwhile => {
                done?;
                break;
            }
            _ = pace.tick() => {}
        }
        bulk.update(twin, 1).await?;
        written += 1;
    }
    Ok(written)
}
