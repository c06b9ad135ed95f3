//! How the task sends dead letters again.

use super::Task;
use super::wait::now;
use crate::delivery::Origin;
use crate::endpoint::redriving::Redrive;
use crate::holdings::Held;

impl Task {
    /// Puts a dead letter behind the others of its key. It is never parked: its letter is as durable.
    pub(super) fn redrive(&mut self, redrive: Redrive) {
        let held = Held::clone(&self.held.borrow());
        if let Some(delivery) = self.redriving.take(redrive, &held) {
            self.lane.push(delivery, now());
        }
    }

    /// Gives back what is not with the sink of passes that are over: their jobs have ended, or begin the next one.
    pub(super) fn give_back_redriven(&mut self) {
        if !self.redriving.any_over() {
            return;
        }
        let redriving = &self.redriving;
        let withdrawn = self.lane.withdraw(|delivery| match delivery.origin {
            Origin::Redriven(redriven) => redriving.is_over(redriven),
            Origin::Stream(_) | Origin::Backlog(_) => false,
        });
        for delivery in withdrawn {
            if let Origin::Redriven(redriven) = delivery.origin {
                self.redriving.give_back(redriven);
            }
        }
    }
}
