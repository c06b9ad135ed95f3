//! To Kafka beside a second endpoint that gets every event too: one that is well (`kafka_beside_living`), and one whose broker
//! is dead (`kafka_beside_dead`). Then how fast what was parked for that one drains once its broker is there (`drain`).

use std::time::Instant;

use anyhow::{Result, ensure};
use tonic::transport::Channel;
use twinroute_proto::routes::v1::{UpdateEndpointRequest, routes_service_client::RoutesServiceClient};

use super::pipeline::Pipeline;
use super::{RUN_DEADLINE, Run, Source, delivery};
use crate::ports;
use crate::servers::kafka::Kafka;
use crate::stack::routes;
use crate::wait;

/// Name of the second endpoint.
const NEIGHBOUR: &str = "neighbour";

/// The three runs.
pub(super) async fn run(source: &Source<'_>, kafka: &Kafka) -> Result<[Run; 3]> {
    let mut living = Neighbour::start(source, kafka, "living", kafka.brokers()).await?;
    let beside_living = living.until_delivered(kafka, "kafka_beside_living").await?;
    living.pipeline.end(source).await?;

    let nobody = format!("127.0.0.1:{}", ports::free()?);
    let mut dead = Neighbour::start(source, kafka, "dead", nobody).await?;
    let beside_dead = dead.until_delivered(kafka, "kafka_beside_dead").await?;
    let drain = dead.drain(source, kafka).await?;
    Ok([beside_living, beside_dead, drain])
}

/// Services at work, with a second endpoint.
struct Neighbour {
    subscription: String,
    topic: String,
    client: RoutesServiceClient<Channel>,
    pipeline: Pipeline,
}

impl Neighbour {
    /// `broker` is the second endpoint's.
    async fn start(source: &Source<'_>, kafka: &Kafka, name: &str, broker: String) -> Result<Self> {
        let subscription = format!("bench_{name}_{}", source.round);
        let topic = format!("{subscription}_neighbour");
        delivery::create_topic(kafka, &subscription).await?;
        delivery::create_topic(kafka, &topic).await?;
        let routes_api = delivery::routes(source, kafka, &subscription).await?;
        let client = RoutesServiceClient::connect(format!("http://{}", routes_api.grpc())).await?;
        routes::add(&mut client.clone(), delivery::endpoint(NEIGHBOUR, broker, &topic)).await?;
        let pipeline = Pipeline::start(source, &subscription, routes_api).await?;
        Ok(Self { subscription, topic, client, pipeline })
    }

    /// What it took until the first endpoint has all.
    async fn until_delivered(&mut self, kafka: &Kafka, name: &'static str) -> Result<Run> {
        delivery::until_delivered(kafka, &self.subscription).await?;
        self.pipeline.taken(name)
    }

    /// What it takes until the second endpoint has all that was parked for it, from when it is told of a broker that lives.
    async fn drain(mut self, source: &Source<'_>, kafka: &Kafka) -> Result<Run> {
        let slot = format!("twinroute_{}", self.subscription);
        wait::until(RUN_DEADLINE, "all that is not delivered to be parked", async || {
            ensure!(source.workload.is_confirmed(&slot).await?, "some of it is not acknowledged");
            Ok(())
        })
        .await?;
        let before = self.pipeline.delivered()?.cpu_s;
        let started = Instant::now();
        let living = delivery::endpoint(NEIGHBOUR, kafka.brokers(), &self.topic);
        let request = UpdateEndpointRequest { endpoint: Some(living), ..UpdateEndpointRequest::default() };
        self.client.update_endpoint(request).await?;
        delivery::until_delivered(kafka, &self.topic).await?;
        let seconds = started.elapsed().as_secs_f64();
        let used = self.pipeline.delivered()?;
        self.pipeline.end(source).await?;
        Ok(Run {
            name: "drain",
            seconds,
            cpu_s: vec![("delivery", used.cpu_s - before)],
            peak_rss_mib: vec![("delivery", used.peak_rss_mib)],
        })
    }
}
