//! Space that all endpoints share: how many bytes copies of their events may take, and how much of it each may have.
//!
//! An endpoint may have as much as it leaves free, so that many that are slow never take what one more needs. Those whose
//! destinations are away have half of it together, but for the first of each, by which it is found out whether it is away
//! still. A little always has space: every endpoint goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that an endpoint may always have: a segment of the parked backlog, hundreds of common events.
const ALWAYS_BYTES: u64 = 1 << 20;

/// Space that all endpoints share. Clones are the same space.
#[derive(Clone, Debug)]
pub struct Space {
    bytes_max: u64,
    taken: Arc<AtomicU64>,
}

/// The spaces of a worker, for what is there at the same time: none of them waits for one that stands before it.
#[derive(Clone, Debug)]
pub struct Spaces {
    /// Copies of events that are with sinks.
    pub in_flight: Space,
    /// Segments that are being written.
    pub written: Space,
    /// Segments that were read back.
    pub read: Space,
}

/// What one endpoint has of a space; it goes back when it is dropped.
#[derive(Debug)]
pub struct Share {
    space: Space,
    held: u64,
}

impl Space {
    /// So many bytes, of which nothing is taken.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, taken: Arc::default() }
    }

    /// The share of one more endpoint.
    #[must_use]
    pub fn share(&self) -> Share {
        Share { space: self.clone(), held: 0 }
    }

    /// What an endpoint that holds `held` may have beside it, while `taken` is taken by all. What is larger than the whole
    /// has space alone.
    fn free(&self, held: u64, taken: u64, is_away: bool) -> u64 {
        if taken == 0 {
            return u64::MAX;
        }
        let all = if is_away && held > 0 { self.bytes_max / 2 } else { self.bytes_max };
        let always = ALWAYS_BYTES.saturating_sub(held);
        all.saturating_sub(taken).saturating_sub(held).max(always)
    }
}

impl Share {
    /// What the endpoint may have beside what it has, in bytes.
    #[must_use]
    pub fn free(&self, is_away: bool) -> u64 {
        self.space.free(self.held, self.space.taken.load(Ordering::Relaxed), is_away)
    }

    /// Takes so many bytes more, if there is space.
    pub fn take(&mut self, bytes: u64, is_away: bool) -> bool {
        let Self { space, held } = self;
        let with =
            |taken: u64| (bytes <= space.free(*held, taken, is_away)).then(|| taken.saturating_add(bytes));
        let is_taken = space.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with).is_ok();
        if is_taken {
            *held += bytes;
        }
        is_taken
    }

    /// The endpoint has so many bytes now.
    pub fn hold(&mut self, bytes: u64) {
        match bytes.checked_sub(self.held) {
            Some(more) => self.space.taken.fetch_add(more, Ordering::Relaxed),
            None => self.space.taken.fetch_sub(self.held - bytes, Ordering::Relaxed),
        };
        self.held = bytes;
    }

    /// So many bytes are free again.
    pub fn give_back(&mut self, bytes: u64) {
        self.hold(self.held.saturating_sub(bytes));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What one more endpoint after the other has when it has taken all that it may, one MiB at a time.
    fn shares(space: &Space, endpoints: usize, is_away: bool) -> Vec<Share> {
        let greedy = || {
            let mut share = space.share();
            while share.held < 1_000 * MIB && share.take(MIB, is_away) {}
            share
        };
        std::iter::repeat_with(greedy).take(endpoints).collect()
    }

    fn mib(shares: &[Share]) -> Vec<u64> {
        shares.iter().map(|share| share.held / MIB).collect()
    }

    #[test]
    fn each_leaves_as_much_free_as_it_has_and_the_last_ones_have_a_little_beyond() {
        let space = Space::new(16 * MIB);
        let greedy = shares(&space, 6, false);
        assert_eq!(mib(&greedy), [8, 4, 2, 1, 1, 1]);
        // and what is given back is there for the next
        drop(greedy);
        assert_eq!(mib(&shares(&space, 1, false)), [8]);
    }

    #[test]
    fn those_that_are_away_leave_half_to_the_others() {
        let space = Space::new(16 * MIB);
        let away = shares(&space, 4, true);
        assert_eq!(mib(&away), [4, 2, 1, 1]);
        assert_eq!(mib(&shares(&space, 1, false)), [4]);
        // and the first copy of one more may be as large as that of any other
        assert_eq!(space.share().free(true), space.share().free(false));
    }

    #[test]
    fn a_little_has_space_copy_by_copy() {
        // given a space that others have taken
        let space = Space::new(16 * MIB);
        let mut others = space.share();
        others.hold(16 * MIB);

        // when one more takes small copies, it has as much as if it took one
        let mut share = space.share();
        while share.take(2_048, false) {}
        assert_eq!(share.held, MIB);
    }

    #[test]
    fn what_is_larger_than_the_whole_has_space_alone() {
        let space = Space::new(16 * MIB);
        let (mut one, mut other) = (space.share(), space.share());
        assert!(one.take(100 * MIB, true) && !one.take(1, false));
        // a small one of another endpoint always has space, a second one has not
        assert!(!other.take(2 * MIB, false) && other.take(MIB, false) && !other.take(1, false));
        // when the large one is gone, all is free again
        one.give_back(100 * MIB);
        assert_eq!(other.free(false), 14 * MIB);
        other.hold(0);
        assert!(other.take(100 * MIB, false));
    }
}
