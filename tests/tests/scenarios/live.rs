//! Live subscriptions: from now on, on one temporary slot, and nobody is held up by anybody.

use anyhow::{Result, ensure};
use serde_json::json;
use tonic::Code;
use twinroute_proto::capture::v1::{Hello, Live, SubscriptionFilter, Welcome, hello};
use twinroute_tests::wait;

use crate::{
    raw::{RawConsumer, Request, Response, events, granted},
    scene::DEADLINE,
    source::{Source, source},
};

/// Credit that no scenario uses up.
const PLENTY: (u64, u64) = (1_000_000, 1 << 40);

fn live(consumer_id: &str, filter: Option<SubscriptionFilter>) -> Request {
    Request::Hello(Hello {
        source: Some(hello::Source::Live(Live {})),
        consumer_id: consumer_id.to_owned(),
        protocol_version: 1,
        filter,
        ..Hello::default()
    })
}

fn labels(label: &str) -> Option<SubscriptionFilter> {
    Some(SubscriptionFilter { labels: vec![label.to_owned()], ..SubscriptionFilter::default() })
}

/// A live consumer that has all partitions of its own.
pub(crate) async fn join(
    source: &Source,
    id: &str,
    filter: Option<SubscriptionFilter>,
) -> Result<(RawConsumer, Welcome)> {
    let mut consumer = source.connect().await?;
    consumer.send(live(id, filter)).await?;
    let welcome = match consumer.next().await? {
        Response::Welcome(welcome) => welcome,
        frame => anyhow::bail!("{frame:?} instead of Welcome"),
    };
    consumer.keep_leases();
    let partitions = granted(&consumer.assignment().await?).len();
    ensure!(partitions == 64, "{partitions} partitions");
    Ok((consumer, welcome))
}

