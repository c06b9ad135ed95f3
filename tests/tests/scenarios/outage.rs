//! A sink that is down under load.

use anyhow::{Context as _, Result, ensure};
use twinroute_proto::routes::v1::{EndpointHealth, GetEndpointRequest};
use twinroute_tests::{stack::routes, wait};

use crate::{load::load, scene::DEADLINE};

#[test]
fn while_mqtt_is_down_kafka_goes_on_and_afterwards_all_arrives_in_order() -> Result<()> {
    load(async |load| {
        // Given twins, and a broker that is stopped
        let twins = "mqtt-down";
        load.create(twins, 1_000).await?;
        load.settles(twins).await?;
        load.stack.servers.mosquitto.stop().await?;
        // When they are updated
        load.update(twins, 100, 1).await?.end().await?;
        let first_is_written = load.stack.servers.postgres.wal_end().await?;
        load.update(twins, 1_000, 10).await?.end().await?;
        // Then Kafka has it all
        load.until_arrived(twins, 1_000 + 100 + 10_000).await?;
        // And the endpoint says what is wrong, while the workers are ready
        let client = routes::client(&load.stack).await?;
        wait::until(DEADLINE, "the endpoint to be down with a backlog", async || {
            let request = GetEndpointRequest { name: "mqtt".to_owned() };
            let endpoint = client.clone().get_endpoint(request).await?.into_inner().endpoint;
            let state = endpoint.and_then(|endpoint| endpoint.state).context("no state")?;
            ensure!(state.health() == EndpointHealth::Down && state.backlog_events > 1_000, "{state:?}");
            Ok(())
        })
        .await?;
        for worker in &load.stack.workers {
            worker.until_page(DEADLINE, "/readyz", |status, _| status == 200).await?;
        }
        // And the slot has not passed what MQTT lacks
        let confirmed = load.confirmed().await?;
        assert!(confirmed < first_is_written, "{confirmed:X} is beyond {first_is_written:X}");
        // When the broker is back
        load.stack.servers.mosquitto.start_again().await?;
        // Then all arrives, in order, and is confirmed
        load.settles(twins).await?;
        Ok(())
    })
}
