//! The subscription's row: what capture remembers beside the slot.

use twinroute_common::lsn::Lsn;

use super::control::{Control, ControlError};

/// Statements that make the schema and the table.
pub const SCHEMA: [&str; 2] = [
    "CREATE SCHEMA IF NOT EXISTS twinroute",
    "CREATE TABLE IF NOT EXISTS twinroute.subscription (
        name text PRIMARY KEY,
        slot text NOT NULL,
        options jsonb NOT NULL DEFAULT '{}',
        partition_count integer NOT NULL,
        partition_hash text NOT NULL,
        group_token text NOT NULL DEFAULT '',
        system_identifier text NOT NULL,
        timeline bigint NOT NULL,
        incarnation bigint NOT NULL,
        generation bigint NOT NULL,
        confirmed_lsn pg_lsn NOT NULL,
        consumer_version bigint NOT NULL DEFAULT 0,
        pending_discontinuity jsonb)",
];

/// Name of the hash that [`twinroute_common::partition::partition_of`] computes.
pub const PARTITION_HASH: &str = "fnv1a_64_folded";

/// A row of `twinroute.subscription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Name of the replication slot.
    pub slot: String,
    /// Number of partitions.
    pub partition_count: u32,
    /// Name of the hash of ordering keys.
    pub partition_hash: String,
    /// Token that all consumers share; empty for none.
    pub group_token: String,
    /// System identifier of the server that the slot belongs to.
    pub system_identifier: String,
    /// First part of every position.
    pub incarnation: u64,
    /// Number of the capture process.
    pub generation: u64,
    /// What is settled.
    pub confirmed: Lsn,
    /// Highest version that a consumer acknowledged with.
    pub consumer_version: u64,
}

/// Makes what is missing.
///
/// # Errors
/// [`ControlError::is_privilege`] when the role may not.
pub async fn create_schema(control: &Control) -> Result<(), ControlError> {
    let exists = control.rows("SELECT to_regclass('twinroute.subscription') IS NOT NULL", &[]).await?;
    if exists.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    for statement in SCHEMA {
        control.run(statement).await?;
    }
    Ok(())
}

/// Reads the row, and begins a new generation in it.
///
/// # Errors
/// [`ControlError`].
pub async fn begin_generation(
    control: &Control,
    name: &str,
) -> Result<Option<SubscriptionRow>, ControlError> {
    let rows = control
        .rows(
            "UPDATE twinroute.subscription
             SET generation = greatest(generation + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
             WHERE name = $1
             RETURNING slot, partition_count, partition_hash, group_token, system_identifier, incarnation,
                       generation, confirmed_lsn::text, consumer_version",
            &[&name],
        )
        .await?;
    Ok(rows.first().map(|row| SubscriptionRow {
        slot: row.get(0),
        partition_count: u32::try_from(row.get::<_, i32>(1)).unwrap_or(1),
        partition_hash: row.get(2),
        group_token: row.get(3),
        system_identifier: row.get(4),
        incarnation: unsigned(row.get(5)),
        generation: unsigned(row.get(6)),
        confirmed: lsn(&row.get::<_, String>(7)),
        consumer_version: unsigned(row.get(8)),
    }))
}

/// Writes the row of a new subscription, whose slot was just made.
///
/// # Errors
/// [`ControlError`].
pub async fn insert(
    control: &Control,
    name: &str,
    slot: &str,
    partition_count: u32,
    system_identifier: &str,
    timeline: u32,
    confirmed: Lsn,
) -> Result<(), ControlError> {
    let partition_count = i32::try_from(partition_count).unwrap_or(i32::MAX);
    control
        .execute(
            "INSERT INTO twinroute.subscription (name, slot, partition_count, partition_hash, system_identifier,
                                                 timeline, incarnation, generation, confirmed_lsn)
             VALUES ($1, $2, $3, $4, $5, $6, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0,
                     $7::text::pg_lsn)
             ON CONFLICT (name) DO NOTHING",
            &[
                &name,
                &slot,
                &partition_count,
                &PARTITION_HASH,
                &system_identifier,
                &i64::from(timeline),
                &confirmed.to_string(),
            ],
        )
        .await
        .map(drop)
}

/// Stores what is settled. It never goes back.
///
/// # Errors
/// [`ControlError`].
pub async fn store_confirmed(control: &Control, name: &str, confirmed: Lsn) -> Result<(), ControlError> {
    let statement = "UPDATE twinroute.subscription SET confirmed_lsn = greatest(confirmed_lsn, $2::text::pg_lsn) \
                     WHERE name = $1";
    control.execute(statement, &[&name, &confirmed.to_string()]).await.map(drop)
}

/// Stores the highest version that a consumer acknowledged with.
///
/// # Errors
/// [`ControlError`].
pub async fn store_consumer_version(control: &Control, name: &str, version: u64) -> Result<(), ControlError> {
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    let statement = "UPDATE twinroute.subscription SET consumer_version = greatest(consumer_version, $2) \
                     WHERE name = $1";
    control.execute(statement, &[&name, &version]).await.map(drop)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// An LSN that was selected as text; PostgreSQL writes nothing else.
fn lsn(text: &str) -> Lsn {
    text.parse().unwrap_or_default()
}