/// The temporary slots of the database, each with how far it is confirmed.
async fn temporary_slots(source: &Source) -> Result<Vec<i64>> {
    let client = source.postgres.connect("postgres").await?;
    let sql = "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots
               WHERE temporary AND database = $1";
    let rows = client.query(sql, &[&source.subscription()]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn until_no_slot(source: &Source) -> Result<()> {
    wait::until(DEADLINE, "the temporary slot to go", async || {
        let slots = temporary_slots(source).await?;
        ensure!(slots.is_empty(), "{slots:?}");
        Ok(())
    })
    .await
}

#[test]
fn live_consumers_share_a_temporary_slot_that_begins_with_the_first_and_goes_with_the_last() -> Result<()> {
    source("live", json!({}), async |source| {
        // Given twins, and then a live consumer, and another one with a filter
        source.create("before", 10).await?;
        ensure!(temporary_slots(source).await?.is_empty());
        let (mut first, welcome) = join(source, "first", None).await?;
        ensure!(welcome.slot.is_empty() && welcome.timeline > 0, "{welcome:?}");
        first.credit(PLENTY.0, PLENTY.1).await?;
        let (mut second, _) = join(source, "second", labels("Lamp")).await?;
        second.credit(PLENTY.0, PLENTY.1).await?;
        // When something is committed
        source.create("after", 3).await?;
        let mut graph = source.graph().await?;
        let change = graph.change().await?;
        change.cypher("CREATE (:Lamp {`$dtId`: 'lamp', `$metadata`: {}})").await?;
        change.commit().await?;
        // Then each gets what it wants of it, and nothing from before
        let all = first.batches(4).await?;
        let mut ids: Vec<_> = events(&all).map(|event| event.entity_id.as_str()).collect();
        ids.sort_unstable();
        ensure!(ids == ["after-0", "after-1", "after-2", "lamp"], "{ids:?}");
        let lamps = second.batches(1).await?;
        ensure!(events(&lamps).map(|event| event.entity_id.as_str()).eq(["lamp"]));
        second.is_quiet().await?;
        // And there is one slot for both, which follows though nobody has acknowledged anything
        let end = i64::try_from(source.postgres.wal_end().await?)?;
        wait::until(DEADLINE, "the temporary slot to follow", async || {
            let slots = temporary_slots(source).await?;
            ensure!(slots.len() == 1 && slots.iter().all(|confirmed| *confirmed >= end), "{slots:?} {end}");
            Ok(())
        })
        .await?;
        // When one leaves, the other goes on
        drop(first);
        let change = graph.change().await?;
        change.cypher("CREATE (:Lamp {`$dtId`: 'lamp-2', `$metadata`: {}})").await?;
        change.commit().await?;
        let lamps = second.batches(1).await?;
        ensure!(events(&lamps).map(|event| event.entity_id.as_str()).eq(["lamp-2"]));
        // When the last one leaves, the slot goes with it, and whoever comes later begins then
        drop(second);
        until_no_slot(source).await?;
        source.create("nobody", 1).await?;
        let (mut third, _) = join(source, "third", None).await?;
        third.credit(PLENTY.0, PLENTY.1).await?;
        source.create("again", 1).await?;
        let again = third.batches(1).await?;
        ensure!(events(&again).map(|event| event.entity_id.as_str()).eq(["again-0"]));
        Ok(())
    })
}

#[test]
fn a_live_consumer_that_falls_behind_is_cut_off_and_nobody_else_notices() -> Result<()> {
    let settings = json!({ "live": { "unacked_events_max": 3_000 } });
    source("live_behind", settings, async |source| {
        // Given a live consumer that gives no credit, one that settles all, and one of the durable subscription
        let (mut sleeper, _) = join(source, "sleeper", None).await?;
        let mut awake = join(source, "awake", None).await?.0.settle().await?;
        let mut durable = source.join("durable").await?.settle().await?;
        // When more is created than the first may be behind
        for batch in 0..6 {
            source.create(&format!("live{batch}"), 1_000).await?;
            // Then the others have it at once
            awake.until_seen(&format!("live{batch}-999")).await?;
            durable.until_seen(&format!("live{batch}-999")).await?;
        }
        source.until_confirmed().await?;
        // And the first is cut off, with the reason
        let status = sleeper.end().await?;
        ensure!(status.code() == Code::ResourceExhausted, "{status}");
        ensure!(status.message().contains("live.unacked_events_max"), "{status}");
        Ok(())
    })
}

#[test]
fn live_consumers_are_bounded_in_number_and_checked_before_anything_is_made_for_them() -> Result<()> {
    source("live_bounded", json!({ "live": { "consumers_max": 1 } }), async |source| {
        // When a filter makes no sense, then it is refused, and there is no slot
        let mut wrong = source.connect().await?;
        wrong.send(live("wrong", labels(""))).await?;
        let status = wrong.end().await?;
        ensure!(status.code() == Code::InvalidArgument, "{status}");
        ensure!(status.message().contains("Hello.filter.labels"), "{status}");
        ensure!(temporary_slots(source).await?.is_empty());
        // When there are as many as there may be, then one more is refused
        let (first, _) = join(source, "first", None).await?;
        let mut more = source.connect().await?;
        more.send(live("more", None)).await?;
        let status = more.end().await?;
        ensure!(status.code() == Code::ResourceExhausted, "{status}");
        ensure!(status.message().contains("live.consumers_max"), "{status}");
        // until one has left
        drop(first);
        until_no_slot(source).await?;
        join(source, "next", None).await.map(drop)
    })
}

#[test]
fn what_is_published_beside_the_captured_graphs_is_nothing_to_a_live_consumer() -> Result<()> {
    source("live_graphs", json!({}), async |source| {
        // Given a publication that somebody has added a table of another schema to
        let graph = source.graph().await?;
        let elsewhere = r#"CREATE SCHEMA elsewhere; CREATE TABLE elsewhere."Twin" (id int, properties jsonb);
            ALTER PUBLICATION twinroute ADD TABLE elsewhere."Twin""#;
        graph.client().batch_execute(elsewhere).await?;
        let (mut consumer, _) = join(source, "consumer", None).await?;
        consumer.credit(PLENTY.0, PLENTY.1).await?;
        // When a row is written there, and then a twin
        let row = r#"INSERT INTO elsewhere."Twin" VALUES (1, '{"$dtId": "other"}')"#;
        graph.client().batch_execute(row).await?;
        source.create("twin", 1).await?;
        // Then the twin comes alone
        let seen = consumer.batches(1).await?;
        let entities: Vec<_> = events(&seen).map(|event| event.entity_id.as_str()).collect();
        ensure!(entities == ["twin-0"], "{entities:?}");
        Ok(())
    })
}
