//! PostgreSQL is restarted, or ends capture's walsender, under load.

use anyhow::{Result, ensure};
use serde_json::json;
use twinroute_tests::{servers::postgres::Shutdown, wait};

use crate::{
    alone::{Alone, SUBSCRIPTION, alone},
    ordeal::{HEALTH_DEADLINE, Ordeal, SETTLE_DEADLINE, is_ready_again},
    writer::Writer,
};

/// So many events come before each fault: about a second's worth.
const EVENTS_BETWEEN: usize = 3_000;

/// How often each fault happens.
const FAULTS: usize = 3;

/// Lets a fault happen a few times while changes are written and consumed.
async fn survives(
    it: &mut Alone,
    name: &'static str,
    fault: impl AsyncFn(&mut Alone) -> Result<()>,
) -> Result<()> {
    let url = it.postgres.url("postgres");
    let writer = Writer::start(&url, "twin").await?;
    let ordeal = Ordeal::begin(name, &url, &it.capture, SUBSCRIPTION);
    for _ in 0..FAULTS {
        ordeal.recorder.until(ordeal.recorder.len() + EVENTS_BETWEEN, SETTLE_DEADLINE).await?;
        let streams = ordeal.recorder.look(|records| records.runs.len());
        fault(it).await?;
        // What was open is over, and it is ready again for the consumer to come back.
        is_ready_again(&it.capture).await?;
        wait::until(HEALTH_DEADLINE, "another stream", async || {
            let now = ordeal.recorder.look(|records| records.runs.len());
            ensure!(now > streams, "there were {streams}, and there are {now}");
            Ok(())
        })
        .await?;
    }
    writer.end().await?;
    ordeal.settles(FAULTS).await
}

/// While the database is away capture lives, and says that it is not ready.
async fn restart(it: &mut Alone, how: Shutdown) -> Result<()> {
    it.postgres.stop(how).await?;
    it.capture.until_page(HEALTH_DEADLINE, "/readyz", |status, _| status == 503).await?;
    it.capture.until_page(HEALTH_DEADLINE, "/livez", |status, _| status == 200).await?;
    it.postgres.start_again().await
}

#[test]
fn postgres_restarted_in_order_under_load_loses_nothing() -> Result<()> {
    alone("restart-fast", json!({}), async |it| {
        survives(it, "PostgreSQL restarted (fast)", async |it| restart(it, Shutdown::Fast).await).await
    })
}

#[test]
fn postgres_that_ends_at_once_under_load_loses_nothing() -> Result<()> {
    alone("restart-immediate", json!({}), async |it| {
        survives(it, "PostgreSQL restarted (immediate)", async |it| restart(it, Shutdown::Immediate).await)
            .await
    })
}

#[test]
fn a_walsender_ended_under_load_loses_nothing() -> Result<()> {
    alone("walsender-ended", json!({}), async |it| {
        survives(it, "walsender ended", async |it| {
            let slot = format!("twinroute_{SUBSCRIPTION}");
            let sql =
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1";
            it.postgres.connect("postgres").await?.query_one(sql, &[&slot]).await?;
            Ok(())
        })
        .await
    })
}
