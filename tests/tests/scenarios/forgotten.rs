//! A database that was restored to an earlier time: what was delivered does not exist any more.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tonic::Code;
use twinroute_proto::{
    capture::v1::{Hello, LastSeen, hello},
    event::v1::Position,
};
use twinroute_tests::servers::postgres::Shutdown;

use crate::{
    alone::{Alone, SUBSCRIPTION, alone},
    decision::{PARTITIONS, consumer, first_of_each_partition, resume, status, until_stopped},
    raw::{RawConsumer, Request, events},
};

/// Delivers an event, backs the database up, delivers another one; gives the position of that.
async fn deliver_beyond_a_backup(it: &mut Alone) -> Result<Position> {
    let mut first = consumer(&it.capture, SUBSCRIPTION).await?;
    it.create("kept", 1).await?;
    let kept = first.batches(1).await?;
    first.ack(&kept).await?;
    it.postgres.stop(Shutdown::Fast).await?;
    it.postgres.back_up()?;
    it.postgres.start_again().await?;
    it.capture.until_ready().await?;
    it.create("forgotten", 1).await?;
    let mut second = consumer(&it.capture, SUBSCRIPTION).await?;
    loop {
        let sent = second.batches(1).await?;
        second.ack(&sent).await?;
        let forgotten = events(&sent).find(|event| event.entity_id.starts_with("forgotten"));
        if let Some(event) = forgotten {
            return event.position.context("no position");
        }
    }
}

#[test]
fn a_database_that_is_restored_while_capture_runs_stops_it() -> Result<()> {
    alone("restored", json!({}), async |it| {
        // Given a delivered event that no backup has
        let delivered = deliver_beyond_a_backup(it).await?;
        // When the database is restored, and writes on beyond where it was
        it.postgres.stop(Shutdown::Fast).await?;
        it.postgres.restore()?;
        it.postgres.start_again().await?;
        // Then capture stops at what it has sent, and stays so when it is started anew
        let stopped = until_stopped(&it.capture, "went_back", "").await?;
        ensure!(stopped.stopped_at == Some(delivered), "{stopped:?} {delivered:?}");
        for _ in 0..3 {
            it.write_segment().await?;
        }
        it.capture.kill().await?;
        it.capture.start_again()?;
        until_stopped(&it.capture, "went_back", "").await?;
        // When that is accepted
        let resumed = resume(&it.capture, SUBSCRIPTION, Some(delivered)).await??;
        // Then consumers hear of it, and sequences do not go back where LSNs do
        ensure!(resumed.incarnation > delivered.incarnation, "{resumed:?}");
        let mut after = consumer(&it.capture, SUBSCRIPTION).await?;
        let told = after.batches(PARTITIONS).await?;
        let gap = first_of_each_partition(&told)?;
        let first_new = gap.first_new.context("nothing new")?;
        ensure!(gap.last_known == Some(delivered) && first_new.commit_lsn < delivered.commit_lsn, "{gap:?}");
        after.ack(&told).await
    })
}

#[test]
fn a_database_that_is_restored_while_capture_is_down_is_revealed_by_a_consumer() -> Result<()> {
    alone("revealed", json!({}), async |it| {
        // Given a delivered event, and a database restored to before it while capture is down
        let delivered = deliver_beyond_a_backup(it).await?;
        it.capture.kill().await?;
        it.postgres.stop(Shutdown::Fast).await?;
        it.postgres.restore()?;
        it.postgres.start_again().await?;
        it.capture.start_again()?;
        it.capture.until_ready().await?;
        // When a consumer says what it has seen last
        let remembers = Request::Hello(Hello {
            source: Some(hello::Source::Subscription(SUBSCRIPTION.to_owned())),
            consumer_id: "consumer".to_owned(),
            protocol_version: 1,
            last_seen: Some(LastSeen { timeline: 1, position: Some(delivered) }),
            ..Hello::default()
        });
        let mut consumer = RawConsumer::connect(&it.capture.grpc()).await?;
        consumer.send(remembers).await?;
        // Then it gets no stream, and capture stops
        let refused = consumer.end().await?;
        ensure!(refused.code() == Code::Unavailable, "{refused}");
        let stopped = until_stopped(&it.capture, "went_back", "a consumer has seen").await?;
        ensure!(stopped.stopped_at == Some(delivered), "{stopped:?}");
        // also when it is started again, before anybody says anything
        it.capture.kill().await?;
        it.capture.start_again()?;
        until_stopped(&it.capture, "went_back", "a consumer has seen").await?;
        // When that is accepted, then it goes on
        resume(&it.capture, SUBSCRIPTION, Some(delivered)).await??;
        it.capture.until_ready().await?;
        let now = status(&it.capture).await?.subscription.unwrap_or_default();
        ensure!(now.incarnation > delivered.incarnation, "{now:?}");
        Ok(())
    })
}
