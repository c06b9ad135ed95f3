//! A slot that is gone or moved: capture stops, says so, goes on when told to, and tells consumers.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tonic::Code;
use twinroute_proto::event::v1::Position;

use crate::{
    decision::{
        PARTITIONS, consumer, first_of_each_partition, only_events_come, resume, status,
        until_nothing_is_pending, until_stopped,
    },
    raw::{events, hello},
    source::{Source, source},
};

fn slot(source: &Source) -> String {
    format!("twinroute_{}", source.subscription())
}

/// Delivers a few events; then capture is down, and one more is written.
async fn settle_and_stop(source: &mut Source) -> Result<Position> {
    let mut settling = consumer(&source.capture, source.subscription()).await?;
    source.create("before", 5).await?;
    let settled = settling.batches(5).await?;
    settling.ack(&settled).await?;
    source.until_confirmed().await?;
    drop(settling);
    source.capture.terminate().await?;
    source.create("missed", 1).await?;
    events(&settled).filter_map(|event| event.position).next().context("no position")
}

#[test]
fn a_dropped_slot_stops_capture_until_exactly_its_gap_is_accepted() -> Result<()> {
    source("dropped", json!({}), async |source| {
        // Given a subscription whose slot is dropped while capture is down
        let before = settle_and_stop(source).await?;
        let (name, slot) = (source.subscription().to_owned(), slot(source));
        let client = source.graph().await?;
        let client = client.client();
        client.execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await?;
        // When capture is started
        source.capture.start_again()?;
        // Then it is live, not ready, and says in health, status and metrics what is gone and what to do
        let stopped = until_stopped(&source.capture, "slot_gone", &format!("{slot} is gone")).await?;
        ensure!(stopped.slot.is_none(), "{:?}", stopped.slot);
        let at = stopped.stopped_at.context("no position")?;
        ensure!((at.incarnation, at.commit_lsn >= before.commit_lsn) == (before.incarnation, true), "{at:?}");
        // And nobody gets a stream, and there is no slot
        let mut refused = source.connect().await?;
        refused.send(hello(&name, "refused")).await?;
        let refused = refused.end().await?;
        ensure!(refused.code() == Code::Unavailable && refused.message().contains("stopped"), "{refused}");
        let slots = client.query("SELECT FROM pg_replication_slots WHERE slot_name = $1", &[&slot]).await?;
        ensure!(slots.is_empty(), "the slot was made again in silence");
        // When another position is accepted
        let other = Position { commit_lsn: at.commit_lsn + 1, ..at };
        let refused = resume(&source.capture, &name, Some(other)).await?;
        // Then that is refused, with the right one, and it stays stopped
        let refused = refused.err().context("it is accepted")?;
        ensure!(refused.code() == Code::FailedPrecondition, "{refused}");
        ensure!(refused.message().contains(&at.commit_lsn.to_string()), "{refused}");
        until_stopped(&source.capture, "slot_gone", "is gone").await?;
        // When the right one is accepted
        let resumed = resume(&source.capture, &name, Some(at)).await??;
        ensure!(resumed.incarnation > at.incarnation, "{resumed:?}");
        source.capture.until_ready().await?;
        // Then each partition has the discontinuity first, under a higher incarnation
        let mut after = consumer(&source.capture, &name).await?;
        let told = after.batches(PARTITIONS).await?;
        let gap = first_of_each_partition(&told)?;
        ensure!(gap.last_known == Some(at), "{gap:?}");
        let first_new = gap.first_new.context("nothing new")?;
        ensure!(first_new.incarnation == resumed.incarnation, "{gap:?} {resumed:?}");
        ensure!(gap.reason.contains("is gone"), "{gap:?}");
        // And what follows has that incarnation, and the slot follows once all is acknowledged
        source.create("after", 3).await?;
        let new = only_events_come(&mut after, 3).await?;
        let follows = |at: Option<Position>| {
            at.is_some_and(|at| {
                at.incarnation == first_new.incarnation && at.commit_lsn > first_new.commit_lsn
            })
        };
        ensure!(events(&new).all(|event| follows(event.position)), "{new:?}");
        after.ack(told.iter().chain(&new)).await?;
        source.until_confirmed().await?;
        until_nothing_is_pending(client, &name).await
    })
}

