//! The replication slot: made once, with the subscription; never made again silently.

use std::collections::HashMap;

use twinroute_common::lsn::Lsn;

use super::control::{Control, ControlError};

/// What PostgreSQL says of a slot (view `pg_replication_slots`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotView {
    /// A walsender uses it.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: String,
    /// Bytes of WAL that may still be written before it may be lost.
    pub safe_wal_size: Option<i64>,
    /// Oldest WAL that it keeps.
    pub restart_lsn: Lsn,
    /// What PostgreSQL knows as confirmed.
    pub confirmed_flush_lsn: Lsn,
    /// It is enabled for failover.
    pub failover: bool,
    /// It was synchronised from a primary.
    pub synced: bool,
    /// Why it is invalid; empty when it is not.
    pub invalidation_reason: String,
    /// Bytes of WAL that it keeps.
    pub retained_bytes: u64,
    /// How far the WAL was written at that moment.
    pub wal_end: Lsn,
}

impl SlotView {
    /// It cannot be read from any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.wal_status == "lost" || !self.invalidation_reason.is_empty()
    }
}

/// Looks at a slot; `None` when there is none of this name in this database.
///
/// # Errors
/// [`ControlError`].
pub async fn view(control: &Control, slot: &str) -> Result<Option<SlotView>, ControlError> {
    Ok(look(control, Some(slot)).await?.remove(slot))
}

/// Looks at all slots of this database that could be ours, by name.
///
/// # Errors
/// [`ControlError`].
pub async fn views(control: &Control) -> Result<HashMap<String, SlotView>, ControlError> {
    look(control, None).await
}

async fn look(control: &Control, slot: Option<&str>) -> Result<HashMap<String, SlotView>, ControlError> {
    // Columns that only later versions have are read out of the row as JSON.
    let rows = control
        .rows(
            "SELECT s.active, coalesce(s.wal_status, ''), s.safe_wal_size, coalesce(s.restart_lsn, '0/0')::text,
                    coalesce(s.confirmed_flush_lsn, '0/0')::text,
                    coalesce((to_jsonb(s)->>'failover')::boolean, false),
                    coalesce((to_jsonb(s)->>'synced')::boolean, false),
                    coalesce(to_jsonb(s)->>'invalidation_reason',
                             CASE WHEN (to_jsonb(s)->>'conflicting')::boolean THEN 'conflicting' END, ''),
                    greatest(0, coalesce(pg_wal_lsn_diff(w.wal_end, s.restart_lsn), 0))::bigint, w.wal_end::text,
                    s.slot_name::text
             FROM pg_replication_slots s, (SELECT CASE WHEN pg_is_in_recovery()
                 THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS wal_end) w
             WHERE ($1::text IS NULL OR s.slot_name = $1) AND s.database = current_database()
                 AND s.plugin = 'pgoutput'",
            &[&slot],
        )
        .await?;
    let lsn = |text: String| text.parse().unwrap_or_default();
    let view = |row: &tokio_postgres::Row| SlotView {
        active: row.get(0),
        wal_status: row.get(1),
        safe_wal_size: row.get(2),
        restart_lsn: lsn(row.get(3)),
        confirmed_flush_lsn: lsn(row.get(4)),
        failover: row.get(5),
        synced: row.get(6),
        invalidation_reason: row.get(7),
        retained_bytes: u64::try_from(row.get::<_, i64>(8)).unwrap_or(0),
        wal_end: lsn(row.get(9)),
    };
    Ok(rows.iter().map(|row| (row.get(10), view(row))).collect())
}

/// Makes the slot, enabled for failover where PostgreSQL can. It is complete when all transactions that were running have
/// ended; the server itself gives up before our deadline, so that no half-made slot is left behind.
///
/// # Errors
/// [`ControlError::is_privilege`] when the role may not replicate.
pub async fn create(control: &Control, slot: &str) -> Result<(), ControlError> {
    let statement = if has_failover(control).await? {
        "SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)"
    } else {
        "SELECT pg_create_logical_replication_slot($1, 'pgoutput')"
    };
    let patience = control.deadline() * 4 / 5;
    control.run(&format!("SET statement_timeout = {}", patience.as_millis())).await?;
    let made = control.rows(statement, &[&slot]).await;
    let reset = control.run("RESET statement_timeout").await;
    made.and(reset)
}

/// Drops a slot.
///
/// # Errors
/// [`ControlError`] when somebody uses it, or the role may not replicate.
pub async fn remove(control: &Control, slot: &str) -> Result<(), ControlError> {
    control.rows("SELECT pg_drop_replication_slot($1)", &[&slot]).await.map(drop)
}

/// Slots can be enabled for failover: PostgreSQL 17 and later.
///
/// # Errors
/// [`ControlError`].
pub async fn has_failover(control: &Control) -> Result<bool, ControlError> {
    let version = control.rows("SELECT current_setting('server_version_num')::integer", &[]).await?;
    Ok(version.first().is_some_and(|row| row.get::<_, i32>(0) >= 170_000))
}

/// Ends a walsender of a former capture on the slot: only one of ours, and only by the holder of the lock.
///
/// # Errors
/// [`ControlError`].
pub async fn end_former_walsender(
    control: &Control,
    slot: &str,
    application_name: &str,
) -> Result<(), ControlError> {
    control
        .rows(
            "SELECT pg_terminate_backend(a.pid) FROM pg_replication_slots s
             JOIN pg_stat_activity a ON a.pid = s.active_pid
             WHERE s.slot_name = $1 AND a.application_name = $2",
            &[&slot, &application_name],
        )
        .await
        .map(drop)
}

/// Who reads from the slot. A role without the rights of `pg_read_all_stats` sees no more than the process of others.
///
/// # Errors
/// [`ControlError`].
pub async fn holder(control: &Control, slot: &str) -> Result<String, ControlError> {
    let rows = control
        .rows(
            "SELECT concat_ws(' ', coalesce(nullif(a.application_name, ''), 'an unknown program'),
                              'as ' || a.usename, 'from ' || host(a.client_addr), 'in process ' || s.active_pid)
             FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid
             WHERE s.slot_name = $1 AND s.active",
            &[&slot],
        )
        .await?;
    Ok(rows.first().map_or_else(|| "somebody who has just gone".to_owned(), |row| row.get(0)))
}
