//! What must be there before the stream begins: schema, publication, row and slot, and all WAL that is needed.

use tracing::{info, warn};
use twinroute_common::lsn::Lsn;

use super::{Pipeline, PipelineError};
use crate::gap::{self, Cause, Gap, Gaps, Memory, Server};
use crate::postgres::Control;
use crate::postgres::labels::{self, Shortfall};
use crate::postgres::row::{self, NewRow, SubscriptionRow};
use crate::postgres::slot;
use crate::replication::{Connection, ReplicationError};

/// What is stored in the row must outlive a crash of the server, whatever the role's default is.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'local', false)
                       WHERE current_setting('synchronous_commit') = 'off'";

/// A subscription whose changes may be missing, and how.
pub(super) type AtGap = (SubscriptionRow, Gap);

impl Pipeline {
    /// Makes schema, publication and identities, or says what somebody else must run.
    pub(super) async fn prepare(&self, control: &Control) -> Result<Shortfall, PipelineError> {
        control.run(DURABLE).await?;
        match row::create_schema(control).await {
            Err(error) if error.is_privilege() => {
                let role = control.rows("SELECT quote_ident(current_user)", &[]).await?;
                let role: String = role.first().map_or_else(String::new, |row| row.get(0));
                let mut statements: Vec<String> = row::SCHEMA
                    .iter()
                    .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect();
                statements.push(format!("GRANT USAGE ON SCHEMA twinroute TO {role}"));
                statements.push(format!("GRANT SELECT, INSERT, UPDATE ON twinroute.subscription TO {role}"));
                return Err(PipelineError::MissingRights { statements });
            }
            other => other?,
        }
        let shortfall = labels::follow(control, &self.settings.source).await?;
        if !shortfall.required_statements.is_empty() {
            return Err(PipelineError::MissingRights { statements: shortfall.required_statements });
        }
        Ok(shortfall)
    }

    /// Finds row and slot, or makes both on a first start, and begins a new generation; or tells where it stops.
    pub(super) async fn open(
        &self,
        control: &Control,
        connection: &mut Connection,
    ) -> Result<(Server, Result<SubscriptionRow, AtGap>), PipelineError> {
        let name = &self.settings.source.subscription;
        let mut known = row::read(control, name).await?;
        if known.is_none() {
            self.insert(control, &connection.server().await?).await?;
            known = row::read(control, name).await?;
        }
        // After the row is read: a slot that is made writes WAL, and the row is beyond where the WAL ended before.
        let server = connection.server().await?;
        let mut row =
            known.ok_or_else(|| PipelineError::NotPrepared("the subscription's row is gone".to_owned()))?;
        if row.partition_hash != row::PARTITION_HASH {
            let reason = format!("its partition hash {} is not known to this version", row.partition_hash);
            return Err(PipelineError::NotPrepared(reason));
        }
        if let Some(gap) = row.gaps.found.clone() {
            return Ok((server, Err((row, gap))));
        }
        let view = slot::view(control, &row.slot).await?;
        if let Some(gap) = gap::find(&row, self.memory.as_ref(), &server, view.as_ref()) {
            row.gaps.found = Some(gap.clone());
            row::store_gaps(control, name, &row.gaps).await?;
            return Ok((server, Err((row, gap))));
        }
        row.confirmed = gap::settled(&row, self.memory.as_ref(), &server, view.as_ref());
        row.generation = row::begin_generation(control, name, server.timeline, row.confirmed).await?;
        if view.is_some_and(|view| !view.failover) && slot::has_failover(control).await? {
            enable_failover(connection, &row.slot).await?;
        }
        Ok((server, Ok(row)))
    }

    /// Writes the row of a first start, for which the slot is made; or, where this process remembers one, of a
    /// subscription that the database has forgotten.
    async fn insert(&self, control: &Control, server: &Server) -> Result<(), PipelineError> {
        let slot = self.settings.source.slot();
        let forgotten = self.memory.as_ref().map(Memory::last_known).map(|at| Gap {
            cause: Cause::WentBack,
            at,
            reason: "the subscription's row in twinroute.subscription is gone".to_owned(),
        });
        let confirmed = if forgotten.is_some() {
            Lsn::ZERO
        } else {
            if slot::view(control, &slot).await?.is_none() {
                slot::create(control, &slot).await?;
                info!(slot, "created the replication slot");
            }
            slot::view(control, &slot).await?.unwrap_or_default().confirmed_flush_lsn
        };
        let new = NewRow {
            name: &self.settings.source.subscription,
            slot: &slot,
            partition_count: self.settings.stream.partition_count,
            system_identifier: &server.system_identifier,
            timeline: server.timeline,
            confirmed,
            gaps: &Gaps { found: forgotten, accepted: None },
        };
        Ok(row::insert(control, &new).await?)
    }
}

/// Enables a slot that an older version made. What PostgreSQL refuses costs no event now, only a failover later.
async fn enable_failover(connection: &mut Connection, slot: &str) -> Result<(), PipelineError> {
    match connection.enable_failover(slot).await {
        Ok(()) => info!(slot, "enabled the replication slot for failover"),
        Err(ReplicationError::Server { message, .. }) => {
            warn!(slot, message, "the replication slot cannot be enabled for failover");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
