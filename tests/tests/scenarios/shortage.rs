//! Memory is short: created subscriptions and live consumers get what the configured subscription leaves, and the process
//! stays under its limit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;

use crate::{
    administration::{create, named},
    decision::consumer,
    live,
    memory::{MEMORY_MAX_MIB, peak_mib},
    raw::{Response, events},
    scene::DEADLINE,
    source::{Source, source},
};

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
            let (live, _) = live::join(source, &format!("live-{at}"), None).await?;
            live.credit(PLENTY.0, PLENTY.1).await?;
            idle.push(live);
        }
        let mut configured = source.join("configured").await?;
        configured.assignment().await?;
        let mut configured = configured.settle().await?;
        // When there is a transaction of very many small rows, and one of large rows
        source.insert("small", 0, SMALL_TWINS, 1).await?;
        source.insert("large", 2_000_000, LARGE_TWINS, 65_536).await?;
        // Then the configured subscription gets everything
        configured.until_seen_within("large-2000", 2 * DEADLINE).await?;
        source.until_confirmed().await?;
        // And the others do, once their consumers read
        drop(idle);
        let shared = &*source;
        let taken =
            try_join_all(CREATED.map(|name| take_all(shared, name, SMALL_TWINS + LARGE_TWINS))).await?;
        println!("{}", taken.join("\n"));
        // And the process has stayed under its limit
        let peak = peak_mib(&mut source.capture)?;
        println!("capture has held {peak:.0} MiB");
        assert!(peak < MEMORY_MAX_MIB, "capture has held {peak:.0} MiB");
        Ok(())
    })
}
