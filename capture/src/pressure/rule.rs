//! When guests may read, pause, or let go. Pure: the time is a parameter.

use std::time::{Duration, Instant};

use twinroute_common::memory::Mark;

/// Time that a pause may last before somebody lets go: what guests hold comes back within it where consumers acknowledge.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Time between two who let go: what the first one held is returned within it.
const BETWEEN: Duration = Duration::from_millis(100);

/// What guests are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Read.
    Read,
    /// Keep what they have, and read no more.
    Pause,
    /// The same, and the one that holds the most lets go of it.
    LetGo,
}

/// Judges by what is resident, of `bytes_max`.
#[derive(Debug)]
pub(super) struct Rule {
    half: Mark,
    three_quarters: u64,
    /// Since when guests pause, or since the last one let go.
    paused: Option<Instant>,
    let_go: Option<Instant>,
}

impl Rule {
    pub(super) fn new(bytes_max: u64) -> Self {
        let half = Mark::at_sixteenths(8, bytes_max);
        Self { half, three_quarters: bytes_max / 16 * 12, paused: None, let_go: None }
    }

    /// Guests pause at ½, since the configured subscription may need the other one at once, and read again below 7/16. At ¾, or after [`PAUSE_MAX`], one lets go.
    pub(super) fn judge(&mut self, resident: u64, now: Instant) -> Verdict {
        if !self.half.is_over(resident) {
            self.paused = None;
            return Verdict::Read;
        }
        let paused = *self.paused.get_or_insert(now);
        let is_short = resident >= self.three_quarters || now.duration_since(paused) >= PAUSE_MAX;
        let is_too_soon = self.let_go.is_some_and(|last| now.duration_since(last) < BETWEEN);
        if !is_short || is_too_soon {
            return Verdict::Pause;
        }
        self.paused = Some(now);
        self.let_go = Some(now);
        Verdict::LetGo
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a rule for 16 units says to each amount, at the millisecond.
    fn said(looks: &[(u64, u64)]) -> Vec<Verdict> {
        let mut rule = Rule::new(16);
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        looks.iter().map(|(ms, resident)| rule.judge(*resident, at(*ms))).collect()
    }

    #[test]
    fn guests_pause_at_a_half_and_read_again_somewhat_below() {
        use Verdict::{Pause, Read};
        let said = said(&[(0, 7), (1, 8), (2, 7), (3, 6), (4, 7)]);
        assert_eq!(said, [Read, Pause, Pause, Read, Read]);
    }

    #[test]
    fn one_lets_go_at_three_quarters_and_the_next_when_that_did_not_help() {
        use Verdict::{LetGo, Pause};
        let said = said(&[(0, 12), (20, 15), (99, 15), (100, 12), (120, 11)]);
        assert_eq!(said, [LetGo, Pause, Pause, LetGo, Pause]);
    }

    #[test]
    fn a_pause_that_lasts_ends_with_one_who_lets_go() {
        use Verdict::{LetGo, Pause};
        let said = said(&[(0, 8), (1_999, 8), (2_000, 8), (3_999, 8), (4_000, 8)]);
        assert_eq!(said, [Pause, Pause, LetGo, Pause, LetGo]);
    }
}
