//! What a consumer is told when partitions come to it or leave it, also over a restart of capture.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tonic::Code;
use twinroute_proto::capture::v1::{Ack, Batch, Drain, PartitionAck, Released};

use crate::{
    decision::PARTITIONS,
    raw::{RawConsumer, Request, Response, events, granted},
    source::source,
};

/// Credit that no scenario uses up.
const PLENTY: (u64, u64) = (10_000, 1 << 30);

/// Acknowledges with a version of the consumer's own.
async fn ack_with(consumer: &RawConsumer, batches: &[Batch], consumer_version: u64) -> Result<()> {
    let ack =
        |batch: &Batch| PartitionAck { partition: batch.partition, epoch: batch.epoch, batch: batch.batch };
    let partitions = batches.iter().map(ack).collect();
    consumer.send(Request::Ack(Ack { partitions, consumer_version })).await
}

#[test]
fn the_next_holder_is_told_where_to_resume_and_how_new_it_must_be_also_after_a_restart() -> Result<()> {
    source("resumes", json!({ "stream": { "progress_interval_ms": 100 } }), async |source| {
        // Given a consumer that has acknowledged everything with version 7, and then something with version 3
        let mut first = source.join("first").await?;
        let of_first = first.assignment().await?;
        ensure!(of_first.min_consumer_version == 0, "{of_first:?}");
        ensure!(of_first.granted.iter().all(|grant| grant.resume_after.is_none()));
        source.create("twin", 200).await?;
        first.credit(PLENTY.0, PLENTY.1).await?;
        let sent = first.batches(200).await?;
        ack_with(&first, &sent, 7).await?;
        ack_with(&first, sent.get(..1).unwrap_or_default(), 3).await?;
        source.until_confirmed().await?;
        // When another one takes half of it over
        let mut second = source.join("second").await?;
        let assignment_id = first.assignment().await?.assignment_id;
        first.send(Request::Released(Released { assignment_id })).await?;
        let of_second = second.assignment().await?;
        // Then it must have version 7, and resumes after the last item of each partition
        ensure!(of_second.min_consumer_version == 7, "{of_second:?}");
        for grant in &of_second.granted {
            let batches = sent.iter().filter(|batch| batch.partition == grant.partition);
            let last = events(batches).filter_map(|event| event.position).last();
            ensure!(grant.resume_after == last, "{grant:?}: {last:?}");
        }
        // When capture is killed and started again
        let before: Vec<_> = [&of_first, &of_second].map(granted).into_iter().flatten().collect();
        source.capture.kill().await?;
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        // Then that version is still needed, and no epoch comes again
        let after = source.join("third").await?.assignment().await?;
        ensure!(after.min_consumer_version == 7, "{after:?}");
        let after = granted(&after);
        ensure!(after.len() == PARTITIONS, "{after:?}");
        let is_new =
            |(partition, epoch): &(u32, (u64, u64))| after.get(partition).is_some_and(|it| it > epoch);
        ensure!(before.iter().all(is_new), "{before:?} {after:?}");
        Ok(())
    })
}

#[test]
fn a_consumer_that_leaves_hears_no_more_and_others_get_its_partitions_once_it_has_released_them() -> Result<()>
{
    source("drains", json!({ "stream": { "progress_interval_ms": 100 } }), async |source| {
        // Given a consumer with events that it has not acknowledged, and one that comes just then
        let mut leaving = source.join("leaving").await?;
        leaving.assignment().await?;
        source.create("before", 50).await?;
        leaving.credit(PLENTY.0, PLENTY.1).await?;
        let sent = leaving.batches(50).await?;
        // When it says that it is leaving
        leaving.send(Request::Drain(Drain {})).await?;
        let revoking = leaving.assignment().await?;
        ensure!(revoking.revoked.len() == PARTITIONS && revoking.granted.is_empty(), "{revoking:?}");
        let mut next = source.join("next").await?;
        next.credit(PLENTY.0, PLENTY.1).await?;
        source.create("after", 50).await?;
        // Then nothing more is sent to it, and nothing to the other one yet
        leaving.is_quiet().await?;
        next.is_quiet().await?;
        // When it has acknowledged and released
        leaving.ack(&sent).await?;
        let assignment_id = revoking.assignment_id;
        leaving.send(Request::Released(Released { assignment_id })).await?;
        // Then the other one gets everything that is new, and nothing again
        ensure!(next.assignment().await?.granted.len() == PARTITIONS);
        let rest = next.batches(50).await?;
        ensure!(events(&rest).all(|event| event.entity_id.starts_with("after")), "a repeat");
        next.ack(&rest).await?;
        source.until_confirmed().await
    })
}

#[test]
fn a_capture_that_stops_says_so_and_waits_for_the_acks() -> Result<()> {
    source("stops", json!({ "stream": { "progress_interval_ms": 100 } }), async |source| {
        // Given a consumer with an event in hand
        let mut consumer = source.join("consumer").await?;
        consumer.assignment().await?;
        source.create("twin", 1).await?;
        consumer.credit(PLENTY.0, PLENTY.1).await?;
        let sent = consumer.batches(1).await?;
        // When capture gets SIGTERM
        let settles = async {
            let go_away = loop {
                if let Response::GoAway(go_away) = consumer.next().await? {
                    break go_away;
                }
            };
            // Then the consumer is told, has its time, and then the stream ends
            ensure!(go_away.reason.contains("stopping") && go_away.deadline.is_some(), "{go_away:?}");
            consumer.ack(&sent).await?;
            let ended = consumer.end().await?;
            ensure!(ended.code() == Code::Unavailable, "{ended}");
            Ok(())
        };
        let (ended, settled) = tokio::join!(source.capture.terminate(), settles);
        settled?;
        let ended = ended.context("capture does not end")?;
        ensure!(ended.success(), "{ended}");
        // And nothing is sent again
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        let mut again = source.join("consumer").await?;
        again.assignment().await?;
        again.credit(PLENTY.0, PLENTY.1).await?;
        again.is_quiet().await
    })
}
