//! The subscription's row: what capture remembers beside the slot.

use tokio_postgres::types::Json;
use twinroute_common::lsn::Lsn;

use super::control::{Control, ControlError};
use super::options::Options;
use crate::gap::{AcceptedGap, Gaps};

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

/// What is stored in the row must outlive a crash of the server, whatever the role's default is.
pub const DURABLE: &str = "SELECT set_config('synchronous_commit', 'local', false)
                       WHERE current_setting('synchronous_commit') = 'off'";

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
    /// That server's timeline.
    pub timeline: u32,
    /// First part of every position.
    pub incarnation: u64,
    /// Number of the capture process that ran last, or runs.
    pub generation: u64,
    /// What is settled.
    pub confirmed: Lsn,
    /// Highest version that a consumer acknowledged with.
    pub consumer_version: u64,
    /// Changes that may be missing.
    pub gaps: Gaps,
    /// What it was created with.
    pub options: Options,
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

/// Reads the row.
///
/// # Errors
/// [`ControlError`].
pub async fn read(control: &Control, name: &str) -> Result<Option<SubscriptionRow>, ControlError> {
    let rows = control
        .rows(
            "SELECT slot, partition_count, partition_hash, group_token, system_identifier, timeline, incarnation,
                    generation, confirmed_lsn::text, consumer_version, pending_discontinuity, options
             FROM twinroute.subscription WHERE name = $1",
            &[&name],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let unreadable = |column, source| ControlError::Postgres {
        what: format!("has {column} of {name} that this version cannot read"),
        source,
    };
    let gaps = row.try_get::<_, Option<Json<Gaps>>>(10);
    let gaps = gaps.map_err(|source| unreadable("a pending_discontinuity", source))?;
    let options = row.try_get::<_, Json<Options>>(11).map_err(|source| unreadable("options", source))?;
    Ok(Some(SubscriptionRow {
        slot: row.get(0),
        partition_count: u32::try_from(row.get::<_, i32>(1)).unwrap_or(1),
        partition_hash: row.get(2),
        group_token: row.get(3),
        system_identifier: row.get(4),
        timeline: u32::try_from(row.get::<_, i64>(5)).unwrap_or(0),
        incarnation: unsigned(row.get(6)),
        generation: unsigned(row.get(7)),
        confirmed: lsn(&row.get::<_, String>(8)),
        consumer_version: unsigned(row.get(9)),
        gaps: gaps.map(|Json(gaps)| gaps).unwrap_or_default(),
        options: options.0,
    }))
}

/// Begins a new generation, on a server that has all that is needed, at what is settled; gives its number.
///
/// # Errors
/// [`ControlError`].
pub async fn begin_generation(
    control: &Control,
    name: &str,
    timeline: u32,
    settled: Lsn,
) -> Result<u64, ControlError> {
    let rows = control
        .rows(
            "UPDATE twinroute.subscription
             SET timeline = $2, confirmed_lsn = greatest(confirmed_lsn, $3::text::pg_lsn),
                 generation = greatest(generation + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
             WHERE name = $1
             RETURNING generation",
            &[&name, &i64::from(timeline), &settled.to_string()],
        )
        .await?;
    Ok(rows.first().map_or(0, |row| unsigned(row.get(0))))
}

/// A subscription that has no row yet.
#[derive(Debug)]
pub struct NewRow<'a> {
    /// Name of the subscription.
    pub name: &'a str,
    /// Name of its slot.
    pub slot: &'a str,
    /// Number of partitions.
    pub partition_count: u32,
    /// System identifier of the server.
    pub system_identifier: &'a str,
    /// The server's timeline.
    pub timeline: u32,
    /// Where the stream begins.
    pub confirmed: Lsn,
    /// Changes that may be missing, where there was a row before.
    pub gaps: &'a Gaps,
}

/// Writes the row of a new subscription.
///
/// # Errors
/// [`ControlError`].
pub async fn insert(control: &Control, new: &NewRow<'_>) -> Result<(), ControlError> {
    let partition_count = i32::try_from(new.partition_count).unwrap_or(i32::MAX);
    control
        .execute(
            "INSERT INTO twinroute.subscription (name, slot, partition_count, partition_hash, system_identifier,
                                                 timeline, incarnation, generation, confirmed_lsn,
                                                 pending_discontinuity)
             VALUES ($1, $2, $3, $4, $5, $6, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0,
                     $7::text::pg_lsn, $8)
             ON CONFLICT (name) DO NOTHING",
            &[
                &new.name,
                &new.slot,
                &partition_count,
                &PARTITION_HASH,
                &new.system_identifier,
                &i64::from(new.timeline),
                &new.confirmed.to_string(),
                &pending(new.gaps),
            ],
        )
        .await
        .map(drop)
}

