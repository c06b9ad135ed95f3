//! A destination that takes events, and answers each call only after ten seconds.

use std::time::Duration;

use anyhow::Result;
use twinroute_proto::routes::v1::{MqttOptions, endpoint::Destination};
use twinroute_tests::{consumers::mqtt, proxy::Proxy};

use crate::{load::load, scene::DEADLINE, side::Side, unsettled::Unsettled};

/// Twins that are updated all the time, and how many of their events come while answers are late: for 15 s.
const TWINS: i32 = 1_000;
const CHANGES: usize = 15_000;

/// How long each answer takes.
const DELAY: Duration = Duration::from_secs(10);

/// The topic of the endpoint that is slow.
const TOPIC: &str = "slow/events";

#[test]
fn a_destination_that_answers_after_ten_seconds_holds_up_nobody_else() -> Result<()> {
    load(async |load| {
        // Given an endpoint whose answers come by a way of their own
        let (twins, port) = ("slow", load.stack.servers.mosquitto.port());
        let proxy = Proxy::start(port).await?;
        let consumer = mqtt::consume("127.0.0.1", port, TOPIC).await?;
        let options = MqttOptions {
            broker: "127.0.0.1".to_owned(),
            port: proxy.port().into(),
            topic: TOPIC.to_owned(),
            ..MqttOptions::default()
        };
        let side = Side::add(load, "slow", Destination::Mqtt(options)).await?;
        load.create(twins, TWINS).await?;
        load.settles(twins).await?;
        side.settles_after(load, twins, (Vec::new(), &consumer), "no fault").await?;
        // When each answer takes ten seconds, while twins are updated
        proxy.delay_answers(DELAY);
        let unsettled = Unsettled::watch(&load.stack.capture).await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        load.until_arrived(twins, CHANGES).await?;
        load.until_endpoint("slow", DEADLINE, |state| state.backlog_bytes > 0).await?;
        updates.end().await?;
        // Then the others get all of them, and neither an event nor the slot waits as long as an answer takes
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        let seen = unsettled.end().await?;
        load.steps.done(&format!("while answers were late: {seen:?}"));
        // And when answers come at once, all arrives there too, in order
        proxy.delay_answers(Duration::ZERO);
        let fault = "what had no answer when its events were parked";
        side.settles_after(load, twins, (Vec::new(), &consumer), fault).await?;
        side.remove(load).await
    })
}
