//! The queues of a lane, one per ordering key: a list of entries in one slab, so that a delivery costs no allocation.
//!
//! What is redriven has queues of its own: it has no order to what is delivered meanwhile, and must not hold it up.

mod ending;
mod withdrawing;

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use slab::Slab;

use self::withdrawing::{is_of_stream, is_redriven};
use super::attempts::Attempts;
use crate::delivery::{Delivery, Origin, copy_bytes};
use crate::settlement::LeaseId;
use crate::sink::Submission;

/// Index of a key's queue; reused when the queue is gone.
pub(super) type KeyId = u32;

/// Entries for which an empty lane keeps its memory, some 200 KiB.
pub(super) const KEPT_MAX: usize = 1_024;

/// Index of no entry.
const NONE: u32 = u32::MAX;

/// Why a delivery was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The destination could not be reached; nothing is said about the event.
    Unreached,
    ForNow,
    Permanently,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryState {
    Waiting,
    /// Handed to the sink, not answered.
    Open,
    /// Answered; settled as soon as all before it in its key are.
    Delivered,
    Refused(Refused),
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Hands over as much as the sink takes.
    Flowing,
    /// One was refused: hands over nothing until all open ones are answered.
    Failing,
    /// Waits until it tries again.
    Resting,
    /// Hands over one at a time.
    Trying,
    /// Hands over nothing until its front, which is given up, has come to its end.
    Ending,
}

#[derive(Debug)]
struct Entry {
    delivery: Delivery,
    pushed_at: Instant,
    key: KeyId,
    /// The one behind it in its key.
    behind: u32,
    /// Number of the hand-over; makes tokens unique.
    serial: u32,
    state: EntryState,
    /// What was tried; few are refused, so the others pay no more than a pointer.
    tried: Option<Box<Attempts>>,
}

#[derive(Debug)]
struct Queue {
    key: Arc<str>,
    is_redriven: bool,
    front: u32,
    back: u32,
    /// The first that waits; all before it were handed over.
    waiting: u32,
    open: u32,
    phase: Phase,
    /// Stands in the lane's list of ready keys.
    listed: bool,
}

/// All queues of a lane.
#[derive(Debug, Default)]
pub(super) struct Keys {
    entries: Slab<Entry>,
    queues: Slab<Queue>,
    by_key: HashMap<Arc<str>, KeyId>,
    redriven_by_key: HashMap<Arc<str>, KeyId>,
    serial: u32,
    /// Entries that came from the stream.
    of_stream: usize,
}

impl Keys {
    pub(super) fn push(&mut self, delivery: Delivery, now: Instant) -> KeyId {
        let key = self.key_of(&delivery.event.partition_key, is_redriven(&delivery));
        self.of_stream += usize::from(is_of_stream(&delivery));
        let entry = Entry {
            delivery,
            pushed_at: now,
            key,
            behind: NONE,
            serial: 0,
            state: EntryState::Waiting,
            tried: None,
        };
        let id = index(self.entries.insert(entry));
        let Some(queue) = self.queues.get_mut(key as usize) else { return key };
        let last = std::mem::replace(&mut queue.back, id);
        if queue.front == NONE {
            queue.front = id;
        }
        if queue.waiting == NONE {
            queue.waiting = id;
        }
        if let Some(last) = self.entries.get_mut(last as usize) {
            last.behind = id;
        }
        key
    }

    fn key_of(&mut self, text: &Arc<str>, is_redriven: bool) -> KeyId {
        if let Some(&key) = self.by_key(is_redriven).get(&**text) {
            return key;
        }
        let queue = Queue {
            key: Arc::clone(text),
            is_redriven,
            front: NONE,
            back: NONE,
            waiting: NONE,
            open: 0,
            phase: Phase::Flowing,
            listed: false,
        };
        let key = index(self.queues.insert(queue));
        self.by_key(is_redriven).insert(Arc::clone(text), key);
        key
    }

    fn by_key(&mut self, is_redriven: bool) -> &mut HashMap<Arc<str>, KeyId> {
        if is_redriven { &mut self.redriven_by_key } else { &mut self.by_key }
    }

    pub(super) fn may_send(&self, key: KeyId, open_max: usize) -> bool {
        self.queues.get(key as usize).is_some_and(|queue| {
            queue.waiting != NONE
                && match queue.phase {
                    Phase::Flowing => (queue.open as usize) < open_max,
                    Phase::Trying => queue.open == 0,
                    Phase::Failing | Phase::Resting | Phase::Ending => false,
                }
        })
    }

