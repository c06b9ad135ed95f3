//! Capture killed (-9) again and again, at any moment: a consumer with a record of its own gets everything.

use anyhow::Result;
use serde_json::json;
use twinroute_tests::{
    soak,
    stack::GRAPH,
    twins::{Graph, bulk::Bulk},
};

use crate::{
    alone::{SUBSCRIPTION, alone},
    ordeal::{Ordeal, SETTLE_DEADLINE, is_ready_again, moment},
    writer::Writer,
};

/// A kill comes within so many milliseconds after capture is ready: before and after it has stored what is settled.
const STREAM_MS: usize = 2_000;

/// A start that is cut short is cut within so many milliseconds: it takes about that long.
const START_MS: usize = 600;

#[test]
fn capture_killed_at_random_under_load_loses_nothing() -> Result<()> {
    let kills = if soak::is_on() { 100 } else { 10 };
    alone("kills", json!({}), async |it| {
        // Given changes that are being written, and a consumer
        let url = it.postgres.url("postgres");
        let writer = Writer::start(&url, "killed").await?;
        let ordeal = Ordeal::begin("capture killed at random", &url, &it.capture, SUBSCRIPTION);
        // When capture is killed again and again, every third time while it starts
        for kill in 1..=kills {
            if kill % 3 == 0 {
                moment(START_MS).await?;
            } else {
                is_ready_again(&it.capture).await?;
                moment(STREAM_MS).await?;
            }
            it.capture.kill().await?;
            it.capture.start_again()?;
        }
        is_ready_again(&it.capture).await?;
        writer.end().await?;
        // Then all arrives, in order
        ordeal.settles(kills).await
    })
}

#[test]
fn capture_killed_within_a_transaction_larger_than_its_bounds_loses_nothing() -> Result<()> {
    let rows: u16 = if soak::is_on() { 1_000 } else { 200 };
    alone("kills-large", json!({}), async |it| {
        // Given a consumer, and a transaction of very many rows
        let url = it.postgres.url("postgres");
        let ordeal = Ordeal::begin("capture killed within a transaction", &url, &it.capture, SUBSCRIPTION);
        let graph = Graph::open(&url, GRAPH).await?;
        Bulk::new(graph, "large").await?.create_small(0, i32::from(rows) * 1_000).await?;
        // When capture is killed twice while it is delivered
        for percent in [30, 80] {
            ordeal.recorder.until(usize::from(rows) * 10 * percent, SETTLE_DEADLINE).await?;
            it.capture.kill().await?;
            it.capture.start_again()?;
            is_ready_again(&it.capture).await?;
        }
        // Then all of it arrives, in order
        ordeal.settles(2).await
    })
}
