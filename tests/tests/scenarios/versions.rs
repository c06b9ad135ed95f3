//! Other versions of PostgreSQL, with plain tables instead of AGE's.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use twinroute_proto::event::v1::{EventData, Operation};
use twinroute_tests::{
    servers::postgres::{Postgres, Release},
    services::{Program, Service},
    twins::ledger,
};

use crate::{
    alone::{Alone, SUBSCRIPTION},
    decision::{PARTITIONS, consumer, first_of_each_partition, resume, status, until_stopped},
    ordeal::{Ordeal, is_ready_again},
    raw::events,
    scene,
};

/// A table of the shape of a label's, whose documents are stored out of line, uncompressed, when they are large.
const TABLE: &str = r#"
CREATE SCHEMA factory;
CREATE TABLE factory."Twin" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, properties jsonb NOT NULL);
ALTER TABLE factory."Twin" ALTER properties SET STORAGE EXTERNAL"#;

/// Creates five hundred twins.
const CREATE: &str = r#"WITH entered AS (
    INSERT INTO ledger.changes (key) SELECT 'twin-' || n FROM generate_series(1, 500) n RETURNING key, marker
)
INSERT INTO factory."Twin" (properties) SELECT jsonb_build_object('$dtId', key, 'marker', marker) FROM entered"#;

/// Changes each of them.
const UPDATE: &str = r#"WITH entered AS (
    INSERT INTO ledger.changes (key) SELECT properties->>'$dtId' FROM factory."Twin" ORDER BY id RETURNING key, marker
)
UPDATE factory."Twin" SET properties = properties || jsonb_build_object('marker', marker)
FROM entered WHERE key = properties->>'$dtId'"#;

/// A twin too large for its page: it is changed, and so is another column of its row; then it is deleted.
const LARGE: [&str; 4] = [
    r#"INSERT INTO factory."Twin" (properties) SELECT jsonb_build_object('$dtId', 'large', 'n', 1, 'text', string_agg(md5(i::text), ''))
       FROM generate_series(1, 300) i"#,
    r#"UPDATE factory."Twin" SET note = 'another column'"#,
    r#"UPDATE factory."Twin" SET properties = properties || '{"n": 2}'; UPDATE factory."Twin" SET note = 'again'"#,
    r#"DELETE FROM factory."Twin""#,
];

/// Bytes of the large twin's text.
const LARGE_BYTES: usize = 300 * 32;

/// More than the slot may keep, in segments of 16 MB.
const SEGMENTS: usize = 8;

fn captures(release: Release, name: &'static str) -> Result<()> {
    scene::run(async {
        // Given a server of that release with a plain table, and capture
        let dir = scene::dir(&format!("version-{}", release.major()))?;
        let postgres = Postgres::start_release(release, &dir.join("postgres")).await?;
        let url = postgres.url("postgres");
        let client = postgres.connect("postgres").await?;
        client.batch_execute(TABLE).await?;
        ledger::create(&client).await?;
        let settings = json!({ "postgres": { "url": url, "reconnect_wait_max_ms": 500 },
                               "source": { "graphs": ["factory"] } });
        let mut capture = Service::start(Program::Capture, "capture", settings, &dir)?;
        capture.until_ready().await?;
        let mut it = Alone { postgres, capture };
        // Then its slot can be synchronised to standbys where PostgreSQL can do that
        let slot = status(&it.capture).await?.slot.unwrap_or_default();
        ensure!(slot.failover == (release.major() >= 17), "{slot:?}");
        large_documents_are_whole(&it).await?;
        nothing_is_lost_over_a_kill(&mut it, name).await?;
        a_moved_slot_is_a_gap(&mut it).await?;
        a_lost_slot_is_a_gap(&mut it).await
    })
}

