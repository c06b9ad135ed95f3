//! Finds the subscription that a call or a stream names.

use tonic::Status;

use crate::catalog::{Catalog, Served};
use crate::gap::Cause;
use crate::state::{Running, State};

/// The subscription of this name.
///
/// # Errors
/// NOT_FOUND; UNAVAILABLE where another capture knows.
pub(super) fn served(catalog: &Catalog, name: &str) -> Result<Served, Status> {
    if name == catalog.configured().name {
        return Ok(catalog.configured().clone());
    }
    here(catalog)?;
    let none =
        || Status::not_found(format!("there is no subscription `{name}`; CreateSubscription makes one"));
    catalog.find(name).ok_or_else(none)
}

/// The subscription of this name, as it runs.
///
/// # Errors
/// Why it does not.
pub(super) fn running(catalog: &Catalog, name: &str) -> Result<Running, Status> {
    running_now(&served(catalog, name)?)
}

/// This process serves subscriptions, and does not stand by for the one that does.
///
/// # Errors
/// UNAVAILABLE with the other's name.
pub(super) fn here(catalog: &Catalog) -> Result<(), Status> {
    match &*catalog.configured().state.borrow() {
        State::Standby { holder } => Err(standing_by(holder)),
        _ => Ok(()),
    }
}

/// A stream may say what it wants. Where nothing runs it need not.
///
/// # Errors
/// UNAVAILABLE with what is waited for.
pub(super) fn may_open(catalog: &Catalog) -> Result<(), Status> {
    let all = catalog.all();
    let waits =
        |served: &Served| matches!(*served.state.borrow(), State::Connecting { .. } | State::Standby { .. });
    if all.iter().all(waits) { running_now(catalog.configured()).map(drop) } else { Ok(()) }
}

pub(super) fn running_now(served: &Served) -> Result<Running, Status> {
    match &*served.state.borrow() {
        State::Streaming(running) => Ok(running.clone()),
        State::Connecting { reason, .. } => {
            Err(Status::unavailable(format!("capture is connecting: {reason}")))
        }
        State::Standby { holder } => Err(standing_by(holder)),
        State::Stopped(stopped) => {
            let reason = format!("the subscription is stopped: {}", stopped.reason(&served.name));
            // To come back changes nothing before somebody has done what the reason says.
            let was_dropped = stopped.gap.cause == Cause::Dropped;
            Err(if was_dropped { Status::failed_precondition(reason) } else { Status::unavailable(reason) })
        }
    }
}

fn standing_by(holder: &str) -> Status {
    Status::unavailable(format!("standing by: the subscription is held by {holder}"))
}