    /// Hands over the first that waits.
    pub(super) fn hand_over(&mut self, key: KeyId) -> Option<Submission> {
        let queue = self.queues.get_mut(key as usize)?;
        let id = queue.waiting;
        let entry = self.entries.get_mut(id as usize)?;
        self.serial = self.serial.wrapping_add(1);
        entry.serial = self.serial;
        entry.state = EntryState::Open;
        queue.waiting = entry.behind;
        queue.open += 1;
        let Delivery { origin, event } = &entry.delivery;
        Some(Submission {
            token: token_of(id, entry.serial),
            partition: origin.partition(),
            event: Arc::clone(event),
        })
    }

    /// What a sink takes for the first that waits, in bytes.
    pub(super) fn next_copy_bytes(&self, key: KeyId) -> u64 {
        let waiting = self.queues.get(key as usize).map_or(NONE, |queue| queue.waiting);
        self.entries.get(waiting as usize).map_or(0, |entry| copy_bytes(&entry.delivery.event))
    }

    /// What a sink takes for a hand-over, in bytes.
    pub(super) fn copy_bytes(&self, token: u64) -> u64 {
        self.entries.get(entry_of(token)).map_or(0, |entry| copy_bytes(&entry.delivery.event))
    }

    /// Notes the answer to a hand-over; `None` when it is not open.
    pub(super) fn answer(&mut self, token: u64, state: EntryState) -> Option<KeyId> {
        let entry = self.entries.get_mut(entry_of(token))?;
        if entry.state != EntryState::Open || u64::from(entry.serial) != token >> 32 {
            return None;
        }
        entry.state = state;
        let queue = self.queues.get_mut(entry.key as usize)?;
        queue.open -= 1;
        if matches!(state, EntryState::Refused(_)) {
            queue.phase = Phase::Failing;
        }
        Some(entry.key)
    }

    /// The delivery that was handed over under a token.
    pub(super) fn delivery(&self, token: u64) -> Option<Delivery> {
        self.entries.get(entry_of(token)).map(|entry| entry.delivery.clone())
    }

    /// Removes what is delivered from the front, and the queue when it is empty. Whether anything was settled.
    pub(super) fn settle_front(&mut self, key: KeyId, settled: &mut Vec<Origin>) -> bool {
        let before = settled.len();
        while let Some(queue) = self.queues.get_mut(key as usize) {
            let front = queue.front as usize;
            if self.entries.get(front).is_none_or(|entry| entry.state != EntryState::Delivered) {
                break;
            }
            let entry = self.entries.remove(front);
            self.of_stream -= usize::from(is_of_stream(&entry.delivery));
            settled.push(entry.delivery.origin);
            queue.front = entry.behind;
            if queue.front == NONE {
                self.remove(key);
            }
        }
        settled.len() > before
    }

    /// Makes all that was handed over wait again. Why the front was refused, and its partition; `None` for no queue.
    pub(super) fn turn_back(&mut self, key: KeyId) -> Option<(Option<Refused>, u32)> {
        let queue = self.queues.get_mut(key as usize)?;
        let front = self.entries.get(queue.front as usize)?;
        let partition = front.delivery.origin.partition();
        let refused = match front.state {
            EntryState::Refused(refused) => Some(refused),
            EntryState::Waiting | EntryState::Open | EntryState::Delivered => None,
        };
        let mut id = queue.front;
        while id != queue.waiting {
            let Some(entry) = self.entries.get_mut(id as usize) else { break };
            entry.state = EntryState::Waiting;
            id = entry.behind;
        }
        queue.waiting = queue.front;
        Some((refused, partition))
    }

    /// Takes everything back that is with the sink; the keys that are concerned.
    pub(super) fn recall(&mut self) -> Vec<KeyId> {
        let concerned = self.queues.iter_mut().filter(|(_, queue)| queue.open > 0);
        let recalled = concerned.map(|(key, queue)| {
            queue.open = 0;
            index(key)
        });
        recalled.collect()
    }

    /// Removes the entries of leases that are over; the keys whose front was among them.
    pub(super) fn forget(&mut self, over: impl Fn(LeaseId) -> bool) -> Vec<KeyId> {
        let keys: Vec<KeyId> = self.queues.iter().map(|(key, _)| index(key)).collect();
        keys.into_iter().filter(|&key| self.forget_in(key, &over)).collect()
    }