#[test]
fn a_gap_is_told_again_until_every_partition_has_acknowledged_it() -> Result<()> {
    source("told_again", json!({}), async |source| {
        // Given a gap that was accepted, and told to a consumer that acknowledges it in all partitions but one
        settle_and_stop(source).await?;
        let name = source.subscription().to_owned();
        let client = source.graph().await?;
        let client = client.client();
        client.execute("SELECT pg_drop_replication_slot($1)", &[&slot(source)]).await?;
        source.capture.start_again()?;
        let at = until_stopped(&source.capture, "slot_gone", "is gone").await?.stopped_at;
        let resumed = resume(&source.capture, &name, at).await??;
        let mut first = consumer(&source.capture, &name).await?;
        let told = first.batches(PARTITIONS).await?;
        let gap = first_of_each_partition(&told)?;
        first.ack(told.iter().filter(|batch| batch.partition > 0)).await?;
        // When capture is killed
        source.capture.kill().await?;
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        // Then the same discontinuity comes again, in each partition, under the same incarnation
        let mut second = consumer(&source.capture, &name).await?;
        let again = second.batches(PARTITIONS).await?;
        ensure!(first_of_each_partition(&again)? == gap, "{again:?}");
        let now = status(&source.capture).await?.subscription.unwrap_or_default();
        ensure!(now.incarnation == resumed.incarnation, "{now:?}");
        // When all is acknowledged, and capture is killed again
        second.ack(&again).await?;
        until_nothing_is_pending(client, &name).await?;
        source.capture.kill().await?;
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        // Then it does not come again
        let mut third = consumer(&source.capture, &name).await?;
        source.create("after", 1).await?;
        only_events_come(&mut third, 1).await?;
        Ok(())
    })
}

#[test]
fn a_slot_that_somebody_else_moved_stops_capture_and_goes_on_where_it_is() -> Result<()> {
    source("moved", json!({}), async |source| {
        // Given a slot that is advanced over an event while capture is down
        settle_and_stop(source).await?;
        let name = source.subscription().to_owned();
        let client = source.graph().await?;
        let advance = "SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())";
        client.client().execute(advance, &[&slot(source)]).await?;
        // And an event behind it
        source.create("behind", 1).await?;
        // When capture is started
        source.capture.start_again()?;
        // Then it stops
        let stopped = until_stopped(&source.capture, "slot_moved", "was moved to").await?;
        // When that is accepted
        resume(&source.capture, &name, stopped.stopped_at).await??;
        // Then the event behind comes after the discontinuity
        let mut after = consumer(&source.capture, &name).await?;
        let told = after.batches(PARTITIONS + 1).await?;
        first_of_each_partition(&told)?;
        let seen: Vec<_> = events(&told).map(|event| event.entity_id.clone()).collect();
        ensure!(seen.iter().all(|id| id.starts_with("behind")) && seen.len() == 1, "{seen:?}");
        after.ack(&told).await?;
        source.until_confirmed().await
    })
}

#[test]
fn a_slot_that_pg_recvlogical_has_read_stops_capture() -> Result<()> {
    source("taken", json!({}), async |source| {
        // Given a slot from which somebody else reads an event while capture is down
        settle_and_stop(source).await?;
        let end = source.postgres.wal_end().await?;
        source.write_elsewhere().await?;
        let mut reader = source.postgres.tool("pg_recvlogical");
        reader.args(["--start", "--no-loop", "--file=-", "--dbname", source.url()]);
        reader.arg(format!("--slot={}", slot(source)));
        reader.arg(format!("--endpos={:X}/{:X}", end >> 32, end & 0xFFFF_FFFF));
        reader.args(["--option=proto_version=1", "--option=publication_names=twinroute"]);
        let output = tokio::task::spawn_blocking(move || reader.output()).await??;
        ensure!(output.status.success(), "{output:?}");
        // When capture is started
        source.capture.start_again()?;
        // Then it stops
        until_stopped(&source.capture, "slot_moved", "was moved to").await?;
        Ok(())
    })
}

#[test]
fn an_older_slot_is_enabled_for_failover() -> Result<()> {
    source("failover", json!({}), async |source| {
        // Given a slot that an older version made, without failover
        source.capture.terminate().await?;
        let client = source.graph().await?;
        let client = client.client();
        let slot = slot(source);
        client.execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await?;
        client.execute("DELETE FROM twinroute.subscription", &[]).await?;
        let create = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
        client.execute(create, &[&slot]).await?;
        // When capture is started
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        // Then it can be synchronised to standbys
        let status = status(&source.capture).await?;
        ensure!(status.slot.as_ref().is_some_and(|slot| slot.failover && slot.active), "{:?}", status.slot);
        Ok(())
    })
}
