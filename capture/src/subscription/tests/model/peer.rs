//! A consumer process: what it remembers outlives its stream, so that it can act late.

use super::*;

/// What a process knows. It acknowledges what it remembers, whether that is still its own or not.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: Option<ConsumerKey>,
    /// Partition, epoch and number of each batch that it got and has not forgotten.
    pub(super) batches: Vec<(u32, Epoch, u64)>,
    /// Revokes of the present stream that it has not answered: the assignment and its partitions.
    pub(super) revokes: Vec<(u64, Vec<u32>)>,
    /// Its version, which only grows.
    pub(super) version: u64,
    /// The process does not run: no heartbeats, nothing.
    pub(super) is_frozen: bool,
    /// It lives, and never gets anything done.
    pub(super) is_stuck: bool,
    pub(super) beat_at: Instant,
}

impl Peer {
    pub(super) fn new(now: Instant, version: u64, is_stuck: bool) -> Self {
        Self {
            stream: None,
            batches: Vec::new(),
            revokes: Vec::new(),
            version,
            is_frozen: false,
            is_stuck,
            beat_at: now,
        }
    }

    /// Its stream is over, and the process remembers.
    pub(super) fn disconnected(&mut self) {
        self.stream = None;
        self.revokes.clear();
    }

    pub(super) fn take(&mut self, frame: OutFrame) {
        match frame {
            OutFrame::Batches(batches) => {
                let known = batches.iter().map(|batch| (batch.partition, batch.epoch, batch.batch));
                self.batches.extend(known);
            }
            OutFrame::Assignment { assignment, .. } if !assignment.revoked.is_empty() => {
                self.revokes.push((assignment.assignment_id, assignment.revoked));
            }
            _ => {}
        }
    }

    /// Some of what it remembers, in any order; mostly forgotten then, sometimes kept to be said again.
    pub(super) fn some_acks(&mut self, dice: &mut Dice) -> Vec<(u32, Epoch, u64)> {
        let mut acks = Vec::new();
        for _ in 0..dice.from(1, 4) {
            if self.batches.is_empty() {
                break;
            }
            let at = dice.index(self.batches.len());
            let known = if dice.in_hundred(75) { self.batches.remove(at) } else { self.batches[at] };
            acks.push(known);
        }
        acks
    }

    /// All that it knows of some partitions, the oldest first.
    pub(super) fn acks_of(&mut self, partitions: &[u32]) -> Vec<(u32, Epoch, u64)> {
        self.batches.extract_if(.., |(partition, ..)| partitions.contains(partition)).collect()
    }
}
