//! What the queues know of deliveries that were refused: what was tried, and which are given up.

use super::{EntryState, KeyId, Keys, Phase, Refused, entry_of, index, token_of};
use crate::delivery::Origin;
use crate::endpoint::lane::{Attempts, Ended};

impl Keys {
    /// What was tried for the delivery that was handed over under a token.
    pub(in crate::endpoint::lane) fn tried(&mut self, token: u64) -> Option<&mut Option<Box<Attempts>>> {
        self.entries.get_mut(entry_of(token)).map(|entry| &mut entry.tried)
    }

    /// Notes that the delivery that was refused under a token is so for good.
    pub(in crate::endpoint::lane) fn refuse_for_good(&mut self, token: u64) {
        if let Some(entry) = self.entries.get_mut(entry_of(token)) {
            entry.state = EntryState::Refused(Refused::Permanently);
        }
    }

    /// The front of a key that is given up.
    pub(in crate::endpoint::lane) fn ended_front(&self, key: KeyId) -> Option<Ended> {
        let id = self.queues.get(key as usize)?.front;
        let entry = self.entries.get(id as usize)?;
        let attempts = entry.tried.as_deref()?.clone();
        Some(Ended { token: token_of(id, entry.serial), delivery: entry.delivery.clone(), attempts })
    }

    /// The key whose front is given up and has this token.
    pub(in crate::endpoint::lane) fn ending_key(&self, token: u64) -> Option<KeyId> {
        let entry = self.entries.get(entry_of(token))?;
        let queue = self.queues.get(entry.key as usize)?;
        let is_it = token_of(queue.front, entry.serial) == token && queue.phase == Phase::Ending;
        is_it.then_some(entry.key)
    }

    /// Removes the front of a key, which has come to its end.
    pub(in crate::endpoint::lane) fn settle_ended(&mut self, key: KeyId, settled: &mut Vec<Origin>) {
        let Some(queue) = self.queues.get_mut(key as usize) else { return };
        if let Some(front) = self.entries.get_mut(queue.front as usize) {
            front.state = EntryState::Delivered;
            queue.waiting = front.behind;
        }
        self.settle_front(key, settled);
    }

    /// The partition of a key's front.
    pub(in crate::endpoint::lane) fn partition(&self, key: KeyId) -> Option<u32> {
        let queue = self.queues.get(key as usize)?;
        self.entries.get(queue.front as usize).map(|front| front.delivery.origin.partition())
    }

    /// The keys in a phase.
    pub(in crate::endpoint::lane) fn in_phase(&self, phase: Phase) -> Vec<KeyId> {
        let keys = self.queues.iter().filter(|(_, queue)| queue.phase == phase);
        keys.map(|(key, _)| index(key)).collect()
    }
}
