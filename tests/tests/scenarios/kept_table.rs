//! A worker that keeps its route table on disk, and times without routes-api.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use twinroute_proto::routes::v1::{DeliveryPolicy, EventRoute, UpdateEventRouteRequest};
use twinroute_tests::{
    consumers::{Consumer, Received, kafka},
    oracle,
    services::{Program, Service},
    stack::{SOURCE, routes},
    twins::ledger,
};

use crate::{
    letters,
    scene::DEADLINE,
    source::{Source, source},
    undelivered::{ENDPOINT, Routes, SEALING_KEY},
};

const CREATED: &str = "Konnektr.DigitalTwins.Twin.Create";
const RENAMED: &str = "Microsoft.DigitalTwins.Twin.Create";

/// A source whose twins go to Kafka, by workers that keep their tables.
struct Scene<'s> {
    source: &'s Source,
    routes: Routes,
    arrivals: Consumer,
}

impl<'s> Scene<'s> {
    async fn start(source: &'s Source) -> Result<Self> {
        let brokers = letters::broker().await?.brokers();
        // A broker that is slow must not be taken for one that is away: what is parked then may come twice.
        let policy = DeliveryPolicy {
            park_after: Some(Duration::from_secs(60).try_into()?),
            ..DeliveryPolicy::default()
        };
        let routes = Routes::start(source, brokers.clone(), Some(policy), None).await?;
        let arrivals = kafka::consume(&brokers, source.subscription())?;
        Ok(Self { source, routes, arrivals })
    }

    fn start_worker(&self, name: &str) -> Result<Service> {
        let settings = json!({
            "worker": { "source": SOURCE },
            "stream": { "subscription": self.source.subscription() },
            "capture": { "addresses": format!("http://{}", self.source.capture.grpc()) },
            "routes_api": { "addresses": self.routes.address() },
            "routes": {
                "cache_file": self.source.dir().join(format!("{name}.table")),
                "cache_key": SEALING_KEY,
            },
        });
        Service::start(Program::Delivery, name, settings, self.source.dir())
    }

    /// Gives the one type another name from now on.
    async fn rename(&self) -> Result<()> {
        let type_mappings = [(CREATED.to_owned(), RENAMED.to_owned())].into();
        let route = EventRoute { type_mappings, ..routes::everything(ENDPOINT) };
        let request = UpdateEventRouteRequest { event_route: Some(route), update_mask: None };
        self.routes.client().await?.update_event_route(request).await?;
        Ok(())
    }

    /// A worker that has delivered new twins of a prefix, and was stopped then.
    async fn delivered(&self, name: &str, prefix: &str) -> Result<Service> {
        let mut worker = self.start_worker(name)?;
        worker.until_ready().await?;
        self.source.create(prefix, 500).await?;
        self.settles().await?;
        worker.terminate().await?;
        Ok(worker)
    }

    /// All that was written has arrived once and in order, and is confirmed.
    async fn settles(&self) -> Result<()> {
        let expected = ledger::expected(self.source.graph().await?.client()).await?;
        let all = |received: &[Received]| {
            let arrivals: Vec<_> = received.iter().map(ledger::arrival).collect();
            let verdict = oracle::judge(&expected, &arrivals);
            ensure!(verdict.is_kept() && verdict.repeated == 0, "{verdict:?}");
            Ok(())
        };
        self.arrivals.inbox().until(DEADLINE, "all changes", all).await?;
        self.source.until_confirmed().await
    }

    /// The types under which the events of a prefix came.
    fn types(&self, prefix: &str) -> Vec<String> {
        let received = self.arrivals.inbox().received();
        let mut types: Vec<_> = received
            .into_iter()
            .filter(|event| event.key.starts_with(prefix))
            .map(|event| event.type_)
            .collect();
        types.sort();
        types.dedup();
        types
    }
}

#[test]
fn a_worker_that_starts_while_routes_api_is_away_works_by_the_table_that_it_has_kept() -> Result<()> {
    source("kept_table", json!({}), async |source| {
        // Given a worker that has delivered by a table, and both it and routes-api are stopped
        let mut scene = Scene::start(source).await?;
        let mut worker = scene.delivered("delivery", "before").await?;
        scene.routes.service.terminate().await?;
        // When it is started again, and twins have changed meanwhile
        source.create("meanwhile", 500).await?;
        worker.start_again()?;
        worker.until_ready().await?;
        // Then all of it arrives
        source.create("beside", 500).await?;
        scene.settles().await?;
        // When routes-api is there again, and its route is changed
        scene.routes.service.start_again()?;
        scene.routes.service.until_ready().await?;
        scene.rename().await?;
        // Then the worker goes by the change
        routes::until_applied_by(1, scene.routes.client().await?, ENDPOINT).await?;
        source.create("after", 500).await?;
        scene.settles().await?;
        for (prefix, type_) in [("meanwhile", CREATED), ("beside", CREATED), ("after", RENAMED)] {
            assert_eq!(scene.types(prefix), [type_], "{prefix}");
        }
        Ok(())
    })
}

#[test]
fn a_worker_with_an_older_table_than_its_partitions_were_delivered_by_waits_for_the_newer_one() -> Result<()>
{
    source("old_table", json!({}), async |source| {
        // Given a worker that has kept a table, and another one that has delivered by the next
        let mut scene = Scene::start(source).await?;
        let mut behind = scene.delivered("behind", "before").await?;
        scene.rename().await?;
        scene.delivered("ahead", "renamed").await?;
        // When routes-api is stopped too, and the first worker is started again
        scene.routes.service.terminate().await?;
        source.create("waiting", 500).await?;
        behind.start_again()?;
        behind.until_ready().await?;
        // Then it has got what was written, and delivers none of it by the table of before
        for line in ["unsettled_events 500", "partitions_awaiting_routes 64"] {
            let told = |_, page: &str| page.lines().any(|it| it.ends_with(line));
            behind.until_page(DEADLINE, "/metrics", told).await?;
        }
        assert_eq!(scene.types("waiting"), Vec::<String>::new());
        // When routes-api is there again, then all arrives by the newer table
        scene.routes.service.start_again()?;
        scene.routes.service.until_ready().await?;
        scene.settles().await?;
        for (prefix, type_) in [("before", CREATED), ("renamed", RENAMED), ("waiting", RENAMED)] {
            assert_eq!(scene.types(prefix), [type_], "{prefix}");
        }
        let free = |_, page: &str| page.lines().any(|it| it.ends_with("partitions_awaiting_routes 0"));
        behind.until_page(DEADLINE, "/metrics", free).await?;
        Ok(())
    })
}
