//! A standby takes over: one that has all that was sent, and one that lacks something.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_tests::{
    servers::postgres::{Postgres, Shutdown, connect},
    services::{Program, Service},
    stack::GRAPH,
    twins::{Graph, bulk::Bulk},
    wait,
};

use crate::{
    alone::SUBSCRIPTION,
    decision::{PARTITIONS, consumer, first_of_each_partition, resume, until_stopped},
    hosts,
    ordeal::{Ordeal, SETTLE_DEADLINE, is_ready_again},
    raw::events,
    recorder::{Recorder, Records},
    scene::{self, DEADLINE},
    writer::Writer,
};

/// The slot of capture.
const SLOT: &str = "twinroute_delivery";

/// What makes a standby that can take over: it streams from a slot of its own, and keeps the primary's slots too.
const STANDBY: [&str; 6] = [
    "ALTER SYSTEM SET primary_slot_name = 'standby'",
    "ALTER SYSTEM SET hot_standby_feedback = on",
    "ALTER SYSTEM SET wal_receiver_status_interval = '1s'",
    "ALTER SYSTEM SET sync_replication_slots = on",
    "ALTER SYSTEM SET log_replication_commands = on",
    "SELECT pg_reload_conf()",
];

/// A primary, its standby, and a capture that knows both.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    capture: Service,
    /// Leads to the one that can be written to.
    url: String,
}

/// What the primary waits for before it sends a change to capture.
enum Waits {
    /// That the standby has it.
    ForStandby,
    /// Nothing.
    ForNobody,
}

impl Pair {
    async fn start(dir: &Path, waits: Waits) -> Result<Self> {
        let primary = Postgres::start(&dir.join("primary")).await?;
        Graph::create(&primary.url("postgres"), GRAPH).await?;
        run(&primary, &["SELECT pg_create_physical_replication_slot('standby', true)"]).await?;
        let standby = hosts::standby(&primary, &dir.join("standby"), &dir.join("primary")).await?;
        run(&standby, &STANDBY).await?;
        if let Waits::ForStandby = waits {
            let wait = "ALTER SYSTEM SET synchronized_standby_slots = 'standby'";
            run(&primary, &[wait, "SELECT pg_reload_conf()"]).await?;
        }
        let url = format!(
            "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
            primary.port(),
            standby.port()
        );
        let settings = json!({ "postgres": { "url": url, "reconnect_wait_max_ms": 500 } });
        let mut capture = Service::start(Program::Capture, "capture", settings, dir)?;
        capture.until_ready().await?;
        Ok(Self { primary, standby, capture, url })
    }

    /// Waits until the standby has the slot, confirmed up to `lsn`, so that it stays when the standby takes over.
    async fn until_synced(&self, lsn: u64) -> Result<()> {
        let client = self.standby.connect("postgres").await?;
        let sql = "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots
                   WHERE slot_name = $1 AND synced AND NOT temporary";
        wait::until(DEADLINE, "the slot to be synchronised", async || {
            // The primary's slot can only be taken over from where a standby can begin to decode.
            run(&self.primary, &["SELECT pg_log_standby_snapshot()"]).await?;
            let slot = client.query_opt(sql, &[&SLOT]).await?.context("there is none")?;
            let confirmed = u64::try_from(slot.try_get::<_, i64>(0)?)?;
            ensure!(confirmed >= lsn, "confirmed is {confirmed:X}, not {lsn:X}");
            Ok(())
        })
        .await
    }

    async fn promote(&self) -> Result<()> {
        run(&self.standby, &["SELECT pg_promote()"]).await
    }

    async fn create(&self, prefix: &str, twins: i32) -> Result<()> {
        Bulk::new(Graph::open(&self.url, GRAPH).await?, prefix).await?.create(0, twins).await
    }
}

async fn run(server: &Postgres, statements: &[&str]) -> Result<()> {
    let client = server.connect("postgres").await?;
    for statement in statements {
        client.batch_execute(statement).await?;
    }
    Ok(())
}

#[test]
fn a_standby_that_has_all_that_was_sent_takes_over_without_loss() -> Result<()> {
    scene::run(async {
        // Given a primary that sends only what its standby has, and changes that are being written
        let mut pair = Pair::start(&scene::dir("failover")?, Waits::ForStandby).await?;
        let writer = Writer::start(&pair.url, "twin").await?;
        let ordeal = Ordeal::begin("failover", &pair.url, &pair.capture, SUBSCRIPTION);
        ordeal.recorder.until(2_000, SETTLE_DEADLINE).await?;
        pair.until_synced(0).await?;
        // When the primary is lost, and the standby takes over
        pair.primary.kill().await?;
        pair.promote().await?;
        // Then capture goes on there, which it has asked where its timeline comes from
        is_ready_again(&pair.capture).await?;
        let log = std::fs::read_to_string(pair.standby.process().log())?;
        ensure!(log.contains("TIMELINE_HISTORY 2"), "nobody asked for the history of the timeline");
        ordeal.recorder.until(ordeal.recorder.len() + 2_000, SETTLE_DEADLINE).await?;
        writer.end().await?;
        // And nothing is lost, and nothing comes again that was settled
        ordeal.settles(1).await
    })
}

