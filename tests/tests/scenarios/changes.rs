//! Routes and endpoints that change under load: each change takes effect at one position of each partition, and around it
//! nothing is lost, repeated or out of order.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use tonic::transport::Channel;
use twinroute_proto::routes::v1::{
    DeleteEventRouteRequest, Endpoint, EventRoute, KafkaOptions, MqttOptions, UpdateEndpointRequest,
    UpdateEventRouteRequest, endpoint::Destination, routes_service_client::RoutesServiceClient,
};
use twinroute_tests::{
    consumers::{Consumer, Received, kafka, mqtt},
    stack::routes,
    wait,
};

use crate::{
    load::{LOAD_DEADLINE, Load, load},
    phases::{Came, PARTITIONS, Phase, came, follow},
    scene::DEADLINE,
    side::{Side, remove_endpoint},
};

/// Twins that are updated all the time, some ten of each partition.
const TWINS: i32 = 640;

/// How soon a change of routes is in force.
const IN_FORCE: Duration = Duration::from_secs(2);

const UPDATE: &str = "Konnektr.DigitalTwins.Twin.Update";
const RENAMED: &str = "Microsoft.DigitalTwins.Twin.Update";

/// Selects the twins with an odd number.
const ODD: &str = "ENDS_WITH(subject, '1') OR ENDS_WITH(subject, '3') OR ENDS_WITH(subject, '5')
    OR ENDS_WITH(subject, '7') OR ENDS_WITH(subject, '9')";

/// What the route does from one change to the next.
const ROUTE_PHASES: [Phase; 8] = [
    Phase { name: "before", comes: |_| None },
    Phase { name: "created", comes: |_| Some(UPDATE) },
    Phase { name: "renaming", comes: |_| Some(RENAMED) },
    Phase { name: "filtering", comes: |key| is_odd(key).then_some(RENAMED) },
    Phase { name: "disabled", comes: |_| None },
    Phase { name: "enabled", comes: |key| is_odd(key).then_some(RENAMED) },
    Phase { name: "as at first", comes: |_| Some(UPDATE) },
    Phase { name: "deleted", comes: |_| None },
];

/// Where the endpoint leads.
const ENDPOINT_PHASES: [Phase; 3] = [
    Phase { name: "first", comes: |_| Some("first") },
    Phase { name: "second", comes: |_| Some("second") },
    Phase { name: "first again", comes: |_| Some("first") },
];

fn is_odd(key: &str) -> bool {
    key.ends_with(['1', '3', '5', '7', '9'])
}

fn to_kafka(load: &Load, topic: &str) -> Destination {
    Destination::Kafka(KafkaOptions {
        brokers: vec![load.stack.servers.kafka.brokers()],
        topic: topic.to_owned(),
        ..KafkaOptions::default()
    })
}

fn to_mqtt(load: &Load, topic: &str) -> Destination {
    Destination::Mqtt(MqttOptions {
        broker: "127.0.0.1".to_owned(),
        port: load.stack.servers.mosquitto.port().into(),
        topic: topic.to_owned(),
        ..MqttOptions::default()
    })
}

/// Waits until of each twin an event has come that was committed after `time`.
async fn until_all_since(consumer: &Consumer, prefix: &str, time: Timestamp) -> Result<()> {
    let (mut looked_at, mut seen) = (0, HashSet::new());
    let all = |received: &[Received]| {
        let new = received.get(looked_at..).unwrap_or_default().iter();
        seen.extend(
            new.filter(|event| event.time > time && event.key.starts_with(prefix))
                .map(|event| event.key.clone()),
        );
        looked_at = received.len();
        ensure!(seen.len() == TWINS as usize, "{} of {TWINS} twins", seen.len());
        Ok(())
    };
    consumer.inbox().until(LOAD_DEADLINE, "an event of each twin", all).await
}

/// What arrived of a prefix.
fn of(consumer: &Consumer, prefix: &str) -> Vec<Received> {
    let mut received = consumer.inbox().received();
    received.retain(|event| event.key.starts_with(prefix));
    received
}

/// A route that changes, beside one that gets everything all the time.
struct Changing<'a> {
    load: &'a Load,
    twins: &'static str,
    client: RoutesServiceClient<Channel>,
    route: EventRoute,
    /// Gets everything.
    witness: Consumer,
}

impl Changing<'_> {
    /// Updates the route to what it is here; each twin is changed once while it is so.
    async fn update(&mut self) -> Result<()> {
        let request = UpdateEventRouteRequest { event_route: Some(self.route.clone()), update_mask: None };
        self.client.update_event_route(request).await?;
        self.hold().await
    }

    async fn hold(&self) -> Result<()> {
        routes::until_in_force(&self.load.stack, &self.route.name).await?;
        until_all_since(&self.witness, self.twins, Timestamp::now()).await
    }

    async fn delete(&mut self) -> Result<()> {
        let name = self.route.name.clone();
        self.client
            .delete_event_route(DeleteEventRouteRequest { name, ..DeleteEventRouteRequest::default() })
            .await?;
        until_all_since(&self.witness, self.twins, Timestamp::now() + IN_FORCE).await
    }
}

