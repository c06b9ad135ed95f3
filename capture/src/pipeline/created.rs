//! The slot of a subscription that a call has created: made after its row, dropped before it.

use tracing::info;
use twinroute_common::lsn::Lsn;

use super::charge::Order;
use super::{Pipeline, PipelineError};
use crate::postgres::Control;
use crate::postgres::options::{self, Phase};
use crate::postgres::row::{self, SubscriptionRow};
use crate::postgres::slot;

impl Pipeline {
    /// Finds the row, and brings the slot to where the row says that it is to be.
    pub(super) async fn created_row(&self, control: &Control) -> Result<SubscriptionRow, PipelineError> {
        let name = &self.charge.name;
        let row = row::read(control, name).await?.ok_or(PipelineError::Gone)?;
        match row.options.created.as_ref().map(|created| created.phase) {
            // Somebody has made it a configured one, by hand.
            None => Err(PipelineError::Gone),
            // It was deleted, and created again: another pipeline's.
            Some(Phase::Making | Phase::Made) if self.charge.order() != Order::Run => {
                Err(PipelineError::Gone)
            }
            Some(Phase::Made) => Ok(row),
            Some(Phase::Making) => {
                let confirmed = make_slot(control, &row.slot).await?;
                options::store_made(control, name, confirmed).await?;
                info!(subscription = name, slot = row.slot, from = %confirmed, "created the subscription");
                row::read(control, name).await?.ok_or(PipelineError::Gone)
            }
            Some(Phase::Deleting) => {
                self.drop_slot(control, &row.slot).await?;
                options::delete(control, name).await?;
                info!(subscription = name, slot = row.slot, "deleted the subscription");
                Err(PipelineError::Gone)
            }
        }
    }

    /// Drops the slot, if there is one. A walsender of ours that still uses it is ended first; then the next attempt
    /// succeeds.
    pub(super) async fn drop_slot(&self, control: &Control, slot: &str) -> Result<(), PipelineError> {
        if slot::view(control, slot).await?.is_none() {
            return Ok(());
        }
        slot::end_former_walsender(control, slot, &self.charge.walsender_name()).await?;
        slot::remove(control, slot).await?;
        info!(slot, "dropped the replication slot");
        Ok(())
    }
}

/// Makes the slot, unless a crash left one behind; gives from where it streams.
pub(super) async fn make_slot(control: &Control, name: &str) -> Result<Lsn, PipelineError> {
    if slot::view(control, name).await?.is_none() {
        slot::create(control, name).await?;
        info!(slot = name, "created the replication slot");
    }
    let confirmed = slot::view(control, name).await?.unwrap_or_default().confirmed_flush_lsn;
    if confirmed == Lsn::ZERO {
        let reason =
            format!("the replication slot {name} is not complete: transactions that run must end first");
        return Err(PipelineError::NotPrepared(reason));
    }
    Ok(confirmed)
}
