//! A sink that is down under load.

use anyhow::Result;
use twinroute_proto::routes::v1::EndpointHealth;
use twinroute_tests::soak;

use crate::{load::load, scene::DEADLINE, unsettled::Unsettled};

/// Twins, which are updated so many times while the broker is away; in the long form more than all buffers hold, of which
/// capture's is the largest (`stream.unacked_events_max`).
const TWINS: i32 = 1_000;

fn rounds() -> i32 {
    if soak::is_on() { 150 } else { 10 }
}

#[test]
fn while_mqtt_is_down_kafka_goes_on_and_afterwards_all_arrives_in_order() -> Result<()> {
    load(async |load| {
        // Given twins, and a broker that is stopped
        let twins = "mqtt-down";
        load.create(twins, TWINS).await?;
        load.settles(twins).await?;
        let unsettled = Unsettled::watch(&load.stack.capture).await?;
        load.stack.servers.mosquitto.stop().await?;
        // When they are updated
        let updates = rounds() * TWINS;
        load.update(twins, TWINS, rounds()).await?.end().await?;
        let written = load.stack.servers.postgres.wal_end().await?;
        // Then Kafka has it all
        load.until_arrived(twins, usize::try_from(TWINS + updates)?).await?;
        // And the endpoint says what is wrong and what is parked, while the workers are ready
        load.until_endpoint("mqtt", DEADLINE, |state| {
            state.health() == EndpointHealth::Down
                && state.backlog_events >= u64::from(updates.unsigned_abs())
                && state.backlog_bytes > 0
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
