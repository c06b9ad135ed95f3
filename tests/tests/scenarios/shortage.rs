//! Memory is short: created subscriptions and live consumers get what the configured subscription leaves, and the process
//! stays under its limit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use twinroute_proto::capture::v1::{Hello, Live, hello};
use twinroute_tests::{stack::GRAPH, usage};

use crate::{
    administration::{create, named},
    decision::consumer,
    raw::{RawConsumer, Request, Response, events},
    scene::DEADLINE,
    source::{Source, source},
};

/// `memory.bytes_max` by default, in MiB.
const MEMORY_MAX_MIB: f64 = 256.0;

/// All that may be created by default.
const CREATED: [&str; 4] = ["shortage_1", "shortage_2", "shortage_3", "shortage_4"];

/// Twins of the two transactions: three windows of small ones, and more bytes of large ones than may be unacknowledged.
const SMALL_TWINS: usize = 200_000;
const LARGE_TWINS: usize = 2_000;

/// Live consumers.
const LIVE: usize = 4;

/// Time for each subscription to get all of it: four are decoded beside each other, and take turns.
const WITHIN: Duration = Duration::from_secs(300);

/// Credit that nothing uses up.
const PLENTY: (u64, u64) = (10_000_000, 1 << 40);

/// A live consumer that has all credit and reads nothing.
async fn live(source: &Source, consumer_id: String) -> Result<RawConsumer> {
    let mut consumer = source.connect().await?;
    let hello = Hello {
        source: Some(hello::Source::Live(Live {})),
        consumer_id,
        protocol_version: 1,
        ..Hello::default()
    };
    consumer.say(Request::Hello(hello)).await?;
    consumer.keep_leases();
    consumer.assignment().await?;
    consumer.credit(PLENTY.0, PLENTY.1).await?;
    Ok(consumer)
}

/// Inserts twins with a payload of so many letters, in one transaction.
async fn insert(source: &Source, prefix: &str, first: usize, twins: usize, letters: usize) -> Result<()> {
    let client = source.postgres.connect(source.subscription()).await?;
    let statement = format!(
        "INSERT INTO {GRAPH}.\"Twin\" (id, properties) SELECT
            ag_catalog._graphid(ag_catalog._label_id('{GRAPH}'::name, 'Twin'::name)::int, {first} + n),
            format('{{\"$dtId\": \"{prefix}-%s\", \"payload\": \"%s\"}}', n, repeat('x', {letters}))::ag_catalog.agtype
         FROM generate_series(1, {twins}) n"
    );
    Ok(client.batch_execute(&statement).await?)
}

/// Takes and acknowledges until so many entities were seen and all is confirmed, over as many streams as it takes.
async fn take_all(source: &Source, subscription: &str, entities: usize) -> Result<String> {
    let began = Instant::now();
    let slot = format!("twinroute_{subscription}");
    let end = source.postgres.wal_end().await?;
    let mut seen = BTreeSet::new();
    let mut streams = 0;
    while seen.len() < entities || source.postgres.confirmed(&slot).await? < end {
        ensure!(
            began.elapsed() < WITHIN,
            "{subscription}: {} of {entities} entities after {WITHIN:?}",
            seen.len()
        );
        let Ok(mut stream) = consumer(&source.capture, subscription).await else { continue };
        streams += 1;
        loop {
            match stream.next().await {
                Ok(Response::Progress(_)) if source.postgres.confirmed(&slot).await? >= end => break,
                Ok(Response::Batches(frame)) => {
                    seen.extend(events(&frame.batches).map(|event| event.entity_id.clone()));
                    stream.ack(&frame.batches).await?;
                    stream
                        .credit(frame.batches.iter().map(|batch| batch.items.len() as u64).sum(), 0)
                        .await?;
                }
                Ok(_) => {}
                // It had to let go; what was not acknowledged comes again.
                Err(_) => break,
            }
        }
    }
    let time = began.elapsed();
    Ok(format!("{subscription}: {entities} entities over {streams} streams within {time:.1?}"))
}

#[test]
fn four_created_subscriptions_and_live_consumers_that_do_not_read_fit_beside_a_large_transaction()
-> Result<()> {
    source("shortage", json!({ "subscriptions": { "poll_ms": 200 } }), async |source| {
        // Given as many subscriptions as may be created, with consumers that have all credit and do not read
        for name in CREATED {
            create(&source.capture, named(name)).await??;
        }
        let capture = &source.capture;
        let mut idle = try_join_all(CREATED.map(|name| consumer(capture, name))).await?;
        for at in 0..LIVE {
            idle.push(live(source, format!("live-{at}")).await?);
        }
        let mut configured = source.join("configured").await?;
        configured.assignment().await?;
        let configured = configured.settle().await?;
        // When there is a transaction of very many small rows, and one of large rows
        insert(source, "small", 0, SMALL_TWINS, 1).await?;
        insert(source, "large", 2_000_000, LARGE_TWINS, 65_536).await?;
        // Then the configured subscription gets everything
        let mut configured = configured;
        configured.until_seen_within("large-2000", 2 * DEADLINE).await?;
        source.until_confirmed().await?;
        // And the others do, once their consumers read
        drop(idle);
        let shared = &*source;
        let taken =
            try_join_all(CREATED.map(|name| take_all(shared, name, SMALL_TWINS + LARGE_TWINS))).await?;
        println!("{}", taken.join("\n"));
        // And the process has stayed under its limit
        let peak = usage::of(source.capture.process().pid())?.peak_rss_mib;
        println!("capture has held {peak:.0} MiB");
        assert!(peak < MEMORY_MAX_MIB, "capture has held {peak:.0} MiB");
        Ok(())
    })
}
