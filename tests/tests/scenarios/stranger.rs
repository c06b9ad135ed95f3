//! Somebody else reads from the slot: it is told who, left alone, and capture goes on when it is free.

use anyhow::{Result, ensure};
use serde_json::json;
use twinroute_tests::{process::Process, wait};

use crate::{
    alone::{Alone, SUBSCRIPTION, alone},
    decision::{resume, until_stopped},
    ordeal::{HEALTH_DEADLINE, Ordeal, SETTLE_DEADLINE, is_ready_again},
    scene::{self, DEADLINE},
    writer::Writer,
};

/// pg_recvlogical, which tells the server every `report_s` seconds that it has stored what it read.
fn reader(it: &Alone, report_s: u32) -> Result<Process> {
    let mut command = it.postgres.tool("pg_recvlogical");
    command.args(["--start", "--no-loop", "--file=/dev/null", "--dbname", &it.postgres.url("postgres")]);
    command.args([format!("--slot=twinroute_{SUBSCRIPTION}"), format!("--fsync-interval={report_s}")]);
    command.arg(format!("--status-interval={report_s}"));
    command.args(["--option=proto_version=1", "--option=publication_names=twinroute"]);
    Process::start("pg_recvlogical", command, &scene::dir("alone-stranger-reader")?.join("log"))
}

/// Waits until it has the slot.
async fn until_it_reads(it: &Alone) -> Result<()> {
    let client = it.postgres.connect("postgres").await?;
    wait::until(DEADLINE, "pg_recvlogical to have the slot", async || {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pg_recvlogical'";
        let count: i64 = client.query_one(sql, &[]).await?.try_get(0)?;
        ensure!(count == 1, "{count} have it");
        Ok(())
    })
    .await
}

/// Waits until the server has refused the slot so many times.
async fn until_refused(it: &mut Alone, times: usize) -> Result<()> {
    let log = it.postgres.process().log().to_owned();
    wait::until(DEADLINE, "capture to be refused", async || {
        let refused = std::fs::read_to_string(&log)?.matches("is active for PID").count();
        ensure!(refused >= times, "{refused} times");
        Ok(())
    })
    .await
}

#[test]
fn a_stranger_on_the_slot_is_named_and_left_alone_until_it_is_gone() -> Result<()> {
    alone("stranger", json!({}), async |it| {
        // Given changes that are being written, and a reader that takes the slot while capture is down
        let url = it.postgres.url("postgres");
        let writer = Writer::start(&url, "twin").await?;
        let ordeal = Ordeal::begin("slot taken by a stranger", &url, &it.capture, SUBSCRIPTION);
        ordeal.recorder.until(1_000, SETTLE_DEADLINE).await?;
        it.capture.terminate().await?;
        let mut stranger = reader(it, 3_600)?;
        until_it_reads(it).await?;
        // When capture is started
        it.capture.start_again()?;
        // Then it lives, and says who has the slot, time after time
        let named = |status: u16, text: &str| {
            status == 503
                && text.contains("is in use by pg_recvlogical as postgres from 127.0.0.1 in process")
        };
        it.capture.until_page(HEALTH_DEADLINE, "/readyz", named).await?;
        until_refused(it, 3).await?;
        // And the reader still has it
        ensure!(stranger.is_running()?, "the reader was ended");
        until_it_reads(it).await?;
        // When the reader is gone
        stranger.kill().await?;
        // Then capture goes on, and nothing is lost
        is_ready_again(&it.capture).await?;
        writer.end().await?;
        ordeal.settles(1).await?;
        // When a reader that moves the slot on takes it, and has moved it
        it.capture.terminate().await?;
        let mut stranger = reader(it, 1)?;
        until_it_reads(it).await?;
        it.capture.start_again()?;
        it.capture.until_page(HEALTH_DEADLINE, "/readyz", named).await?;
        it.create("taken", 10).await?;
        // Then that is a gap, also while the reader is there
        let stopped = until_stopped(&it.capture, "slot_moved", "was moved to").await?;
        stranger.kill().await?;
        resume(&it.capture, SUBSCRIPTION, stopped.stopped_at).await??;
        is_ready_again(&it.capture).await?;
        ordeal.recorder.until_discontinuity("was moved to", DEADLINE).await.map(drop)
    })
}
