//! A source with a route to Kafka, whose endpoint has a container for dead letters: the scene of what cannot be delivered.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tonic::transport::Channel;
use twinroute_proto::routes::v1::{
    DeadLetterContainer, Endpoint, EndpointState, routes_service_client::RoutesServiceClient,
};
use twinroute_tests::{
    consumers::{Consumer, kafka},
    servers::{
        azurite::{Azurite, blobs::Blobs, sas},
        kafka::Kafka,
    },
    services::{Program, Service},
    stack::SOURCE,
    twins::{Twin, ledger},
};

use crate::{
    scene,
    source::{Source, source},
    undelivered::{Routes, until_arrived, value},
};

/// More than a Kafka broker takes by default.
pub(crate) const TOO_LARGE_BYTES: usize = 2_000_000;

/// A source, a route to Kafka, and a container that workers may only write to.
pub(crate) struct Letters<'s> {
    pub(crate) source: &'s Source,
    pub(crate) azurite: Azurite,
    pub(crate) blobs: Blobs,
    pub(crate) arrivals: Consumer,
    pub(crate) routes: Routes,
    worker: Option<Service>,
}

/// Runs a scenario with a source, a topic and an emulator of its own.
pub(crate) fn letters(name: &str, scenario: impl AsyncFnOnce(&mut Letters<'_>) -> Result<()>) -> Result<()> {
    source(name, json!({}), async |source| scenario(&mut Letters::start(source).await?).await)
}

/// The broker that scenarios share, on which nothing is ever stopped.
pub(crate) async fn broker() -> Result<&'static Kafka> {
    static KAFKA: OnceCell<Kafka> = OnceCell::const_new();
    KAFKA.get_or_try_init(async || Kafka::start(&scene::dir("letters")?.join("kafka")).await).await
}

impl<'s> Letters<'s> {
    async fn start(source: &'s Source) -> Result<Self> {
        let azurite = Azurite::start(&source.dir().join("azurite")).await?;
        let blobs = Blobs::create(&azurite.account(), "letters").await?;
        let container = DeadLetterContainer {
            url: blobs.url().to_owned(),
            sas: value(sas::token_with("w")),
            read_sas: value(sas::token_with("rld")),
        };
        let routes = Routes::start(source, broker().await?.brokers(), None, Some(container)).await?;
        let arrivals = kafka::consume(&broker().await?.brokers(), source.subscription())?;
        Ok(Self { source, azurite, blobs, arrivals, routes, worker: None })
    }

    /// A client of routes-api.
    pub(crate) async fn client(&self) -> Result<RoutesServiceClient<Channel>> {
        self.routes.client().await
    }

    /// Starts the worker; what was written before comes to it at once. `poison` is its section `dead_letters`.
    pub(crate) async fn deliver(&mut self, poison: Value) -> Result<()> {
        self.worker = Some(self.start_worker("delivery", poison).await?);
        Ok(())
    }

    /// Starts one more worker, which the caller keeps.
    pub(crate) async fn start_worker(&self, name: &str, poison: Value) -> Result<Service> {
        let settings = json!({
            "worker": { "source": SOURCE },
            "stream": { "subscription": self.source.subscription() },
            "capture": { "addresses": format!("http://{}", self.source.capture.grpc()) },
            "routes_api": { "addresses": self.routes.address() },
            "dead_letters": poison,
        });
        let mut worker = Service::start(Program::Delivery, name, settings, self.source.dir())?;
        worker.until_ready().await?;
        Ok(worker)
    }

    /// From now on the topic takes records up to this size, and no larger ones.
    pub(crate) async fn limit_records(&self, bytes: usize) -> Result<()> {
        broker().await?.limit_records(self.source.subscription(), bytes).await
    }

    /// The worker.
    pub(crate) fn worker(&self) -> Result<&Service> {
        self.worker.as_ref().context("there is no worker yet")
    }

    /// Writes a document of so many letters to a twin; gives back the marker of the change.
    pub(crate) async fn put(&self, twin: &str, text_bytes: usize) -> Result<String> {
        let mut graph = self.source.graph().await?;
        let change = graph.change().await?;
        let mark = change.mark(twin).await?;
        let properties = json!({ ledger::MARKER: mark, "text": "x".repeat(text_bytes) });
        change.put_twin(&Twin::new(twin, "dtmi:example:Room;1", properties)).await?;
        change.commit().await?;
        Ok(mark.to_string())
    }

    /// Every change has arrived at Kafka in order but those with these markers, and all of it is confirmed.
    pub(crate) async fn settles_without(&self, markers: &[String]) -> Result<()> {
        let mut expected = ledger::expected(self.source.graph().await?.client()).await?;
        expected.retain(|change| !markers.contains(&change.marker));
        let fault = "what was on its way when the producer was replaced";
        until_arrived(&self.arrivals, &expected, fault).await?;
        self.source.until_confirmed().await
    }

    /// The endpoint.
    pub(crate) async fn endpoint(&self) -> Result<Endpoint> {
        self.routes.endpoint().await
    }

    /// How the endpoint is.
    pub(crate) async fn state(&self) -> Result<EndpointState> {
        self.endpoint().await?.state.context("no state")
    }

    /// The letters that are there: name and content.
    pub(crate) async fn found(&self) -> Result<Vec<(String, Value)>> {
        let mut letters = Vec::new();
        for name in self.blobs.names().await? {
            let content = serde_json::from_str(&self.blobs.read(&name).await?)?;
            letters.push((name, content));
        }
        Ok(letters)
    }
}
