//! Events that the lane gives up: their keys rest until they are ended outside of it, by a dead letter or by being dropped.
//!
//! Only the front of a key is ever given up. What was handed over behind it has been answered by then and waits again, so
//! the order of the key holds whatever becomes of the front.

use std::cmp::Reverse;
use std::time::Instant;

use super::attempts::Attempts;
use super::keys::{EntryState, KeyId, Phase, Refused};
use super::{Exhausted, Lane, RefusalKind, Setback, backoff};
use crate::delivery::{Delivery, Origin};
use crate::sink::SinkError;

/// An event that is not tried any more.
#[derive(Debug)]
pub struct Ended {
    /// Names it to [`Lane::settle_ended`] and [`Lane::keep_ended`].
    pub token: u64,
    /// What was not delivered.
    pub delivery: Delivery,
    /// What was tried.
    pub attempts: Attempts,
}

impl Lane {
    /// Counts an answer about the event itself. It is refused for good when its attempts or its time are used up.
    pub(super) fn judge(
        &mut self,
        token: u64,
        state: EntryState,
        error: Option<&SinkError>,
        now: Instant,
    ) -> EntryState {
        let (EntryState::Refused(refused @ (Refused::ForNow | Refused::Permanently)), Some(error)) =
            (state, error)
        else {
            return state;
        };
        let Some(tried) = self.keys.tried(token) else { return state };
        let attempts = Attempts::after(tried.as_deref(), error, now);
        let used_up = attempts.are_used_up(&self.policy, now);
        *tried = Some(Box::new(attempts));
        if refused == Refused::ForNow && used_up {
            self.keys.refuse_for_good(token);
            return EntryState::Refused(Refused::Permanently);
        }
        state
    }

    /// What a refusal means for its key.
    pub(super) fn kind(&self, key: KeyId, state: EntryState) -> RefusalKind {
        let blocked = self.setbacks.get(&key).is_some_and(|setback| setback.blocked.is_some());
        match state {
            EntryState::Refused(Refused::Permanently) if self.gives_up(key) => RefusalKind::Ends,
            EntryState::Refused(Refused::Permanently) if blocked => RefusalKind::StillBlocks,
            EntryState::Refused(Refused::Permanently) => RefusalKind::Blocks,
            _ => RefusalKind::Retried,
        }
    }

    /// What is refused for good is given up: the policy says so, or it has a letter already.
    pub(super) fn gives_up(&self, key: KeyId) -> bool {
        self.policy.on_exhausted == Exhausted::Ends || self.keys.is_redriven(key)
    }

    /// Gives up the front of a key.
    pub(super) fn end(&mut self, key: KeyId) {
        self.setbacks.remove(&key);
        self.keys.set_phase(key, Phase::Ending);
        self.ending.push_back(key);
    }

    /// The next event to end, each once. Its key rests until [`Lane::settle_ended`] is called.
    pub fn next_ended(&mut self, now: Instant) -> Option<Ended> {
        self.wake(now);
        loop {
            let key = self.ending.pop_front()?;
            if self.keys.phase(key) == Some(Phase::Ending)
                && let Some(ended) = self.keys.ended_front(key)
            {
                return Some(ended);
            }
        }
    }

    /// The event has come to its end: it is settled, and its key goes on. `false` when it is not here any more.
    pub fn settle_ended(&mut self, token: u64, settled: &mut Vec<Origin>) -> bool {
        let Some(key) = self.keys.ending_key(token) else { return false };
        self.setbacks.remove(&key);
        self.keys.set_phase(key, Phase::Flowing);
        self.keys.settle_ended(key, settled);
        self.list(key);
        true
    }

    /// The event could not be ended: it is given up again after a wait, and blocks its key until then.
    pub fn keep_ended(&mut self, token: u64, now: Instant) {
        let Some(key) = self.keys.ending_key(token) else { return };
        let policy = self.policy;
        let setback = self.setbacks.entry(key).or_insert_with(|| Setback {
            backoff: backoff(policy),
            until: now,
            blocked: None,
        });
        setback.blocked = self.keys.partition(key);
        setback.until = now + setback.backoff.next();
        self.wakes.push(Reverse((setback.until, key)));
    }

    /// What is given up and not ended yet is tried once more: somebody has mended something.
    pub fn try_ended_again(&mut self) {
        self.ending.clear();
        for key in self.keys.in_phase(Phase::Ending) {
            self.setbacks.remove(&key);
            self.keys.set_phase(key, Phase::Trying);
            self.list(key);
        }
    }
}

#[cfg(test)]
mod tests;
