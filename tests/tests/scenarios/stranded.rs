//! A source with a route to a Kafka of its own, and containers of Azure's storage: the scene of what a destination does not
//! take, and where it goes then.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use twinroute_proto::routes::v1::{DeadLetterContainer, DeliveryPolicy, EndpointState};
use twinroute_tests::{
    consumers::{Consumer, kafka},
    oracle::Expected,
    servers::{
        azurite::{Azurite, blobs::Blobs, sas},
        kafka::Kafka,
    },
    services::{Program, Service},
    stack::SOURCE,
    twins::{bulk::Bulk, ledger},
    wait,
};

use crate::{
    scene::DEADLINE,
    source::{Source, source},
    undelivered::{Routes, until_arrived, value},
};

/// What workers may do with the store of what is parked.
const STORE_PERMISSIONS: &str = "rwdlc";

/// A source, a route to Kafka, and two containers.
pub(crate) struct Stranded<'s> {
    pub(crate) source: &'s Source,
    pub(crate) kafka: Kafka,
    /// Where events are parked.
    pub(crate) backlog: Blobs,
    /// Where dead letters go.
    pub(crate) letters: Blobs,
    pub(crate) workers: Vec<Service>,
    arrivals: Consumer,
    routes: Routes,
    workers_started: usize,
    pub(crate) azurite: Azurite,
}

/// Runs a scenario with a source, a broker and an emulator of its own, and an endpoint of this policy.
pub(crate) fn stranded(
    name: &str,
    policy: DeliveryPolicy,
    scenario: impl AsyncFnOnce(&mut Stranded<'_>) -> Result<()>,
) -> Result<()> {
    source(name, json!({}), async |source| scenario(&mut Stranded::start(source, policy).await?).await)
}

impl<'s> Stranded<'s> {
    async fn start(source: &'s Source, policy: DeliveryPolicy) -> Result<Self> {
        let azurite = Azurite::start(&source.dir().join("azurite")).await?;
        let kafka = Kafka::start(&source.dir().join("kafka")).await?;
        let backlog = Blobs::create(&azurite.account(), "backlog").await?;
        let letters = Blobs::create(&azurite.account(), "letters").await?;
        let container = DeadLetterContainer {
            url: letters.url().to_owned(),
            sas: value(sas::token_with("w")),
            read_sas: None,
        };
        let routes = Routes::start(source, kafka.brokers(), Some(policy), Some(container)).await?;
        let arrivals = kafka::attach(&kafka.brokers(), source.subscription()).await?;
        let workers = Vec::new();
        Ok(Self { source, kafka, backlog, letters, workers, arrivals, routes, workers_started: 0, azurite })
    }

    /// Where workers park in Azure's storage, as their section `backlog`.
    pub(crate) fn in_azure(&self) -> Value {
        json!({ "url": self.backlog.url(), "sas": sas::token_with(STORE_PERMISSIONS) })
    }

    /// Starts one more worker; `backlog` is its section. It need not be ready yet.
    pub(crate) fn start_worker(&mut self, backlog: Value) -> Result<&mut Service> {
        self.workers_started += 1;
        let name = format!("delivery-{}", self.workers_started);
        let settings = json!({
            "worker": { "id": name, "source": SOURCE },
            "stream": { "subscription": self.source.subscription() },
            "capture": { "addresses": format!("http://{}", self.source.capture.grpc()) },
            "routes_api": { "addresses": self.routes.address() },
            "backlog": backlog,
        });
        self.workers.push(Service::start(Program::Delivery, &name, settings, self.source.dir())?);
        self.workers.last_mut().context("a worker")
    }

    /// Starts one more worker, which is ready.
    pub(crate) async fn add_worker(&mut self, backlog: Value) -> Result<()> {
        self.start_worker(backlog)?.until_ready().await
    }

    /// Updates the first `twins` twins of the prefix so many times.
    pub(crate) async fn update(&self, prefix: &str, twins: i32, rounds: i32) -> Result<()> {
        let bulk = Bulk::new(self.source.graph().await?, prefix).await?;
        for _ in 0..rounds {
            bulk.update(0, twins).await?;
        }
        Ok(())
    }

    /// Every change has arrived at Kafka, once and in order, or is a dead letter; and all of it is confirmed. The number of
    /// letters. `fault` explains what is repeated.
    pub(crate) async fn settles(&self, fault: &str) -> Result<usize> {
        self.source.until_confirmed().await?;
        let letters = self.dead_letters().await?;
        let mut expected = ledger::expected(self.source.graph().await?.client()).await?;
        let all = expected.len();
        expected.retain(|change| !letters.contains(change));
        ensure!(all - expected.len() == letters.len(), "a dead letter is no change, or there twice");
        until_arrived(&self.arrivals, &expected, fault).await?;
        Ok(letters.len())
    }

    /// What is a dead letter, each with the code and the attempts of a full backlog.
    async fn dead_letters(&self) -> Result<Vec<Expected>> {
        let mut found = Vec::new();
        for name in self.letters.names().await? {
            let letter: Value = serde_json::from_str(&self.letters.read(&name).await?)?;
            let text = |attribute: &str| letter.get(attribute).and_then(Value::as_str).unwrap_or_default();
            ensure!(text("deadlettercode") == "BACKLOG_FULL", "{letter}");
            ensure!(letter.get("deadletterattempts").and_then(Value::as_u64) == Some(0), "{letter}");
            let data = letter.get("data").context("no data")?;
            let marker = ledger::marker_in(text("type"), data).context("no marker")?;
            found.push(Expected { key: text("partitionkey").to_owned(), marker: marker.to_string() });
        }
        Ok(found)
    }

    /// Waits until the endpoint is as it should be.
    pub(crate) async fn until_endpoint(
        &self,
        fits: impl Fn(&EndpointState) -> bool,
    ) -> Result<EndpointState> {
        wait::until(DEADLINE, "the endpoint", async || {
            let state = self.routes.endpoint().await?.state.context("no state")?;
            ensure!(fits(&state), "{state:?}");
            Ok(state)
        })
        .await
    }
}