async fn large_documents_are_whole(it: &Alone) -> Result<()> {
    // When a large twin is created, changed, and deleted, and another column of its row is changed
    for statements in LARGE {
        it.run(statements).await?;
    }
    // Then there are events, each with the whole document, which PostgreSQL does not send again when it is unchanged
    let mut consumer = consumer(&it.capture, SUBSCRIPTION).await?;
    let batches = consumer.batches(4).await?;
    consumer.ack(&batches).await?;
    let told: Vec<_> = events(&batches).map(shape).collect::<Result<_>>()?;
    let expected = [
        (Operation::Create, None, Some(1)),
        (Operation::Update, Some(1), Some(1)),
        (Operation::Update, Some(1), Some(2)),
        (Operation::Delete, Some(2), None),
    ];
    ensure!(told == expected, "{told:?}");
    Ok(())
}

/// Operation, and `n` of both documents, which must be whole.
fn shape(event: &EventData) -> Result<(Operation, Option<i64>, Option<i64>)> {
    let n = |document: Option<&[u8]>| -> Result<Option<i64>> {
        let Some(document) = document else { return Ok(None) };
        let document: Value = serde_json::from_slice(document)?;
        let length = document.get("text").and_then(Value::as_str).map(str::len);
        ensure!(length == Some(LARGE_BYTES), "{length:?} bytes");
        Ok(document.get("n").and_then(Value::as_i64))
    };
    Ok((event.operation(), n(event.old.as_deref())?, n(event.new.as_deref())?))
}

async fn nothing_is_lost_over_a_kill(it: &mut Alone, name: &'static str) -> Result<()> {
    // When twins are created and changed, and capture is killed in between
    let ordeal = Ordeal::begin(name, &it.postgres.url("postgres"), &it.capture, SUBSCRIPTION);
    it.run(CREATE).await?;
    it.run(UPDATE).await?;
    it.capture.kill().await?;
    it.run(UPDATE).await?;
    it.capture.start_again()?;
    is_ready_again(&it.capture).await?;
    it.run(UPDATE).await?;
    // Then all arrives, in order
    ordeal.settles(1).await
}

async fn a_moved_slot_is_a_gap(it: &mut Alone) -> Result<()> {
    // When somebody moves the slot over a change while capture is down
    it.capture.terminate().await?;
    it.run(UPDATE).await?;
    it.run(&format!("SELECT pg_replication_slot_advance('twinroute_{SUBSCRIPTION}', pg_current_wal_lsn())"))
        .await?;
    // Then capture stops, and goes on behind a discontinuity once that is accepted
    goes_on_behind_a_gap(it, "slot_moved", "was moved to").await
}

async fn a_lost_slot_is_a_gap(it: &mut Alone) -> Result<()> {
    // When the slot is lost, since it kept too much
    it.run("ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'").await?;
    it.run("SELECT pg_reload_conf()").await?;
    it.capture.kill().await?;
    for _ in 0..SEGMENTS {
        it.write_segment().await?;
    }
    it.run("CHECKPOINT").await?;
    // Then capture stops, and goes on behind a discontinuity once that is accepted
    goes_on_behind_a_gap(it, "slot_invalidated", "is invalidated").await
}

async fn goes_on_behind_a_gap(it: &mut Alone, cause: &str, words: &str) -> Result<()> {
    it.capture.start_again()?;
    let stopped = until_stopped(&it.capture, cause, words).await?;
    resume(&it.capture, SUBSCRIPTION, stopped.stopped_at).await??;
    is_ready_again(&it.capture).await?;
    let mut after = consumer(&it.capture, SUBSCRIPTION).await?;
    it.run(r#"INSERT INTO factory."Twin" (properties) VALUES ('{"$dtId": "behind"}')"#).await?;
    let told = after.batches(PARTITIONS + 1).await?;
    first_of_each_partition(&told)?;
    let seen: Vec<_> = events(&told).map(|event| event.entity_id.as_str()).collect();
    ensure!(seen == ["behind"], "{seen:?}");
    after.ack(&told).await
}

#[test]
fn postgresql_15_is_captured() -> Result<()> {
    captures(Release::V15, "PostgreSQL 15")
}

#[test]
fn postgresql_16_is_captured() -> Result<()> {
    captures(Release::V16, "PostgreSQL 16")
}

#[test]
fn postgresql_17_without_age_is_captured() -> Result<()> {
    captures(Release::V17, "PostgreSQL 17")
}

#[test]
fn postgresql_18_is_captured() -> Result<()> {
    captures(Release::V18, "PostgreSQL 18")
}
