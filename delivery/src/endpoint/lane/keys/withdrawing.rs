//! What the queues know of deliveries that can be taken out again: those from the stream, to be parked; those that are
//! redriven, when their job has ended.

use std::time::Instant;

use super::{EntryState, KeyId, Keys, NONE, Phase, index};
use crate::delivery::{Delivery, Origin};

impl Keys {
    /// Removes from each key what waits, from the first delivery on that is meant; and the keys that are empty then.
    pub(in crate::endpoint::lane) fn withdraw(
        &mut self,
        is_meant: impl Fn(&Delivery) -> bool,
    ) -> (Vec<Delivery>, Vec<KeyId>) {
        let mut withdrawn = Vec::new();
        let keys: Vec<KeyId> = self.queues.iter().map(|(key, _)| index(key)).collect();
        let emptied =
            keys.into_iter().filter(|&key| self.withdraw_from(key, &is_meant, &mut withdrawn)).collect();
        (withdrawn, emptied)
    }

    /// Whether the key is empty then.
    fn withdraw_from(
        &mut self,
        key: KeyId,
        is_meant: &impl Fn(&Delivery) -> bool,
        withdrawn: &mut Vec<Delivery>,
    ) -> bool {
        let Some(queue) = self.queues.get_mut(key as usize) else { return false };
        let (mut id, mut last, mut stays) = (queue.front, NONE, true);
        // The letter of this one is being written.
        let ending = (queue.is_redriven && queue.phase == Phase::Ending).then_some(queue.front);
        while let Some(entry) = self.entries.get(id as usize) {
            let behind = entry.behind;
            let is_taken = entry.state == EntryState::Waiting && is_meant(&entry.delivery);
            stays = stays && (ending == Some(id) || !is_taken);
            if stays {
                last = id;
            } else {
                if queue.waiting == id {
                    queue.waiting = NONE;
                }
                let entry = self.entries.remove(id as usize);
                self.of_stream -= usize::from(is_of_stream(&entry.delivery));
                withdrawn.push(entry.delivery);
            }
            id = behind;
        }
        queue.back = last;
        match self.entries.get_mut(last as usize) {
            Some(entry) => entry.behind = NONE,
            None => self.remove(key),
        }
        last == NONE
    }

    pub(in crate::endpoint::lane) fn has_stream_with_sink(&self) -> bool {
        let mut handed_over = self.entries.iter().filter(|(_, entry)| entry.state != EntryState::Waiting);
        handed_over.any(|(_, entry)| is_of_stream(&entry.delivery))
    }

    pub(in crate::endpoint::lane) fn of_stream(&self) -> usize {
        self.of_stream
    }

    pub(in crate::endpoint::lane) fn oldest_of_stream(&self) -> Option<Instant> {
        let entries = self.entries.iter().map(|(_, entry)| entry);
        let of_stream = entries.filter(|entry| is_of_stream(&entry.delivery));
        of_stream.map(|entry| entry.pushed_at).min()
    }
}

pub(super) fn is_redriven(delivery: &Delivery) -> bool {
    matches!(delivery.origin, Origin::Redriven(_))
}

pub(in crate::endpoint::lane) fn is_of_stream(delivery: &Delivery) -> bool {
    matches!(delivery.origin, Origin::Stream(_))
}
