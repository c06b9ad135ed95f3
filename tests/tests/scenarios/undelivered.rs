//! A routes-api with an endpoint at Kafka that has a container for dead letters, and a route that gives it everything: what
//! the scenes of undelivered events share.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tonic::transport::Channel;
use twinroute_proto::routes::v1::{
    DeadLetterContainer, DeliveryPolicy, Endpoint, GetEndpointRequest, KafkaOptions, Secret,
    endpoint::Destination, routes_service_client::RoutesServiceClient, secret,
};
use twinroute_tests::{
    consumers::{Consumer, Received},
    oracle::{self, Expected},
    services::{Program, Service},
    stack::{self, Steps},
    twins::ledger,
};

use crate::{
    judgement::{account, brief},
    scene::DEADLINE,
    source::Source,
};

/// The endpoint and its route.
pub(crate) const ENDPOINT: &str = "kafka";
/// Any 32 bytes in base64, for what is sealed as long as the scenario lasts.
pub(crate) const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A routes-api with one endpoint.
pub(crate) struct Routes {
    pub(crate) service: Service,
}

/// A secret as a value.
pub(crate) fn value(text: String) -> Option<Secret> {
    Some(Secret { secret: Some(secret::Secret::Value(text)) })
}

/// Waits until these changes have arrived at Kafka in order; `fault` explains what is repeated.
pub(crate) async fn until_arrived(arrivals: &Consumer, expected: &[Expected], fault: &str) -> Result<()> {
    let begun = Instant::now();
    let check = |received: &[Received]| {
        let arrivals: Vec<_> = received.iter().map(ledger::arrival).collect();
        let verdict = oracle::judge(expected, &arrivals);
        ensure!(verdict.is_kept(), "{}", brief(&verdict));
        Ok(verdict)
    };
    let verdict = arrivals.inbox().until(DEADLINE, "all but the dead letters", check).await?;
    Steps::told().done(&format!("all but the dead letters: {}", account(&[verdict], fault, begun)));
    Ok(())
}

impl Routes {
    /// Starts it, with the source's topic at these brokers.
    pub(crate) async fn start(
        source: &Source,
        brokers: String,
        policy: Option<DeliveryPolicy>,
        container: Option<DeadLetterContainer>,
    ) -> Result<Self> {
        let settings = json!({ "postgres": { "url": source.url() }, "secrets": { "key": SEALING_KEY } });
        let mut service = Service::start(Program::RoutesApi, "routes-api", settings, source.dir())?;
        service.until_ready().await?;
        let routes = Self { service };
        let kafka = KafkaOptions {
            brokers: vec![brokers],
            topic: source.subscription().to_owned(),
            ..KafkaOptions::default()
        };
        let endpoint = Endpoint {
            name: ENDPOINT.to_owned(),
            destination: Some(Destination::Kafka(kafka)),
            delivery_policy: policy,
            dead_letter: container,
            ..Endpoint::default()
        };
        stack::routes::add(&mut routes.client().await?, endpoint).await?;
        Ok(routes)
    }

    /// Where it is reached.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.service.grpc())
    }

    /// A client of it.
    pub(crate) async fn client(&self) -> Result<RoutesServiceClient<Channel>> {
        Ok(RoutesServiceClient::connect(self.address()).await?)
    }

    /// The endpoint.
    pub(crate) async fn endpoint(&self) -> Result<Endpoint> {
        let request = GetEndpointRequest { name: ENDPOINT.to_owned() };
        let endpoint = self.client().await?.get_endpoint(request).await?.into_inner().endpoint;
        endpoint.context("no endpoint")
    }
}
