//! A database in which nothing happens to twins.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::source::source;

/// How soon the slot must follow: `stream.idle_confirm_interval_ms`, and a walsender's pause.
const IDLE_DEADLINE: Duration = Duration::from_secs(15);

#[test]
fn the_slot_follows_the_wal_of_others_while_no_twin_changes() -> Result<()> {
    source("idle", json!({}), async |source| {
        // Given a capture without consumers, whose slot has followed once
        source.until_confirmed().await?;
        // When somebody else writes to the server
        source.write_elsewhere().await?;
        // Then the slot follows, so that PostgreSQL keeps no WAL for nothing
        source.until_confirmed_within(IDLE_DEADLINE).await
    })
}
