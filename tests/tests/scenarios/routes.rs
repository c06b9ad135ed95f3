//! Routes and endpoints that change while events flow.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use tonic::transport::Channel;
use twinroute_proto::routes::v1::{
    CreateEndpointRequest, CreateEventRouteRequest, DeleteEndpointRequest, DeleteEventRouteRequest, Endpoint,
    EndpointHealth, EventRoute, GetEndpointRequest, KafkaOptions, KustoOptions, MqttOptions,
    UpdateEventRouteRequest, endpoint::Destination, routes_service_client::RoutesServiceClient,
};
use twinroute_tests::{
    consumers::{Received, kafka},
    oracle, ports,
    stack::routes,
    twins::{bulk::Bulk, ledger},
    wait,
};

use crate::{
    plain::{Plain, plain},
    scene::DEADLINE,
};

/// How soon a change of routes must be in force.
const IN_FORCE: SignedDuration = SignedDuration::from_secs(2);

/// The one twin whose events flow.
const TWIN: &str = "ticker-0";

fn endpoint(name: &str, destination: Destination) -> CreateEndpointRequest {
    let destination = Some(destination);
    CreateEndpointRequest {
        endpoint: Some(Endpoint { name: name.to_owned(), destination, ..Endpoint::default() }),
    }
}

fn to_kafka(brokers: String, topic: &str) -> Destination {
    Destination::Kafka(KafkaOptions {
        brokers: vec![brokers],
        topic: topic.to_owned(),
        ..KafkaOptions::default()
    })
}

/// A route of events that is changed, and the twin's events as they arrive by it.
struct Changing<'a> {
    plain: &'a Plain,
    client: RoutesServiceClient<Channel>,
    route: EventRoute,
    arrivals: twinroute_tests::consumers::Consumer,
}

impl Changing<'_> {
    /// Updates the route to what it is here; gives back when that was done.
    async fn update(&mut self) -> Result<Timestamp> {
        let request = UpdateEventRouteRequest { event_route: Some(self.route.clone()), update_mask: None };
        self.client.update_event_route(request).await?;
        Ok(Timestamp::now())
    }

    /// An event that `fits` arrives, and was committed soon after `change`.
    async fn in_force(&self, change: Timestamp, fits: impl Fn(&Received) -> bool) -> Result<()> {
        let first = |received: &[Received]| {
            let new = |event: &&Received| event.key == TWIN && event.time > change && fits(event);
            received.iter().find(new).map(|event| event.time).context("no such event")
        };
        let first = self.arrivals.inbox().until(DEADLINE, "an event by the route", first).await?;
        ensure!(first.duration_since(change) < IN_FORCE, "{first}, and the change was at {change}");
        Ok(())
    }

    /// Of what was committed from two seconds after `change` on, nothing arrives.
    async fn silent(&self, change: Timestamp) -> Result<()> {
        let from = change + IN_FORCE;
        let of_twin = move |event: &&Received| event.key == TWIN && event.time > from;
        let elsewhere = |received: &[Received]| {
            ensure!(received.iter().filter(of_twin).count() > 10, "not yet");
            Ok(())
        };
        self.plain.kafka.inbox().until(DEADLINE, "later events by another route", elsewhere).await?;
        let late = self.arrivals.inbox().received().iter().filter(of_twin).count();
        ensure!(late == 0, "{late} events arrived");
        Ok(())
    }
}

