//! The column `options` of a subscription's row: what `CreateSubscription` was asked for, and how far that has come.
//!
//! The row comes before the slot and goes after it, so that no crash leaves a slot that nobody knows.

use serde::{Deserialize, Serialize};
use tokio_postgres::types::Json;
use twinroute_common::lsn::Lsn;

use super::control::{Control, ControlError};
use super::row::PARTITION_HASH;
use crate::gap::Server;
use crate::retention::Retention;
use crate::selection::Selection;

/// Only one subscription is created at a time, so that their number stays within its bound.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(hashtextextended('twinroute subscriptions', 0))";

/// The column. Empty for a subscription that a capture is configured with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// What it was created with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Created>,
}

/// A subscription that a call has created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Which events it gets.
    pub filter: Selection,
    /// How much WAL it may hold back.
    pub retention: Retention,
    /// How far its slot has come.
    pub phase: Phase,
}

/// How far the slot of a created subscription has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is to be made; there may be one already.
    Making,
    /// It is there, or lost.
    Made,
    /// It is to be dropped, and then the row.
    Deleting,
}

/// What became of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The row is there, in phase [`Phase::Making`].
    Yes,
    /// There is one of this name.
    NameTaken,
    /// There is a slot of this name, of somebody else or in another database.
    SlotTaken,
    /// There are as many as there may be.
    Full,
}

/// A subscription to be created.
#[derive(Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Name of its slot.
    pub slot: String,
    /// Number of partitions.
    pub partition_count: u32,
    /// Everything else.
    pub created: Created,
}

/// Writes the row of a new subscription, unless there are `created_max` of them.
///
/// # Errors
/// [`ControlError`]; the session is not to be used again then.
pub async fn insert(
    control: &Control,
    wanted: &Wanted,
    server: &Server,
    created_max: usize,
) -> Result<Inserted, ControlError> {
    control.run("BEGIN").await?;
    control.rows(ONE_AT_A_TIME, &[]).await?;
    let inserted = insert_alone(control, wanted, server, created_max).await?;
    control.run("COMMIT").await?;
    Ok(inserted)
}

async fn insert_alone(
    control: &Control,
    wanted: &Wanted,
    server: &Server,
    created_max: usize,
) -> Result<Inserted, ControlError> {
    let looks = control
        .rows(
            "SELECT EXISTS (SELECT 1 FROM twinroute.subscription WHERE name = $1),
                    EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $2),
                    (SELECT count(*) FROM twinroute.subscription WHERE options ? 'created')",
            &[&wanted.name, &wanted.slot],
        )
        .await?;
    let look = looks.first().map(|row| (row.get(0), row.get(1), row.get::<_, i64>(2)));
    match look {
        Some((true, ..)) => return Ok(Inserted::NameTaken),
        Some((_, true, _)) => return Ok(Inserted::SlotTaken),
        Some((.., created)) if usize::try_from(created).unwrap_or(0) >= created_max => {
            return Ok(Inserted::Full);
        }
        _ => {}
    }
    let partition_count = i32::try_from(wanted.partition_count).unwrap_or(i32::MAX);
    let options = Options { created: Some(wanted.created.clone()) };
    control
        .execute(
            "INSERT INTO twinroute.subscription (name, slot, options, partition_count, partition_hash,
                                                 system_identifier, timeline, incarnation, generation, confirmed_lsn)
             VALUES ($1, $2, $3, $4, $5, $6, $7, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 0, '0/0')",
            &[
                &wanted.name,
                &wanted.slot,
                &Json(options),
                &partition_count,
                &PARTITION_HASH,
                &server.system_identifier,
                &i64::from(server.timeline),
            ],
        )
        .await?;
    Ok(Inserted::Yes)
}

/// All created subscriptions, by name.
///
/// # Errors
/// [`ControlError`], also where the options of one cannot be read by this version.
pub async fn all(control: &Control) -> Result<Vec<(String, Created)>, ControlError> {
    let exists = control.rows("SELECT to_regclass('twinroute.subscription') IS NOT NULL", &[]).await?;
    if !exists.first().is_some_and(|row| row.get(0)) {
        return Ok(Vec::new());
    }
    let query = "SELECT name, options FROM twinroute.subscription WHERE options ? 'created' ORDER BY name";
    let rows = control.rows(query, &[]).await?;
    let read = |row: &tokio_postgres::Row| {
        let name: String = row.get(0);
        let options = row.try_get::<_, Json<Options>>(1).map_err(|source| ControlError::Postgres {
            what: format!("has options of {name} that this version cannot read"),
            source,
        })?;
        Ok(options.0.created.map(|created| (name, created)))
    };
    rows.iter().filter_map(|row| read(row).transpose()).collect()
}

/// Stores that the slot of a new subscription is there, and from where it streams.
///
/// # Errors
/// [`ControlError`].
pub async fn store_made(control: &Control, name: &str, confirmed: Lsn) -> Result<(), ControlError> {
    let statement = "UPDATE twinroute.subscription
                     SET options = jsonb_set(options, '{created,phase}', '\"made\"'),
                         confirmed_lsn = $2::text::pg_lsn
                     WHERE name = $1";
    control.execute(statement, &[&name, &confirmed.to_string()]).await.map(drop)
}

/// Stores that a created subscription is to be deleted. `false` when there is none of this name.
///
/// # Errors
/// [`ControlError`].
pub async fn store_deleting(control: &Control, name: &str) -> Result<bool, ControlError> {
    let statement = "UPDATE twinroute.subscription
                     SET options = jsonb_set(options, '{created,phase}', '\"deleting\"')
                     WHERE name = $1 AND options ? 'created'";
    Ok(control.execute(statement, &[&name]).await? > 0)
}

/// Deletes the row of a subscription whose slot is gone.
///
/// # Errors
/// [`ControlError`].
pub async fn delete(control: &Control, name: &str) -> Result<(), ControlError> {
    let statement =
        "DELETE FROM twinroute.subscription WHERE name = $1 AND options #>> '{created,phase}' = 'deleting'";
    control.execute(statement, &[&name]).await.map(drop)
}

/// The role may delete rows: one that an earlier version's administrator prepared may not.
///
/// # Errors
/// [`ControlError`].
pub async fn may_delete(control: &Control) -> Result<bool, ControlError> {
    let query = "SELECT has_table_privilege('twinroute.subscription', 'DELETE')";
    Ok(control.rows(query, &[]).await?.first().is_some_and(|row| row.get(0)))
}
