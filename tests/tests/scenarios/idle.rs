//! A database in which nothing happens to twins.

use anyhow::Result;
use serde_json::json;

use crate::source::source;

#[test]
fn the_slot_follows_the_wal_of_others_while_no_twin_changes() -> Result<()> {
    source("idle", json!({}), async |source| {
        // Given a capture without consumers, whose slot has followed once
        source.until_confirmed().await?;
        // When somebody else writes to the server
        source.write_elsewhere().await?;
        // Then the slot follows, so that PostgreSQL keeps no WAL for nothing
        source.until_confirmed().await
    })
}
