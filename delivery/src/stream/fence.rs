//! The fence: a worker writes to a sink only while capture has lately answered one of its heartbeats.
//!
//! Capture takes partitions away from a worker whose heartbeats it has not seen for a lease. A worker that was stopped
//! and wakes up, or is cut off, must notice that by its own clock, before it writes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Says whether writing to sinks is allowed. Closed until a stream opens it.
#[derive(Debug)]
pub struct Fence {
    base: Instant,
    /// Microseconds after `base` until which writing is allowed; 0 when it is not.
    writes_until_us: AtomicU64,
}

impl Fence {
    /// A fence that allows nothing yet.
    #[must_use]
    pub fn closed() -> Self {
        Self { base: Instant::now(), writes_until_us: AtomicU64::new(0) }
    }

    /// Writing is allowed at `now`. To be asked before every hand-over to a sink.
    #[must_use]
    pub fn may_write(&self, now: Instant) -> bool {
        self.micros(now) < self.writes_until_us.load(Ordering::Acquire)
    }

    /// Allows writing up to `until`.
    pub fn open_until(&self, until: Instant) {
        self.writes_until_us.store(self.micros(until), Ordering::Release);
    }

    /// Allows nothing any more.
    pub fn close(&self) {
        self.writes_until_us.store(0, Ordering::Release);
    }

    fn micros(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.base);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

/// The heartbeats of one stream. Hello counts as heartbeat 0, and Welcome answers it.
#[derive(Debug)]
pub(super) struct Heartbeats {
    lease: Duration,
    last: u64,
    last_sent_at: Instant,
    /// Sent and not answered; never more than a lease's worth, because the stream ends with the lease.
    open: VecDeque<(u64, Instant)>,
    /// When the latest heartbeat that was answered was sent.
    answered_sent_at: Instant,
}

impl Heartbeats {
    /// A stream whose Hello was sent at `hello_sent_at` and answered.
    pub(super) fn new(lease: Duration, hello_sent_at: Instant) -> Self {
        Self {
            lease,
            last: 0,
            last_sent_at: hello_sent_at,
            open: VecDeque::new(),
            answered_sent_at: hello_sent_at,
        }
    }

    /// When the next heartbeat is to be sent: a third of the lease after the last one.
    pub(super) fn due_at(&self) -> Instant {
        self.last_sent_at + self.lease / 3
    }

    /// Numbers the heartbeat that is sent at `now`.
    pub(super) fn send(&mut self, now: Instant) -> u64 {
        self.last += 1;
        self.last_sent_at = now;
        self.open.push_back((self.last, now));
        self.last
    }

    /// Takes the answer to heartbeat `n`; answers to others than open ones change nothing.
    pub(super) fn answered(&mut self, n: u64) {
        while let Some(&(number, sent_at)) = self.open.front() {
            if number > n {
                break;
            }
            self.open.pop_front();
            if number == n {
                self.answered_sent_at = sent_at;
            }
        }
    }

    /// Until when writing is allowed: two thirds of a lease after the answered heartbeat was *sent*.
    pub(super) fn writes_until(&self) -> Instant {
        self.answered_sent_at + self.lease * 2 / 3
    }

    /// When the lease is over, unless another answer comes.
    pub(super) fn lost_at(&self) -> Instant {
        self.answered_sent_at + self.lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(9);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_closed_fence_allows_nothing() {
        let fence = Fence::closed();
        assert!(!fence.may_write(Instant::now()));

        let start = Instant::now();
        fence.open_until(after(start, 1));
        assert!(fence.may_write(start));

        fence.close();
        assert!(!fence.may_write(start));
    }

    #[test]
    fn writing_ends_two_thirds_of_a_lease_after_the_answered_heartbeat_was_sent() {
        // given a stream whose second heartbeat is answered late
        let start = Instant::now();
        let fence = Fence::closed();
        let mut heartbeats = Heartbeats::new(LEASE, start);
        assert_eq!(heartbeats.due_at(), after(start, 3));
        assert_eq!(heartbeats.send(after(start, 3)), 1);
        assert_eq!(heartbeats.send(after(start, 6)), 2);

        // when the first one is answered
        heartbeats.answered(1);
        fence.open_until(heartbeats.writes_until());

        // then its sending counts, not its answer
        assert!(fence.may_write(after(start, 8)));
        assert!(!fence.may_write(after(start, 9)));
        assert_eq!(heartbeats.lost_at(), after(start, 12));
    }

    #[test]
    fn an_answer_that_was_not_asked_for_prolongs_nothing() {
        let start = Instant::now();
        let mut heartbeats = Heartbeats::new(LEASE, start);
        heartbeats.send(after(start, 3));
        heartbeats.answered(7);
        assert_eq!(heartbeats.lost_at(), after(start, 9));
    }

    #[test]
    fn an_answer_stands_for_the_earlier_ones() {
        let start = Instant::now();
        let mut heartbeats = Heartbeats::new(LEASE, start);
        heartbeats.send(after(start, 3));
        heartbeats.send(after(start, 6));
        heartbeats.answered(2);
        heartbeats.answered(1);
        assert_eq!(heartbeats.lost_at(), after(start, 15));
    }
}
