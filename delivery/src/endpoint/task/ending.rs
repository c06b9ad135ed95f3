//! How the task ends the events that its lane gives up: a dead letter, or a count.

use std::time::Instant;

use tracing::warn;
use twinroute_common::route::{Endpoint, OnExhausted};

use super::Task;
use crate::delivery::Origin;
use crate::endpoint::lane::Ended;
use crate::endpoint::letters::Written;
use crate::endpoint::{EndpointContext, LeaseSet};
use crate::letter_box::LetterBox;

impl Task {
    /// Ends what the lane gives up, as far as there is room.
    pub(super) fn end_events(&mut self, now: Instant) {
        while self.letters.has_room()
            && let Some(ended) = self.lane.next_ended(now)
        {
            let letter_box = match ended.delivery.origin {
                // Its letter says what has become of it, whatever the policy is now.
                Origin::Redriven(_) => container(&self.endpoint, &self.context),
                Origin::Stream(_) | Origin::Backlog(_) => self.letter_box.clone(),
            };
            match letter_box {
                Some(letter_box) => self.letters.write(letter_box, ended, &self.redrives),
                None => self.drop_event(&ended),
            }
        }
    }

    fn drop_event(&mut self, ended: &Ended) {
        let Ended { token, delivery, attempts } = ended;
        self.counters.dropped.inc();
        warn!(
            endpoint = %self.endpoint.name,
            event_id = %delivery.event.id,
            code = attempts.error.code,
            attempts = attempts.count,
            "an event is dropped, as the endpoint's policy says: {}",
            attempts.error.message,
        );
        if let Origin::Redriven(redriven) = delivery.origin {
            self.redrives.failed(redriven.event_id, attempts.error.to_string());
        }
        self.lane.settle_ended(*token, &mut self.settled);
    }

    /// Takes note of what became of a letter. One that could not be written is written again after a wait.
    pub(super) fn take_written(&mut self, written: Written) {
        let Written { token, origin, why, result } = written;
        match result {
            Ok(()) => {
                if let Origin::Redriven(redriven) = origin {
                    self.redrives.failed(redriven.event_id, why);
                }
                self.lane.settle_ended(token, &mut self.settled);
                self.letters_outage.works();
            }
            Err(reason) => {
                self.health.refused(&reason);
                self.letters_outage.failed(&reason);
                self.lane.keep_ended(token, super::now());
            }
        }
    }

    /// The endpoint has changed, and with it perhaps what became of its events.
    pub(super) fn change_ending(&mut self) {
        self.letters.forget(&LeaseSet::All);
        self.lane.try_ended_again();
        self.letter_box = letter_box(&self.endpoint, &self.context);
    }
}

/// Where the endpoint's dead letters go; `None` when its policy is another one.
pub(super) fn letter_box(endpoint: &Endpoint, context: &EndpointContext) -> Option<LetterBox> {
    let is_policy = endpoint.on_exhausted() == OnExhausted::DeadLetter;
    container(endpoint, context).filter(|_| is_policy)
}

/// The endpoint's container.
fn container(endpoint: &Endpoint, context: &EndpointContext) -> Option<LetterBox> {
    let container = endpoint.dead_letter.clone()?;
    let counters = context.letters.of(&endpoint.name);
    Some(LetterBox::new(&endpoint.name, container, context.resolve_secret.clone(), counters))
}

#[cfg(test)]
mod tests;
