//! How the task sends dead letters again.

use super::Task;
use super::wait::now;
use crate::delivery::Delivery;
use crate::delivery::Origin;
use crate::endpoint::redrives::Redrive;
use crate::holdings::Held;

impl Task {
    /// Puts a dead letter behind the other events of its key. It is never parked: its letter is as durable.
    pub(super) fn redrive(&mut self, redrive: Redrive) {
        let held = Held::clone(&self.held.borrow());
        if let Some(delivery) = self.redrives.take(redrive, &held) {
            self.lane.push(delivery, now());
        }
    }

    /// Gives dead letters back that were taken out of the lane, and leaves the others.
    pub(super) fn give_back_redriven(&mut self, withdrawn: &mut Vec<Delivery>) {
        withdrawn.retain(|delivery| match delivery.origin {
            Origin::Redriven(redriven) => {
                self.redrives.give_back(redriven.event_id);
                false
            }
            Origin::Stream(_) | Origin::Backlog(_) => true,
        });
    }
}
