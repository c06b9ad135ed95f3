//! What GetCaptureStatus tells: PostgreSQL's view, ours, and who holds the slot back.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join_all, try_join};
use serde_json::json;
use twinroute_proto::{
    capture::v1::{Batch, Released, SlotStatus, SubscriptionState, SubscriptionStatus},
    event::v1::Position,
};
use twinroute_tests::wait;

use crate::{
    alone::{Alone, SUBSCRIPTION, alone},
    decision::status,
    raw::{RawConsumer, Request, events},
    scene::DEADLINE,
};

/// Calls at the same time: more than PostgreSQL has connections in these tests.
const CALLS: usize = 300;

/// Sessions that calls may have at one time: one, and those that the server has not ended yet.
const SESSIONS_MAX: i64 = 8;

/// What `pg_replication_slots` says, and the end of the WAL.
#[derive(Debug)]
struct Row {
    active: bool,
    wal_status: String,
    failover: bool,
    synced: bool,
    safe_wal_size: i64,
    restart: u64,
    confirmed: u64,
    wal_end: u64,
}

async fn row(it: &Alone) -> Result<Row> {
    let sql = "SELECT active, wal_status, failover, synced, safe_wal_size, (restart_lsn - '0/0')::bigint,
            (confirmed_flush_lsn - '0/0')::bigint, (pg_current_wal_lsn() - '0/0')::bigint
        FROM pg_replication_slots WHERE slot_name = $1";
    let slot = format!("twinroute_{SUBSCRIPTION}");
    let row = it.postgres.connect("template1").await?.query_one(sql, &[&slot]).await?;
    let lsn = |column: usize| Ok::<u64, anyhow::Error>(row.try_get::<_, i64>(column)?.try_into()?);
    Ok(Row {
        active: row.try_get(0)?,
        wal_status: row.try_get(1)?,
        failover: row.try_get(2)?,
        synced: row.try_get(3)?,
        safe_wal_size: row.try_get(4)?,
        restart: lsn(5)?,
        confirmed: lsn(6)?,
        wal_end: lsn(7)?,
    })
}

/// The status lies between what PostgreSQL said before it and after it.
fn lies_between(before: &Row, slot: &SlotStatus, after: &Row) -> Result<()> {
    ensure!(slot.slot_name == format!("twinroute_{SUBSCRIPTION}"), "{slot:?}");
    let same = |row: &Row| {
        (row.active, row.failover, row.synced) == (slot.active, slot.failover, slot.synced)
            && row.wal_status == slot.wal_status
    };
    ensure!(same(before) && same(after), "{before:?} {slot:?} {after:?}");
    let within = |low: u64, value: u64, high: u64| (low..=high).contains(&value);
    let safe = slot.safe_wal_size.context("no safe_wal_size")?;
    ensure!((after.safe_wal_size..=before.safe_wal_size).contains(&safe), "{before:?} {slot:?} {after:?}");
    ensure!(within(before.restart, slot.restart_lsn, after.restart), "{before:?} {slot:?} {after:?}");
    ensure!(
        within(before.confirmed, slot.confirmed_flush_lsn, after.confirmed),
        "{before:?} {slot:?} {after:?}"
    );
    let retained = (before.wal_end - after.restart)..=(after.wal_end - before.restart);
    ensure!(retained.contains(&slot.retained_bytes), "{before:?} {slot:?} {after:?}");
    ensure!(slot.invalidation_reason.is_empty() && slot.retained_bytes > 0, "{slot:?}");
    Ok(())
}

/// A consumer that keeps its leases.
async fn joined(it: &Alone, consumer_id: &str) -> Result<RawConsumer> {
    let mut consumer = RawConsumer::connect(&it.capture.grpc()).await?;
    consumer.hello(SUBSCRIPTION, consumer_id).await?;
    consumer.keep_leases();
    Ok(consumer)
}

/// The consumer gives away what it must.
async fn release(consumer: &mut RawConsumer) -> Result<()> {
    loop {
        let assignment = consumer.assignment().await?;
        if !assignment.revoked.is_empty() {
            let assignment_id = assignment.assignment_id;
            return consumer.send(Request::Released(Released { assignment_id })).await;
        }
    }
}

/// The first position of each partition.
fn oldest(batches: &[Batch]) -> BTreeMap<u32, Position> {
    let mut oldest = BTreeMap::new();
    for batch in batches {
        for position in events([batch]).filter_map(|event| event.position) {
            oldest.entry(batch.partition).or_insert(position);
        }
    }
    oldest
}

fn order(position: Option<Position>) -> (u64, u64, u64, u32) {
    let Position { incarnation, commit_lsn, change_lsn, ordinal } = position.unwrap_or_default();
    (incarnation, commit_lsn, change_lsn, ordinal)
}

/// Waits until nothing is held back but by `slow`.
async fn until_only_held_by(it: &Alone, held: &BTreeMap<u32, Position>) -> Result<SubscriptionStatus> {
    wait::until(DEADLINE, "the other consumer's acks", async || {
        let status = status(&it.capture).await?;
        let blocks = status.partitions.iter().filter(|one| one.unacked_events > 0);
        let blocks: Vec<_> = blocks.map(|one| one.partition).collect();
        ensure!(blocks == held.keys().copied().collect::<Vec<_>>(), "{blocks:?} and not {held:?}");
        Ok(status)
    })
    .await
}