#[test]
fn a_route_that_is_created_changed_and_deleted_is_so_within_two_seconds_while_events_flow() -> Result<()> {
    plain(async |plain| {
        // Given a twin that changes all the time
        let bulk = Bulk::new(plain.graph().await?, "ticker").await?;
        bulk.create(0, 1).await?;
        let flowing = Arc::new(AtomicBool::new(true));
        let flows = Arc::clone(&flowing);
        let writer = tokio::spawn(async move {
            while flows.load(Ordering::Relaxed) {
                bulk.update(0, 1).await?;
            }
            anyhow::Ok(())
        });
        // When an endpoint and a route are created
        let brokers = plain.stack.servers.kafka.brokers();
        let mut client = routes::client(&plain.stack).await?;
        client.create_endpoint(endpoint("changing", to_kafka(brokers.clone(), "changing"))).await?;
        let route = EventRoute {
            name: "changing".to_owned(),
            endpoint_name: "changing".to_owned(),
            filter: "true".to_owned(),
            ..EventRoute::default()
        };
        client.create_event_route(CreateEventRouteRequest { event_route: Some(route.clone()) }).await?;
        let created = Timestamp::now();
        // Then events arrive by it
        let arrivals = kafka::consume(&brokers, "changing")?;
        let mut changing = Changing { plain, client, route, arrivals };
        changing.in_force(created, |event| event.type_ == "Konnektr.DigitalTwins.Twin.Update").await?;
        // When it renames a type
        let azure = "Microsoft.DigitalTwins.Twin.Update";
        let mapping = ("Konnektr.DigitalTwins.Twin.Update".to_owned(), azure.to_owned());
        changing.route.type_mappings.extend([mapping]);
        let renamed = changing.update().await?;
        // Then they have the new name
        changing.in_force(renamed, |event| event.type_ == azure).await?;
        // When it is disabled, none arrive
        changing.route.disabled = true;
        let disabled = changing.update().await?;
        changing.silent(disabled).await?;
        // When it is enabled, they do again
        changing.route.disabled = false;
        let enabled = changing.update().await?;
        changing.in_force(enabled, |event| event.type_ == azure).await?;
        // When it is deleted, none arrive; and its endpoint can go
        let request =
            DeleteEventRouteRequest { name: "changing".to_owned(), ..DeleteEventRouteRequest::default() };
        changing.client.delete_event_route(request).await?;
        changing.silent(Timestamp::now()).await?;
        let request =
            DeleteEndpointRequest { name: "changing".to_owned(), ..DeleteEndpointRequest::default() };
        changing.client.delete_endpoint(request).await?;
        // And the other routes missed nothing of it all
        flowing.store(false, Ordering::Relaxed);
        writer.await??;
        misses_nothing(plain).await
    })
}

/// Every change of the twin is at Kafka by the route that stayed.
async fn misses_nothing(plain: &Plain) -> Result<()> {
    let mut expected = ledger::expected(plain.graph().await?.client()).await?;
    expected.retain(|change| change.key == TWIN);
    let all = |received: &[Received]| {
        let arrivals: Vec<_> =
            received.iter().filter(|event| event.key == TWIN).map(ledger::arrival).collect();
        let verdict = oracle::judge(&expected, &arrivals);
        ensure!(verdict.is_kept() && verdict.repeated == 0, "{verdict:?}");
        Ok(())
    };
    plain.kafka.inbox().until(DEADLINE, "every change at Kafka", all).await
}

#[test]
fn a_destination_that_cannot_be_reached_shows_in_its_endpoint_and_leaves_the_workers_ready() -> Result<()> {
    plain(async |plain| {
        // Given endpoints at which nobody listens
        let mut client = routes::client(&plain.stack).await?;
        let port = ports::free()?;
        let destinations = [
            ("nobody-kafka", to_kafka(format!("127.0.0.1:{port}"), "twins")),
            (
                "nobody-mqtt",
                Destination::Mqtt(MqttOptions {
                    broker: "127.0.0.1".to_owned(),
                    port: port.into(),
                    topic: "twins".to_owned(),
                    ..MqttOptions::default()
                }),
            ),
            (
                "nobody-kusto",
                Destination::Kusto(KustoOptions {
                    ingestion_uri: format!("http://127.0.0.1:{port}"),
                    database: "twins".to_owned(),
                    ..KustoOptions::default()
                }),
            ),
        ];
        for (name, destination) in destinations {
            // When a route leads there
            client.create_endpoint(endpoint(name, destination)).await?;
            let route = EventRoute {
                name: name.to_owned(),
                endpoint_name: name.to_owned(),
                filter: "false".to_owned(),
                ..EventRoute::default()
            };
            client.create_event_route(CreateEventRouteRequest { event_route: Some(route) }).await?;
            // Then the endpoint says that it is down, and why
            let state = wait::until(DEADLINE, "the endpoint to be down", async || {
                let request = GetEndpointRequest { name: name.to_owned() };
                let endpoint = client.clone().get_endpoint(request).await?.into_inner().endpoint;
                let state = endpoint.and_then(|endpoint| endpoint.state).context("no state")?;
                let down = state.health() == EndpointHealth::Down && state.workers == 2;
                ensure!(down, "{name} is {state:?}");
                Ok(state)
            })
            .await?;
            assert!(!state.last_error.is_empty() && state.since.is_some(), "{name}: {state:?}");
        }
        // And the workers are ready, and deliver elsewhere
        for worker in &plain.stack.workers {
            worker.until_page(DEADLINE, "/readyz", |status, _| status == 200).await?;
        }
        let created = plain.cypher("CREATE (:Model {id: 'dtmi:elsewhere;1', model: {}})").await?;
        let document = r#"{"id": "dtmi:elsewhere;1", "model": {}}"#;
        let notice = crate::exact::told(&created, "Model.Create", "dtmi:elsewhere;1", document);
        plain.arrives("dtmi:elsewhere;1", &[notice], &[]).await
    })
}
