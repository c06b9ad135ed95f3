//! Which subscription a pipeline runs, with what bounds, and who may tell it to end.

use tokio::sync::watch;

use crate::config::{CaptureSettings, slot_of};
use crate::postgres::options::Created;
use crate::pressure::Guest;
use crate::retention::Retention;
use crate::selection::Selection;
use crate::subscription::Bounds;

/// The subscription that a pipeline runs.
#[derive(Clone, Debug)]
pub struct Charge {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a subscription comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The configuration: it is made when it is missing, and looks after the publication and the labels for all.
    Configured,
    /// A call, whose row is all that says so.
    Created {
        /// What it was created with.
        created: Created,
        /// What the pipeline is to do.
        orders: watch::Receiver<Order>,
        /// What memory it may have.
        guest: Guest,
    },
}

/// What the pipeline of a created subscription is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To run.
    Run,
    /// To look at its row, which is to be deleted or is gone.
    LookAtRow,
    /// To leave the subscription to another capture.
    Leave,
}

impl Charge {
    /// Name of the replication slot.
    #[must_use]
    pub fn slot(&self) -> String {
        slot_of(&self.name)
    }

    /// `application_name` of the session that holds the lock.
    #[must_use]
    pub fn control_name(&self) -> String {
        format!("twinroute-capture {} control", self.name)
    }

    /// `application_name` of the walsender.
    #[must_use]
    pub fn walsender_name(&self) -> String {
        format!("twinroute-capture {}", self.name)
    }

    /// Which events it gets.
    #[must_use]
    pub fn selection(&self) -> Selection {
        self.created().map_or_else(Selection::default, |created| created.filter.clone())
    }

    /// How much WAL it may hold back.
    #[must_use]
    pub fn retention(&self, settings: &CaptureSettings) -> Retention {
        settings.subscriptions.retention(self.created())
    }

    /// Bounds of what it sends and holds.
    #[must_use]
    pub fn bounds(&self, settings: &CaptureSettings, partition_count: u32) -> Bounds {
        let unacked_max = match self.origin {
            Origin::Configured => settings.stream.unacked_max(),
            Origin::Created { .. } => settings.subscriptions.unacked_max(),
        };
        settings.stream.bounds(partition_count, unacked_max)
    }

    /// What it was created with, if a call has created it.
    fn created(&self) -> Option<&Created> {
        match &self.origin {
            Origin::Configured => None,
            Origin::Created { created, .. } => Some(created),
        }
    }

    /// The publication and the labels are looked after by the configured subscription, for all.
    pub(super) fn follows_labels(&self) -> bool {
        matches!(self.origin, Origin::Configured)
    }

    /// A created subscription has what memory the configured one leaves.
    pub(super) fn guest(&self) -> Option<&Guest> {
        match &self.origin {
            Origin::Configured => None,
            Origin::Created { guest, .. } => Some(guest),
        }
    }

    /// What the pipeline is to do now.
    pub(super) fn order(&self) -> Order {
        match &self.origin {
            Origin::Configured => Order::Run,
            Origin::Created { orders, .. } => *orders.borrow(),
        }
    }

    /// Waits until a stream that begins is to let go of the memory that it has taken; for ever where there is enough.
    pub(super) async fn told_to_let_go(&self) {
        match self.guest() {
            Some(guest) => guest.from_now().told_to_let_go().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until the pipeline is to do something else than to run; for ever where nobody may say so.
    pub(super) async fn ordered(&self) {
        if let Origin::Created { orders, .. } = &self.origin {
            let mut orders = orders.clone();
            if orders.wait_for(|order| *order != Order::Run).await.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }
}