#[test]
fn the_status_agrees_with_postgresql_and_names_who_holds_the_slot_back() -> Result<()> {
    alone("status", json!({}), async |it| {
        // Given a bound of what slots keep, so that PostgreSQL tells what is left
        it.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'").await?;
        it.run("SELECT pg_reload_conf()").await?;
        // And two consumers, of which one acknowledges and the other does not
        let mut slow = joined(it, "slow").await?;
        let mut quick = joined(it, "quick").await?;
        release(&mut slow).await?;
        slow.credit(1_000_000, 1 << 40).await?;
        quick.assignment().await?;
        let settler = quick.settle().await?;
        it.create("held", 200).await?;
        let mut taken = slow.batches(1).await?;
        let total = |status: &SubscriptionStatus| status.unacked_events;
        let status_of = async || status(&it.capture).await;
        wait::until(DEADLINE, "half of it to be acknowledged", async || {
            let left = total(&status_of().await?);
            ensure!((1..200).contains(&left), "{left} are not acknowledged");
            let partitions = status_of().await?.partitions;
            let of_quick = partitions.iter().filter(|one| one.consumer_id == "quick");
            ensure!(
                of_quick.clone().count() == 32 && of_quick.map(|one| one.unacked_events).sum::<u64>() == 0
            );
            Ok(())
        })
        .await?;
        let left = usize::try_from(total(&status_of().await?))?;
        let already: usize = taken.iter().map(|batch| batch.items.len()).sum();
        taken.extend(slow.batches(left - already).await?);
        let held = oldest(&taken);
        // Then the status is what PostgreSQL says
        let seen = until_only_held_by(it, &held).await?;
        let before = row(it).await?;
        let now = status(&it.capture).await?;
        let after = row(it).await?;
        lies_between(&before, now.slot.as_ref().context("no slot")?, &after)?;
        ensure!(now.confirmed_flush_lsn >= after.confirmed, "{now:?} {after:?}");
        ensure!(now.received_lsn > now.confirmed_flush_lsn && now.received_lsn <= after.wal_end, "{now:?}");
        // And the slow one holds it back, its oldest event first
        let first = now.blockers.first().context("no blocker")?;
        ensure!(first.consumer_id == "slow" && first.last_ack_time.is_none(), "{first:?}");
        ensure!(first.position == held.get(&first.partition).copied(), "{first:?} {held:?}");
        ensure!(first.position == now.oldest_unacked && now.oldest_unacked == seen.oldest_unacked, "{now:?}");
        ensure!(now.blockers.is_sorted_by_key(|one| order(one.position)), "{:?}", now.blockers);
        ensure!(now.blockers.iter().all(|one| held.contains_key(&one.partition)), "{:?}", now.blockers);
        let age = |status: &SubscriptionStatus| {
            let age = status.blockers.first().and_then(|one| one.age).context("no age")?;
            Ok::<_, anyhow::Error>((age.seconds, age.nanos))
        };
        ensure!(age(&now)? > age(&seen)? && age(&seen)? > (0, 0), "{now:?} {seen:?}");

        many_calls_share_a_session(it).await?;
        without_postgresql_our_own_view_is_shown(it, &now).await?;

        // When the slow one acknowledges, then nobody holds it back
        slow.ack(&taken).await?;
        drop(settler);
        wait::until(DEADLINE, "the slot to follow", async || {
            let status = status(&it.capture).await?;
            let confirmed = status.slot.as_ref().map(|slot| slot.confirmed_flush_lsn);
            ensure!(confirmed >= Some(now.received_lsn), "{status:?}");
            ensure!(status.blockers.is_empty() && status.oldest_unacked.is_none(), "{status:?}");
            ensure!(status.oldest_unacked_age.is_none(), "{status:?}");
            Ok(())
        })
        .await
    })
}

/// However many calls come at once, PostgreSQL has connections left.
async fn many_calls_share_a_session(it: &Alone) -> Result<()> {
    let client = it.postgres.connect("template1").await?;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'twinroute-capture status'";
    let (done, mut goes_on) = tokio::sync::oneshot::channel::<()>();
    let flood = async {
        let answers = join_all((0..CALLS).map(|_| status(&it.capture))).await;
        drop(done);
        for answer in answers {
            ensure!(answer?.slot.is_some(), "a call without PostgreSQL's view");
        }
        Ok(())
    };
    let watch = async {
        let mut most = 0;
        while goes_on.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            most = most.max(client.query_one(sql, &[]).await?.try_get::<_, i64>(0)?);
        }
        Ok(most)
    };
    let ((), most) = try_join(flood, watch).await?;
    ensure!(most <= SESSIONS_MAX, "{most} sessions at one time");
    Ok(())
}

/// While PostgreSQL takes no new session, the stream goes on, and is told of.
async fn without_postgresql_our_own_view_is_shown(it: &Alone, before: &SubscriptionStatus) -> Result<()> {
    let client = it.postgres.connect("template1").await?;
    client.batch_execute("ALTER DATABASE postgres ALLOW_CONNECTIONS false").await?;
    let now = status(&it.capture).await?;
    client.batch_execute("ALTER DATABASE postgres ALLOW_CONNECTIONS true").await?;
    ensure!(now.slot.is_none(), "{:?}", now.slot);
    let subscription = now.subscription.context("no subscription")?;
    ensure!(subscription.state() == SubscriptionState::Streaming, "{subscription:?}");
    ensure!(now.unacked_events == before.unacked_events, "{} unacked", now.unacked_events);
    let worst = |blockers: &[twinroute_proto::capture::v1::Blocker]| {
        blockers.first().map(|one| (one.consumer_id.clone(), one.partition, order(one.position)))
    };
    ensure!(worst(&now.blockers) == worst(&before.blockers), "{:?}", now.blockers);
    Ok(())
}