    fn forget_in(&mut self, key: KeyId, over: &impl Fn(LeaseId) -> bool) -> bool {
        let Some(queue) = self.queues.get_mut(key as usize) else { return false };
        let first = queue.front;
        let mut id = std::mem::replace(&mut queue.front, NONE);
        (queue.back, queue.waiting) = (NONE, NONE);
        while let Some(entry) = self.entries.get_mut(id as usize) {
            let behind = std::mem::replace(&mut entry.behind, NONE);
            if over(entry.delivery.origin.lease()) {
                debug_assert_ne!(entry.state, EntryState::Open, "what is with the sink is recalled first");
                self.of_stream -= usize::from(is_of_stream(&entry.delivery));
                self.entries.remove(id as usize);
            } else {
                if queue.waiting == NONE && entry.state == EntryState::Waiting {
                    queue.waiting = id;
                }
                let last = std::mem::replace(&mut queue.back, id);
                match self.entries.get_mut(last as usize) {
                    Some(last) => last.behind = id,
                    None => queue.front = id,
                }
            }
            id = behind;
        }
        let changed = queue.front != first;
        if queue.front == NONE {
            self.remove(key);
        } else if changed && queue.phase != Phase::Failing {
            queue.phase = Phase::Flowing;
        }
        changed
    }

    fn remove(&mut self, key: KeyId) {
        let queue = self.queues.remove(key as usize);
        self.by_key(queue.is_redriven).remove(&queue.key);
        if self.queues.is_empty() && self.entries.capacity() > KEPT_MAX {
            // What a crowd has taken is needed elsewhere; tokens stay unique.
            *self = Self { serial: self.serial, ..Self::default() };
        }
    }

    /// Removes everything.
    pub(super) fn drain(&mut self) -> Vec<Origin> {
        self.queues.clear();
        self.by_key.clear();
        self.redriven_by_key.clear();
        self.of_stream = 0;
        self.entries.drain().map(|entry| entry.delivery.origin).collect()
    }

    /// What is in the key's queue is redriven.
    pub(super) fn is_redriven(&self, key: KeyId) -> bool {
        self.queues.get(key as usize).is_some_and(|queue| queue.is_redriven)
    }

    pub(super) fn phase(&self, key: KeyId) -> Option<Phase> {
        self.queues.get(key as usize).map(|queue| queue.phase)
    }

    pub(super) fn set_phase(&mut self, key: KeyId, phase: Phase) {
        if let Some(queue) = self.queues.get_mut(key as usize) {
            queue.phase = phase;
        }
    }

    pub(super) fn has_open(&self, key: KeyId) -> bool {
        self.queues.get(key as usize).is_some_and(|queue| queue.open > 0)
    }

    /// Notes that the key stands in the list; whether it did not before.
    pub(super) fn mark_listed(&mut self, key: KeyId) -> bool {
        let queue = self.queues.get_mut(key as usize);
        queue.is_some_and(|queue| !std::mem::replace(&mut queue.listed, true))
    }

    pub(super) fn unlist(&mut self, key: KeyId) {
        if let Some(queue) = self.queues.get_mut(key as usize) {
            queue.listed = false;
        }
    }

    pub(super) fn unlist_all(&mut self) -> Vec<KeyId> {
        let unlisted = self.queues.iter_mut().map(|(key, queue)| {
            queue.listed = false;
            index(key)
        });
        unlisted.collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_open(&self, leases: impl Fn(LeaseId) -> bool) -> bool {
        let mut open = self.entries.iter().filter(|(_, entry)| entry.state == EntryState::Open);
        open.any(|(_, entry)| leases(entry.delivery.origin.lease()))
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        let entries = self.entries.iter().map(|(_, entry)| entry);
        entries.filter(|entry| !is_redriven(&entry.delivery)).map(|entry| entry.pushed_at).min()
    }
}

/// Names an entry as it was handed over last.
fn token_of(id: u32, serial: u32) -> u64 {
    u64::from(serial) << 32 | u64::from(id)
}

/// The entry that a token names, in its lower half.
fn entry_of(token: u64) -> usize {
    (token & u64::from(u32::MAX)) as usize
}

/// A slab's index as 32 bits: a lane never holds as many as 2³² deliveries.
fn index(id: usize) -> u32 {
    u32::try_from(id).unwrap_or(NONE)
}
