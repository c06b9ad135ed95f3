//! Who captures, and what happens when PostgreSQL takes that away.

use anyhow::Result;
use serde_json::json;
use tonic::Code;
use twinroute_tests::services::{Program, Service};

use crate::{
    raw::{RawConsumer, events, granted},
    scene::DEADLINE,
    source::source,
};

/// Credit that no scenario uses up.
const PLENTY: (u64, u64) = (1_000, 1 << 30);

#[test]
fn a_second_capture_stands_by_until_the_first_is_gone() -> Result<()> {
    source("standby", json!({}), async |source| {
        // Given a capture with a consumer that does not acknowledge, and a second capture
        let mut consumer = source.join("consumer").await?;
        let before = granted(&consumer.assignment().await?);
        source.create("twin", 1).await?;
        consumer.credit(PLENTY.0, PLENTY.1).await?;
        let sent = consumer.batches(1).await?;
        let mut second = Service::start(Program::Capture, "second", source.settings(), source.dir())?;
        // Then that one is not ready and says who holds the subscription
        let held = |status: u16, text: &str| status == 503 && text.contains("held by");
        second.until_page(DEADLINE, "/readyz", held).await?;
        let refused = RawConsumer::connect(&second.grpc()).await.err().map(|error| format!("{error:#}"));
        assert!(refused.is_some_and(|text| text.contains("held by")));
        // When the first is killed
        source.capture.kill().await?;
        // Then the second takes over, with what was not acknowledged
        second.until_ready().await?;
        let mut consumer = RawConsumer::connect(&second.grpc()).await?;
        consumer.hello(source.subscription(), "consumer").await?;
        consumer.keep_leases();
        let after = granted(&consumer.assignment().await?);
        assert!(after.iter().all(|(partition, epoch)| before.get(partition).is_some_and(|of| of < epoch)));
        consumer.credit(PLENTY.0, PLENTY.1).await?;
        let again = consumer.batches(1).await?;
        assert_eq!(events(&again).collect::<Vec<_>>(), events(&sent).collect::<Vec<_>>());
        consumer.ack(&again).await?;
        source.until_confirmed().await
    })
}

#[test]
fn a_walsender_that_is_ended_costs_a_new_connection_and_nothing_else() -> Result<()> {
    source("walsender", json!({}), async |source| {
        // Given a consumer that has not acknowledged what it got
        let mut consumer = source.join("consumer").await?;
        consumer.assignment().await?;
        source.create("twin", 10).await?;
        consumer.credit(PLENTY.0, PLENTY.1).await?;
        let sent = consumer.batches(10).await?;
        // When the walsender is ended
        let slot = format!("twinroute_{}", source.subscription());
        let client = source.postgres.connect("postgres").await?;
        let sql = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1";
        client.query_one(sql, &[&slot]).await?;
        // Then the consumer is told to connect again
        assert_eq!(consumer.end().await?.code(), Code::Unavailable);
        source.capture.until_ready().await?;
        // And gets the same events again
        let mut consumer = source.join("consumer").await?;
        consumer.credit(PLENTY.0, PLENTY.1).await?;
        consumer.assignment().await?;
        let again = consumer.batches(10).await?;
        let positions = |batches| {
            let mut positions: Vec<_> = events(batches)
                .map(|event| {
                    (event.entity_id.clone(), event.position.map(|at| (at.commit_lsn, at.change_lsn)))
                })
                .collect();
            positions.sort();
            positions
        };
        assert_eq!(positions(&again), positions(&sent));
        consumer.ack(&again).await?;
        source.until_confirmed().await
    })
}
