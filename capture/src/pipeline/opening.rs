//! What must be there before the stream begins: schema, publication, row and slot, and all WAL that is needed.

use tracing::{info, warn};
use twinroute_common::lsn::Lsn;

use super::charge::Origin;
use super::created::make_slot;
use super::{Pipeline, PipelineError};
use crate::gap::{self, Cause, Gap, Gaps, Memory, Server};
use crate::postgres::Control;
use crate::postgres::labels::Labels;
use crate::postgres::row::{self, NewRow, SubscriptionRow};
use crate::postgres::slot::{self, SlotView};
use crate::replication::{Connection, ReplicationError};
use crate::retention::Verdict;

/// A subscription whose changes may be missing, and how.
pub(super) type AtGap = (SubscriptionRow, Gap);

impl Pipeline {
    /// Makes schema, publication and identities, or says what somebody else must run. For a created subscription the
    /// configured one does it.
    pub(super) async fn prepare(&self, control: &Control) -> Result<Labels, PipelineError> {
        control.run(row::DURABLE).await?;
        if let Origin::Created { .. } = self.charge.origin {
            return Ok(Labels::new(&self.settings.source));
        }
        match row::create_schema(control).await {
            Err(error) if error.is_privilege() => {
                let role = control.rows("SELECT quote_ident(current_user)", &[]).await?;
                let role: String = role.first().map_or_else(String::new, |row| row.get(0));
                let mut statements: Vec<String> = row::SCHEMA
                    .iter()
                    .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect();
                statements.push(format!("GRANT USAGE ON SCHEMA twinroute TO {role}"));
                statements.push(format!(
                    "GRANT SELECT, INSERT, UPDATE, DELETE ON twinroute.subscription TO {role}"
                ));
                return Err(PipelineError::MissingRights { statements });
            }
            other => other?,
        }
        let mut labels = Labels::new(&self.settings.source);
        labels.follow(control).await?;
        if !labels.shortfall.required_statements.is_empty() {
            let statements = labels.shortfall.required_statements;
            return Err(PipelineError::MissingRights { statements });
        }
        Ok(labels)
    }

    /// Finds row and slot, or makes both on a first start, and begins a new generation; or tells where it stops.
    pub(super) async fn open(
        &self,
        control: &Control,
        connection: &mut Connection,
    ) -> Result<(Server, Result<SubscriptionRow, AtGap>), PipelineError> {
        let name = &self.charge.name;
        let mut row = match self.charge.origin {
            Origin::Configured => self.configured_row(control, connection).await?,
            Origin::Created { .. } => self.created_row(control).await?,
        };
        // After the row is read: a slot that is made writes WAL, and the row is beyond where the WAL ended before.
        let server = connection.server().await?;
        if row.partition_hash != row::PARTITION_HASH {
            let reason = format!("its partition hash {} is not known to this version", row.partition_hash);
            return Err(PipelineError::NotPrepared(reason));
        }
        let view = slot::view(control, &row.slot).await?;
        if row.gaps.found.is_none() {
            row.gaps.found = self.find_gap(&row, &server, view.as_ref());
            if row.gaps.found.is_some() {
                row::store_gaps(control, name, &row.gaps).await?;
            }
        }
        if let Some(gap) = row.gaps.found.clone() {
            // It is stored that the slot was dropped for what it held back, so now it can be.
            if gap.cause == Cause::Dropped {
                self.drop_slot(control, &row.slot).await?;
            }
            return Ok((server, Err((row, gap))));
        }
        row.confirmed = gap::settled(&row, self.memory.as_ref(), &server, view.as_ref());
        row.generation = row::begin_generation(control, name, server.timeline, row.confirmed).await?;
        if view.is_some_and(|view| !view.failover) && slot::has_failover(control).await? {
            enable_failover(connection, &row.slot).await?;
        }
        Ok((server, Ok(row)))
    }

    fn find_gap(&self, row: &SubscriptionRow, server: &Server, slot: Option<&SlotView>) -> Option<Gap> {
        gap::find(row, self.memory.as_ref(), server, slot).or_else(|| {
            let retention = self.charge.retention(&self.settings);
            let Verdict::Dropped(why) = retention.judge(&row.slot, slot?.retained_bytes) else { return None };
            Some(gap::dropped(&why, gap::boundary(row.incarnation, row.confirmed)))
        })
    }

    /// Finds the row of the configured subscription, or makes it with its slot.
    async fn configured_row(
        &self,
        control: &Control,
        connection: &mut Connection,
    ) -> Result<SubscriptionRow, PipelineError> {
        let name = &self.charge.name;
        if let Some(row) = row::read(control, name).await? {
            return Ok(row);
        }
        self.insert(control, &connection.server().await?).await?;
        let row = row::read(control, name).await?;
        row.ok_or_else(|| PipelineError::NotPrepared("the subscription's row is gone".to_owned()))
    }

    /// Writes the row of a first start, for which the slot is made; or, where this process remembers one, of a
    /// subscription that the database has forgotten.
    async fn insert(&self, control: &Control, server: &Server) -> Result<(), PipelineError> {
        let slot = self.charge.slot();
        let forgotten = self.memory.as_ref().map(Memory::last_known).map(|at| Gap {
            cause: Cause::WentBack,
            at,
            reason: "the subscription's row in twinroute.subscription is gone".to_owned(),
        });
        let confirmed = if forgotten.is_some() { Lsn::ZERO } else { make_slot(control, &slot).await? };
        let new = NewRow {
            name: &self.charge.name,
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