#[test]
fn each_change_of_a_route_takes_effect_at_one_position_of_each_partition() -> Result<()> {
    load(async |load| {
        // Given twins that are updated all the time, and a route that gets all of it
        let (twins, name) = ("route-changes", "route-changes");
        let brokers = load.stack.servers.kafka.brokers();
        let witness = kafka::attach(&brokers, "route-changes-witness").await?;
        let beside = Side::add(load, "witness", to_kafka(load, "route-changes-witness")).await?;
        load.create(twins, TWINS).await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        until_all_since(&witness, twins, Timestamp::now()).await?;
        // When another route is created
        let mut client = routes::client(&load.stack).await?;
        let arrivals = kafka::attach(&brokers, name).await?;
        let endpoint = Endpoint {
            name: name.to_owned(),
            destination: Some(to_kafka(load, name)),
            ..Endpoint::default()
        };
        routes::add(&mut client, endpoint).await?;
        let route = routes::everything(name);
        let mut changing = Changing { load, twins, client, route, witness };
        changing.hold().await?;
        // And it renames a type, selects half of the twins, is disabled and enabled, has its first form, and is deleted
        changing.route.type_mappings.extend([(UPDATE.to_owned(), RENAMED.to_owned())]);
        changing.update().await?;
        changing.route.filter = ODD.to_owned();
        changing.update().await?;
        changing.route.disabled = true;
        changing.update().await?;
        changing.route.disabled = false;
        changing.update().await?;
        changing.route.type_mappings.clear();
        changing.route.filter = "true".to_owned();
        changing.update().await?;
        changing.delete().await?;
        updates.end().await?;
        // Then the route that stayed has everything, once
        let fault = "none explains any";
        let verdict = beside.settles_after(load, twins, (Vec::new(), &changing.witness), fault).await?;
        assert_eq!(verdict.repeated, 0);
        load.settles_after(twins, fault).await?;
        // And of the other one each partition had one phase after the other, each whole
        let stream = of(&changing.witness, twins);
        let followed = |received: &[Received]| {
            follow(&stream, &came(twins, received, |event| event.type_.clone())?, &ROUTE_PHASES)
        };
        let begun = Instant::now();
        let count = arrivals.inbox().until(DEADLINE, "each phase of the route", followed).await?;
        load.steps.done(&format!(
            "{} events, {count} by the route in {} phases of {PARTITIONS} partitions, lost 0, repeated 0, reordered 0; \
             drained in {:.1} s",
            stream.len(),
            ROUTE_PHASES.len(),
            begun.elapsed().as_secs_f64()
        ));
        remove_endpoint(load, name).await?;
        beside.remove(load).await
    })
}

/// Gives an endpoint another destination.
async fn lead_to(load: &Load, name: &str, destination: Destination) -> Result<()> {
    let endpoint = Endpoint { name: name.to_owned(), destination: Some(destination), ..Endpoint::default() };
    let mut client = routes::client(&load.stack).await?;
    client.update_endpoint(UpdateEndpointRequest { endpoint: Some(endpoint), update_mask: None }).await?;
    Ok(())
}

/// How the events came to an endpoint that led to two places, by the place.
fn at_both(twins: &str, places: [(&str, &Consumer); 2]) -> Result<Came> {
    let mut all = Came::new();
    for (place, consumer) in places {
        let here = came(twins, &of(consumer, twins), |_| place.to_owned())?;
        let (before, more) = (all.len(), here.len());
        all.extend(here);
        ensure!(all.len() == before + more, "{} events are at both", before + more - all.len());
    }
    Ok(all)
}

#[test]
fn each_change_of_a_destination_takes_effect_at_one_position_of_each_partition_and_keeps_the_order()
-> Result<()> {
    load(async |load| {
        // Given an endpoint of an MQTT topic, consumers of this one, of another one, and of both together
        let (twins, name) = ("endpoint-changes", "endpoint-changes");
        let port = load.stack.servers.mosquitto.port();
        let (first, second) = ("endpoint-changes/first", "endpoint-changes/second");
        let at_first = mqtt::consume("127.0.0.1", port, first).await?;
        let at_second = mqtt::consume("127.0.0.1", port, second).await?;
        let together = mqtt::consume("127.0.0.1", port, "endpoint-changes/+").await?;
        let side = Side::add(load, name, to_mqtt(load, first)).await?;
        // And twins that are updated all the time
        load.create(twins, TWINS).await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        until_all_since(&at_first, twins, Timestamp::now()).await?;
        // When it leads to the other topic, and back again
        for (topic, consumer) in [(second, &at_second), (first, &at_first)] {
            lead_to(load, name, to_mqtt(load, topic)).await?;
            until_all_since(consumer, twins, Timestamp::now()).await?;
        }
        updates.end().await?;
        // Then all events are at the two together, in order, each once
        let fault = "none explains any";
        let verdict = side.settles_after(load, twins, (Vec::new(), &together), fault).await?;
        assert_eq!(verdict.repeated, 0);
        load.settles_after(twins, fault).await?;
        // And of each partition first some at the one, then some at the other, then the rest at the first again
        let stream = of(&together, twins);
        let count = wait::until(DEADLINE, "each phase of the endpoint", async || {
            let came = at_both(twins, [("first", &at_first), ("second", &at_second)])?;
            ensure!(came.len() == stream.len(), "{} of {} have come", came.len(), stream.len());
            follow(&stream, &came, &ENDPOINT_PHASES)
        })
        .await?;
        load.steps.done(&format!(
            "{count} events at two topics in {} phases, each at one of them",
            ENDPOINT_PHASES.len()
        ));
        side.remove(load).await
    })
}
