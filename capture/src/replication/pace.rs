//! How the stream comes: the walsender sends each row by itself, and to be woken for each would cost more than to decode it.
//! So while much comes bit by bit, the reader lets it come together.

use std::time::{Duration, Instant};

/// How long the reader waits before the next read, to let more come.
pub(super) const REST: Duration = Duration::from_millis(1);
/// Much is so many bytes within so long: 8 MB/s. Slower streams are read at once. Long enough that a reader which has to wait
/// for a processor does not take its stream for a slow one.
const MUCH_BYTES: usize = 128 << 10;
const WITHIN: Duration = Duration::from_millis(16);

/// What was read lately.
#[derive(Debug)]
pub(super) struct Pace {
    /// A read of fewer bytes took all that was there.
    little_bytes: usize,
    bytes: usize,
    /// When the first of these bytes were waited for.
    since: Instant,
    /// When much had come within the time.
    much_at: Option<Instant>,
    last_was_little: bool,
}

impl Pace {
    pub(super) fn new(little_bytes: usize, now: Instant) -> Self {
        Self { little_bytes, bytes: 0, since: now, much_at: None, last_was_little: false }
    }

    /// So many bytes were read.
    pub(super) fn read(&mut self, bytes: usize, now: Instant) {
        self.last_was_little = bytes < self.little_bytes;
        self.bytes += bytes;
        if self.bytes >= MUCH_BYTES {
            self.much_at = (now.saturating_duration_since(self.since) <= WITHIN).then_some(now);
            self.bytes = 0;
            self.since = now;
        }
    }

    /// Much comes, and there is little of it now.
    pub(super) fn may_rest(&self, now: Instant) -> bool {
        let is_high = self.much_at.is_some_and(|at| now.saturating_duration_since(at) <= WITHIN);
        is_high && self.last_was_little
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW_BYTES: usize = 1_000;

    #[test]
    fn a_slow_stream_is_read_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(2 * ROW_BYTES, start);
        for ms in 1..=1_000 {
            let now = start + Duration::from_millis(ms);
            for _ in 0..5 {
                pace.read(ROW_BYTES, now);
                assert!(!pace.may_rest(now), "after {ms} ms");
            }
        }
    }

    #[test]
    fn a_fast_one_rests_once_all_that_was_there_is_read_and_soon_no_more() {
        // given a stream of which much comes at once
        let start = Instant::now();
        let mut pace = Pace::new(2 * ROW_BYTES, start);
        pace.read(MUCH_BYTES, start);
        assert!(!pace.may_rest(start));

        // when the last of it is read
        pace.read(ROW_BYTES, start);

        // then there is time for more to come, unless none does
        assert!(pace.may_rest(start + WITHIN));
        assert!(!pace.may_rest(start + WITHIN + Duration::from_millis(1)));
    }
}