/// Stores that changes may be missing: the subscription is stopped until that is accepted.
///
/// # Errors
/// [`ControlError`].
pub async fn store_gaps(control: &Control, name: &str, gaps: &Gaps) -> Result<(), ControlError> {
    let statement = "UPDATE twinroute.subscription SET pending_discontinuity = $2 WHERE name = $1";
    control.execute(statement, &[&name, &pending(gaps)]).await.map(drop)
}

/// Stores in one step that a gap is accepted: a new incarnation, on this server, from where the stream goes on.
///
/// # Errors
/// [`ControlError`].
pub async fn store_accepted(
    control: &Control,
    name: &str,
    server: (&str, u32),
    accepted: &AcceptedGap,
) -> Result<(), ControlError> {
    let (system_identifier, timeline) = server;
    let gaps = Gaps { found: None, accepted: Some(accepted.clone()) };
    let incarnation = i64::try_from(accepted.first_new.incarnation).unwrap_or(i64::MAX);
    control
        .execute(
            "UPDATE twinroute.subscription
             SET system_identifier = $2, timeline = $3, incarnation = $4, confirmed_lsn = $5::text::pg_lsn,
                 pending_discontinuity = $6
             WHERE name = $1",
            &[
                &name,
                &system_identifier,
                &i64::from(timeline),
                &incarnation,
                &accepted.first_new.commit_lsn.to_string(),
                &pending(&gaps),
            ],
        )
        .await
        .map(drop)
}

/// Stores the token that all consumers share.
///
/// # Errors
/// [`ControlError`].
pub async fn store_group_token(control: &Control, name: &str, token: &str) -> Result<(), ControlError> {
    let statement = "UPDATE twinroute.subscription SET group_token = $2 WHERE name = $1";
    control.execute(statement, &[&name, &token]).await.map(drop)
}

/// Stores what is settled. It never goes back. A gap that was accepted is no longer pending once its item is settled,
/// which `told` says.
///
/// # Errors
/// [`ControlError`].
pub async fn store_confirmed(
    control: &Control,
    name: &str,
    confirmed: Lsn,
    told: Told,
) -> Result<(), ControlError> {
    let statement = match told {
        Told::Yes => {
            "UPDATE twinroute.subscription
             SET confirmed_lsn = greatest(confirmed_lsn, $2::text::pg_lsn), pending_discontinuity = NULL
             WHERE name = $1"
        }
        Told::NotYet => {
            "UPDATE twinroute.subscription SET confirmed_lsn = greatest(confirmed_lsn, $2::text::pg_lsn)
             WHERE name = $1"
        }
    };
    control.execute(statement, &[&name, &confirmed.to_string()]).await.map(drop)
}

/// Whether every partition's holder has acknowledged the gap that was accepted, if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// All have.
    Yes,
    /// Not all.
    NotYet,
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

/// The column `pending_discontinuity`; NULL when there is nothing to say.
fn pending(gaps: &Gaps) -> Option<Json<&Gaps>> {
    (gaps != &Gaps::default()).then_some(Json(gaps))
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// An LSN that was selected as text; PostgreSQL writes nothing else.
fn lsn(text: &str) -> Lsn {
    text.parse().unwrap_or_default()
}
