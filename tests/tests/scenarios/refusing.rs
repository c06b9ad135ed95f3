//! A destination that refuses every single event.

use anyhow::Result;
use twinroute_proto::routes::v1::{MqttOptions, endpoint::Destination};
use twinroute_tests::{consumers::mqtt, servers::mosquitto::Mosquitto};

use crate::{
    load::load,
    scene::{self, DEADLINE},
    side::Side,
    unsettled::Unsettled,
};

/// Twins that are updated all the time, and how many of their events come while all are refused: for 15 s.
const TWINS: i32 = 100;
const CHANGES: usize = 15_000;

/// The topic of the endpoint.
const TOPIC: &str = "refusing/events";

/// Less than any event has, in bytes.
const SMALL_BYTES: u32 = 10;

#[test]
fn a_destination_that_refuses_every_event_holds_up_nobody_else() -> Result<()> {
    load(async |load| {
        // Given an endpoint without dead letters, at a broker that takes no event
        let twins = "refusing";
        let mut server = Mosquitto::start(&scene::dir("refusing")?).await?;
        server.limit_messages(SMALL_BYTES)?;
        server.stop().await?;
        server.start_again().await?;
        let consumer = mqtt::consume("127.0.0.1", server.port(), TOPIC).await?;
        let options = MqttOptions {
            broker: "127.0.0.1".to_owned(),
            port: server.port().into(),
            topic: TOPIC.to_owned(),
            ..MqttOptions::default()
        };
        let side = Side::add(load, "refusing", Destination::Mqtt(options)).await?;
        load.create(twins, TWINS).await?;
        // When twins are updated
        let unsettled = Unsettled::watch(&load.stack.capture).await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        load.until_arrived(twins, CHANGES).await?;
        // Then the endpoint says what is wrong, and keeps its events
        load.until_endpoint("refusing", DEADLINE, |state| {
            state.backlog_bytes > 0 && state.last_error.contains("PACKET_TOO_LARGE")
        })
        .await?;
        updates.end().await?;
        // And the others get all of them, and neither an event nor the slot waits
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        let seen = unsettled.end().await?;
        load.steps.done(&format!("while all was refused: {seen:?}"));
        // And when the broker takes them, all arrives there too, once and in order
        server.limit_messages(0)?;
        server.stop().await?;
        server.start_again().await?;
        let verdict = side.settles_after(load, twins, (Vec::new(), &consumer), "none explains any").await?;
        assert_eq!(verdict.repeated, 0);
        side.remove(load).await
    })
}
