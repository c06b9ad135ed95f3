//! The lane of an endpoint: what is not delivered yet, in order per ordering key, and what goes to the sink next.
//!
//! Order per key rests on two rules. A key's deliveries are handed to the sink, and settled, from the front only. When
//! one of them is refused, nothing more of that key is handed over until all that were handed over are answered; then
//! the key turns back to the refused one and everything behind it is sent again, in order, one at a time until the sink
//! takes one. Repeats may come of that; a step back in time that nobody repeats may not.
//!
//! A delivery leaves the lane from the front of its key: delivered, or given up and then ended as the policy says.

mod attempts;
mod ending;
mod gate;
mod handing_over;
mod keys;
mod policy;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use hashbrown::{HashMap, HashSet};
use twinroute_common::backoff::Backoff;

pub use self::attempts::Attempts;
pub use self::ending::Ended;
use self::gate::Gate;
use self::keys::{EntryState, KeyId, Keys, Phase, Refused};
pub use self::policy::{Exhausted, LanePolicy};
use crate::delivery::{Delivery, Origin};
use crate::settlement::LeaseId;
use crate::sink::{InFlight, Outcome, SinkError, Verdict};
use crate::space::Share;

/// A delivery was refused.
#[derive(Debug)]
pub struct Refusal {
    /// What was refused.
    pub delivery: Delivery,
    /// Why.
    pub error: SinkError,
    /// What it means for its key.
    pub kind: RefusalKind,
}

/// What a refusal means for its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// It is tried again soon.
    Retried,
    /// It blocks its key from now on.
    Blocks,
    /// It still blocks its key.
    StillBlocks,
    /// It is given up as soon as nothing before it is left.
    Ends,
}

/// What is not delivered yet at one endpoint.
#[derive(Debug)]
pub struct Lane {
    policy: LanePolicy,
    in_flight: InFlight,
    keys: Keys,
    /// Keys that have something to hand over, each once.
    ready: VecDeque<KeyId>,
    /// Keys whose front was refused.
    setbacks: HashMap<KeyId, Setback>,
    /// When the resting keys go on, soonest first; entries of keys that went on earlier are stale.
    wakes: BinaryHeap<Reverse<(Instant, KeyId)>>,
    /// Keys whose front is given up and waits to be ended, each once.
    ending: VecDeque<KeyId>,
    gate: Gate,
    /// Handed over and not answered.
    open: usize,
    /// What that takes of the space of all endpoints.
    share: Share,
    /// One could be handed over, and there is no space for it.
    lacks_space: bool,
}

#[derive(Debug)]
struct Setback {
    backoff: Backoff,
    until: Instant,
    /// The partition that a permanent failure blocks.
    blocked: Option<u32>,
}

impl Lane {
    /// An empty lane.
    #[must_use]
    pub fn new(policy: LanePolicy, in_flight: InFlight, share: Share) -> Self {
        Self {
            policy,
            in_flight,
            keys: Keys::default(),
            ready: VecDeque::new(),
            setbacks: HashMap::new(),
            wakes: BinaryHeap::new(),
            ending: VecDeque::new(),
            gate: Gate::new(backoff(policy)),
            open: 0,
            share,
            lacks_space: false,
        }
    }

    /// Puts a delivery behind the others of its key.
    pub fn push(&mut self, delivery: Delivery, now: Instant) {
        let key = self.keys.push(delivery, now);
        self.list(key);
    }

    /// Takes a sink's answer. What is settled by it is added to `settled`; answers to nothing that is open are ignored.
    pub fn answer(&mut self, outcome: Outcome, now: Instant, settled: &mut Vec<Origin>) -> Option<Refusal> {
        let Outcome { token, verdict } = outcome;
        let (state, error) = match verdict {
            Verdict::Delivered => (EntryState::Delivered, None),
            Verdict::Permanent(error) => (EntryState::Refused(Refused::Permanently), Some(error)),
            Verdict::Retryable(error) if error.about_event => {
                (EntryState::Refused(Refused::ForNow), Some(error))
            }
            Verdict::Retryable(error) => (EntryState::Refused(Refused::Unreached), Some(error)),
        };
        let key = self.keys.answer(token, state)?;
        self.open -= 1;
        self.share.give_back(self.keys.copy_bytes(token));
        match (state, &error) {
            (EntryState::Refused(Refused::Unreached), Some(error)) if error.is_about_batch() => {
                self.gate.got_too_much(now);
            }
            (EntryState::Refused(Refused::Unreached), _) => self.gate.unreachable(now),
            _ => self.gate.answered(),
        }
        let state = self.judge(token, state, error.as_ref(), now);
        let refusal = error.and_then(|error| {
            let delivery = self.keys.delivery(token)?;
            Some(Refusal { delivery, error, kind: self.kind(key, state) })
        });
        self.proceed(key, now, settled);
        refusal
    }

    /// Waits as another policy says, from the next failure on.
    pub fn set_policy(&mut self, policy: LanePolicy) {
        self.policy = policy;
    }

    /// The destination answers again: waits for an unreachable one end now.
    pub fn reachable(&mut self) {
        self.gate.try_now();
    }

    /// The sink is closed and a new one takes its place: what was handed over and not answered goes to the new one, in
    /// order. What could not be settled only because of an open one before it is sent again too.
    pub fn restart(&mut self, in_flight: InFlight, now: Instant, settled: &mut Vec<Origin>) {
        self.in_flight = in_flight;
        self.open = 0;
        self.share.hold(0);
        self.lacks_space = false;
        for key in self.keys.recall() {
            self.turn_back(key, now, settled);
        }
        self.gate.try_now();
        self.list_all();
    }

