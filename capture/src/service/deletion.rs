//! `DeleteSubscription`: stored first, then carried out by the holder of the subscription's lock.

use tokio::time::timeout;
use tonic::Status;
use twinroute_common::causes::Causes;

use super::CaptureGrpc;
use super::finding::{here, served};
use crate::postgres::Control;
use crate::postgres::control::ControlError;
use crate::postgres::{options, row};

/// `application_name` of the session that creates and deletes.
pub(super) const SESSION: &str = "twinroute-capture administration";

impl CaptureGrpc {
    /// Deletes a created subscription, and waits until slot and row are gone, for an answer's time at most.
    pub(super) async fn delete(&self, name: &str) -> Result<(), Status> {
        here(&self.catalog)?;
        if name == self.catalog.configured().name {
            return Err(Status::failed_precondition(format!(
                "`{name}` is source.subscription of this capture: it is there as long as the configuration names it"
            )));
        }
        served(&self.catalog, name)?;
        let control = self.administration().await?;
        if !options::may_delete(&control).await.map_err(failed)? {
            return Err(Status::failed_precondition(
                "capture may not delete rows; somebody with the right must run: GRANT DELETE ON \
                 twinroute.subscription TO the role of postgres.url",
            ));
        }
        if !options::store_deleting(&control, name).await.map_err(failed)? {
            return Err(Status::not_found(format!("there is no subscription `{name}`")));
        }
        self.catalog.look();
        let deadline = self.settings.postgres.answer_deadline();
        timeout(deadline, self.catalog.gone(name)).await.map_err(|_| {
            Status::deadline_exceeded(format!(
                "`{name}` is marked as deleted, and its slot is not dropped yet; GetSubscription tells why"
            ))
        })
    }

    /// A session to write to the rows.
    pub(super) async fn administration(&self) -> Result<Control, Status> {
        let deadline = self.settings.postgres.answer_deadline();
        let control = Control::open(&self.config, SESSION, deadline).await.map_err(failed)?;
        control.run(row::DURABLE).await.map_err(failed)?;
        Ok(control)
    }
}

/// A statement that failed.
pub(super) fn failed(error: ControlError) -> Status {
    let reason = Causes(&error).to_string();
    if error.is_privilege() { Status::failed_precondition(reason) } else { Status::unavailable(reason) }
}
