//! Endpoints that change under load: each event goes to one of the two destinations, and around a change nothing is lost,
//! repeated or out of order.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use twinroute_proto::routes::v1::{Endpoint, MqttOptions, UpdateEndpointRequest, endpoint::Destination};
use twinroute_tests::{
    consumers::{Consumer, Received, mqtt},
    stack::routes,
};

use crate::{
    load::{LOAD_DEADLINE, Load, load},
    phases::{Came, Phase, came, follow},
    side::Side,
};

/// Twins that are updated all the time, some ten of each partition.
const TWINS: i32 = 640;

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
    let (mut looked_at, mut seen) = (0, std::collections::HashSet::new());
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
fn each_change_of_a_destination_takes_effect_at_one_position_of_each_partition_and_keeps_its_order()
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
        // And of each key first some at the one, then some at the other, then the rest at the first again
        let phases = [
            Phase { name: "first", comes: |_| Some("first") },
            Phase { name: "second", comes: |_| Some("second") },
            Phase { name: "first again", comes: |_| Some("first") },
        ];
        let stream = of(&together, twins);
        let followed = |_: &[Received]| {
            let came = at_both(twins, [("first", &at_first), ("second", &at_second)])?;
            ensure!(came.len() == stream.len(), "{} of {} have come", came.len(), stream.len());
            follow(&stream, &came, &phases)
        };
        let count = together.inbox().until(LOAD_DEADLINE, "each phase of the endpoint", followed).await?;
        load.steps
            .done(&format!("{count} events at two topics in {} phases, each at one of them", phases.len()));
        side.remove(load).await
    })
}
