//! How the task ends the events that its lane gives up: a dead letter, or a count.

use std::time::Instant;

use tracing::warn;
use twinroute_common::route::{Endpoint, OnExhausted};

use super::Task;
use super::wait::now;
use crate::delivery::Origin;
use crate::endpoint::lane::Ended;
use crate::endpoint::letters::{Subject, Written};
use crate::endpoint::{EndpointContext, LeaseSet};
use crate::letter_box::LetterBox;

impl Task {
    /// Ends what the lane gives up, as far as there is room.
    pub(super) fn end_events(&mut self, now: Instant) {
        while self.letters.has_room()
            && let Some(ended) = self.lane.next_ended(now)
        {
            let is_policy = self.endpoint.on_exhausted() == OnExhausted::DeadLetter;
            match (&self.letter_box, ended.delivery.origin) {
                // The letter of a redriven one says what has become of it, whatever the policy is now.
                (Some(letter_box), origin) if is_policy || matches!(origin, Origin::Redriven(_)) => {
                    self.letters.write(letter_box.clone(), ended, &self.redriving);
                }
                (None, Origin::Redriven(redriven)) => {
                    self.redriving.failed(redriven, ended.attempts.error.to_string());
                    self.lane.settle_ended(ended.token, &mut self.settled);
                }
                (_, _) => self.drop_event(&ended),
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
        self.lane.settle_ended(*token, &mut self.settled);
    }

    /// Takes note of what became of a letter. One that could not be written is written again after a wait.
    pub(super) fn take_written(&mut self, written: Written) {
        let Written { subject, origin, result } = written;
        match result {
            Ok(()) => {
                match subject {
                    Subject::Ended { token, why } => {
                        let is_ended = self.lane.settle_ended(token, &mut self.settled);
                        if let (true, Origin::Redriven(redriven)) = (is_ended, origin) {
                            self.redriving.failed(redriven, why);
                        }
                    }
                    Subject::Overflow { ticket } => {
                        self.parking.end_overflow((ticket, origin), now(), &mut self.notices);
                    }
                }
                self.letters_outage.works();
            }
            Err(reason) => {
                self.health.refused(&reason);
                self.letters_outage.failed(&reason);
                match subject {
                    Subject::Ended { token, .. } => self.lane.keep_ended(token, now()),
                    Subject::Overflow { ticket } => self.parking.keep_overflow((ticket, origin), now()),
                }
            }
        }
    }

    /// The endpoint has changed, and with it perhaps what became of its events.
    pub(super) fn change_ending(&mut self) {
        self.letters.forget(&LeaseSet::All);
        self.lane.try_ended_again();
        self.letter_box = letter_box(&self.endpoint, &self.context);
        self.parking.keep_all_overflow(now());
    }
}

/// The endpoint's container of dead letters, whatever its policy is.
pub(super) fn letter_box(endpoint: &Endpoint, context: &EndpointContext) -> Option<LetterBox> {
    let container = endpoint.dead_letter.clone()?;
    let counters = context.letters.of(&endpoint.name);
    Some(LetterBox::new(&endpoint.name, container, context.resolve_secret.clone(), counters))
}

#[cfg(test)]
mod tests;