    /// Forgets what belongs to leases that are over. Nothing of them may be with the sink.
    pub fn forget(&mut self, over: impl Fn(LeaseId) -> bool) {
        for key in self.keys.forget(over) {
            self.setbacks.remove(&key);
        }
        self.ending.retain(|&key| self.keys.phase(key) == Some(Phase::Ending));
        self.list_all();
    }

    /// Takes out what is meant and not with the sink, with all that stands behind it: by key in order, and as a whole in the
    /// order of the stream.
    pub fn withdraw(&mut self, is_meant: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let (mut withdrawn, emptied) = self.keys.withdraw(is_meant);
        for key in emptied {
            self.setbacks.remove(&key);
        }
        self.ending.retain(|&key| self.keys.phase(key) == Some(Phase::Ending));
        self.list_all();
        withdrawn.sort_by(|one, other| one.event.sequence.cmp(&other.event.sequence));
        withdrawn
    }

    /// Deliveries from the stream that are not settled.
    #[must_use]
    pub fn of_stream(&self) -> usize {
        self.keys.of_stream()
    }

    /// Something that came from the stream was handed over and is not settled: it is with the sink, or answered and waits
    /// for what is.
    #[must_use]
    pub fn has_stream_with_sink(&self) -> bool {
        self.open > 0 && self.keys.has_stream_with_sink()
    }

    /// When the oldest delivery from the stream came that is not settled.
    #[must_use]
    pub fn oldest_of_stream(&self) -> Option<Instant> {
        self.keys.oldest_of_stream()
    }

    /// Takes out everything.
    pub fn drain(&mut self) -> Vec<Origin> {
        self.ready.clear();
        self.setbacks.clear();
        self.wakes.clear();
        self.ending.clear();
        self.open = 0;
        self.share.hold(0);
        self.lacks_space = false;
        self.keys.drain()
    }

    /// Deliveries that are not settled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Everything is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deliveries handed over and not answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.open
    }

    /// Something could be handed over, if the gate, the fence and the sink let it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Something of these leases is with the sink.
    #[must_use]
    pub fn is_open(&self, leases: impl Fn(LeaseId) -> bool) -> bool {
        self.open > 0 && self.keys.is_open(leases)
    }

    /// When the oldest delivery came that is not settled, redriven ones aside.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.keys.oldest()
    }

    /// Some key waits because its front was refused.
    #[must_use]
    pub fn has_setbacks(&self) -> bool {
        !self.setbacks.is_empty()
    }

    /// Partitions in which a permanent failure blocks a key.
    #[must_use]
    pub fn blocked_partitions(&self) -> HashSet<u32> {
        self.setbacks.values().filter_map(|setback| setback.blocked).collect()
    }

    /// Goes on with a key after an answer.
    fn proceed(&mut self, key: KeyId, now: Instant, settled: &mut Vec<Origin>) {
        match self.keys.phase(key) {
            Some(Phase::Failing) if !self.keys.has_open(key) => self.turn_back(key, now, settled),
            None | Some(Phase::Failing | Phase::Resting | Phase::Ending) => return,
            Some(Phase::Flowing | Phase::Trying) => {
                if self.keys.settle_front(key, settled) {
                    self.setbacks.remove(&key);
                    self.keys.set_phase(key, Phase::Flowing);
                }
            }
        }
        self.list(key);
    }

    /// Nothing of the key is with the sink any more: settles what was delivered before the first refused one, and
    /// decides when that one is sent again.
    fn turn_back(&mut self, key: KeyId, now: Instant, settled: &mut Vec<Origin>) {
        if self.keys.settle_front(key, settled) {
            self.setbacks.remove(&key);
        }
        let Some((refused, partition)) = self.keys.turn_back(key) else { return };
        let blocked = match refused {
            None | Some(Refused::Unreached) => {
                let tried = self.setbacks.contains_key(&key);
                self.keys.set_phase(key, if tried { Phase::Trying } else { Phase::Flowing });
                return;
            }
            Some(Refused::ForNow) => None,
            Some(Refused::Permanently) if self.gives_up(key) => return self.end(key),
            Some(Refused::Permanently) => Some(partition),
        };
        let setback = self.setbacks.entry(key).or_insert_with(|| Setback {
            backoff: backoff(self.policy),
            until: now,
            blocked,
        });
        let wait = if blocked.is_some() { self.policy.blocked_retry } else { setback.backoff.next() };
        setback.blocked = blocked;
        setback.until = now + wait;
        self.wakes.push(Reverse((setback.until, key)));
        self.keys.set_phase(key, Phase::Resting);
    }

    /// Lets the keys go on whose rest is over.
    pub fn wake(&mut self, now: Instant) {
        while let Some(&Reverse((at, key))) = self.wakes.peek() {
            if at > now {
                break;
            }
            self.wakes.pop();
            let due = self.setbacks.get(&key).is_some_and(|setback| setback.until == at);
            match self.keys.phase(key) {
                Some(Phase::Resting) if due => {
                    self.keys.set_phase(key, Phase::Trying);
                    self.list(key);
                }
                Some(Phase::Ending) if due => self.ending.push_back(key),
                _ => {}
            }
        }
    }

    fn may_send(&self, key: KeyId) -> bool {
        self.keys.may_send(key, self.in_flight.events_per_key_max)
    }

    fn list(&mut self, key: KeyId) {
        if self.may_send(key) && self.keys.mark_listed(key) {
            self.ready.push_back(key);
        }
    }

    fn list_all(&mut self) {
        self.ready.clear();
        let keys = self.keys.unlist_all();
        for key in keys {
            self.list(key);
        }
    }
}

fn backoff(policy: LanePolicy) -> Backoff {
    Backoff::new(policy.backoff.initial, policy.backoff.max)
}

#[cfg(test)]
mod tests;
