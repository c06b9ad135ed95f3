//! A sink that is down under load.

use anyhow::Result;
use twinroute_proto::routes::v1::EndpointHealth;

use crate::{load::load, scene::DEADLINE, unsettled::Unsettled};

#[test]
fn while_mqtt_is_down_kafka_goes_on_and_afterwards_all_arrives_in_order() -> Result<()> {
    load(async |load| {
        // Given twins, and a broker that is stopped
        let twins = "mqtt-down";
        load.create(twins, 1_000).await?;
        load.settles(twins).await?;
        let unsettled = Unsettled::watch(&load.stack.capture).await?;
        load.stack.servers.mosquitto.stop().await?;
        // When they are updated
        load.update(twins, 1_000, 10).await?.end().await?;
        let written = load.stack.servers.postgres.wal_end().await?;
        // Then Kafka has it all
        load.until_arrived(twins, 1_000 + 10_000).await?;
        // And the endpoint says what is wrong and what is parked, while the workers are ready
        load.until_endpoint("mqtt", DEADLINE, |state| {
            state.health() == EndpointHealth::Down && state.backlog_events > 1_000 && state.backlog_bytes > 0
        })
        .await?;
        for worker in &load.stack.workers {
            worker.until_page(DEADLINE, "/readyz", |status, _| status == 200).await?;
        }
        // And the slot keeps nothing for it, and no event of the others has waited long
        load.until_confirmed(written).await?;
        let seen = unsettled.end().await?;
        load.steps.done(&format!("while the broker refused: {seen:?}"));
        // When the broker is back
        load.stack.servers.mosquitto.start_again().await?;
        // Then all arrives, in order, and is confirmed
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        Ok(())
    })
}