#[test]
fn a_slot_that_a_standby_knows_better_than_the_row_is_no_gap() -> Result<()> {
    scene::run(async {
        // Given events that are settled, which the standby's slot knows
        let mut pair = Pair::start(&scene::dir("failover-row")?, Waits::ForStandby).await?;
        let ordeal = Ordeal::begin("failover to an older row", &pair.url, &pair.capture, SUBSCRIPTION);
        pair.create("settled", 100).await?;
        ordeal.recorder.until(100, SETTLE_DEADLINE).await?;
        let client = connect(&pair.url).await?;
        let earlier = "SELECT confirmed_lsn::text FROM twinroute.subscription";
        let earlier: String = client.query_one(earlier, &[]).await?.try_get(0)?;
        pair.create("last", 1).await?;
        ordeal.recorder.until(101, SETTLE_DEADLINE).await?;
        let commits =
            |records: &Records| records.events.iter().map(|event| event.position.commit_lsn.0).max();
        let last = ordeal.recorder.look(commits).context("no event")?;
        pair.until_synced(last + 1).await?;
        // When capture and the primary are lost, and a standby takes over that has not got the row's last change
        pair.capture.kill().await?;
        pair.primary.kill().await?;
        pair.promote().await?;
        let older = format!("UPDATE twinroute.subscription SET confirmed_lsn = '{earlier}'");
        run(&pair.standby, &[&older]).await?;
        // Then a new capture goes on, from where the slot is
        pair.capture.start_again()?;
        is_ready_again(&pair.capture).await?;
        pair.create("afterwards", 100).await?;
        ordeal.settles(1).await
    })
}

#[test]
fn a_standby_that_lacks_what_was_sent_is_a_gap() -> Result<()> {
    scene::run(async {
        // Given a primary that does not wait, and a standby that has the slot and then is away
        let mut pair = Pair::start(&scene::dir("failover-lacks")?, Waits::ForNobody).await?;
        let mut first = consumer(&pair.capture, SUBSCRIPTION).await?;
        pair.create("kept", 5).await?;
        let kept = first.batches(5).await?;
        first.ack(&kept).await?;
        let commits = events(&kept).filter_map(|event| event.position).map(|position| position.commit_lsn);
        pair.until_synced(commits.max().context("no event")? + 1).await?;
        pair.standby.stop(Shutdown::Fast).await?;
        // When an event is sent, and the primary is lost
        pair.create("forgotten", 1).await?;
        let sent = first.batches(1).await?;
        first.ack(&sent).await?;
        let forgotten = events(&sent).next().and_then(|event| event.position).context("no event")?;
        pair.primary.kill().await?;
        pair.standby.start_again().await?;
        pair.promote().await?;
        // Then capture stops at what it has sent, and says what keeps it from happening again
        let stopped = until_stopped(&pair.capture, "went_back", "left timeline 1 at").await?;
        ensure!(stopped.stopped_at == Some(forgotten), "{stopped:?} {forgotten:?}");
        let remedy = |_: u16, text: &str| text.contains("synchronized_standby_slots");
        pair.capture.until_page(DEADLINE, "/readyz", remedy).await?;
        // When that is accepted
        resume(&pair.capture, SUBSCRIPTION, stopped.stopped_at).await??;
        is_ready_again(&pair.capture).await?;
        // Then consumers hear of it, and then of what is new
        let mut after = consumer(&pair.capture, SUBSCRIPTION).await?;
        let told = after.batches(PARTITIONS).await?;
        let gap = first_of_each_partition(&told)?;
        ensure!(gap.last_known == Some(forgotten), "{gap:?}");
        after.ack(&told).await?;
        drop(after);
        let recorder = Recorder::start(&pair.capture.grpc(), SUBSCRIPTION);
        pair.create("afterwards", 1).await?;
        wait::until(DEADLINE, "what is new", async || {
            let come =
                recorder.look(|records| records.events.iter().any(|event| event.key == "afterwards-0"));
            ensure!(come, "it has not come");
            Ok(())
        })
        .await
    })
}
