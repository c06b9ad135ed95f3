//! How long to wait before the next attempt: exponential, with full jitter.
//!
//! Full jitter, a uniform choice between zero and the bound, spreads many clients best
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// The delays between attempts. The bound starts at `initial` and doubles up to `max`.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    bound: Duration,
    random: u64,
}

impl Backoff {
    /// Delays up to `initial` at first, up to `max` in the end.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self::seeded(initial, max, RandomState::new().build_hasher().finish())
    }

    /// The same delays for the same seed.
    #[must_use]
    pub fn seeded(initial: Duration, max: Duration, seed: u64) -> Self {
        let initial = initial.min(max);
        Self { initial, max, bound: initial, random: seed }
    }

    /// The delay before the next attempt.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that never ends would hand out options for nothing"
    )]
    pub fn next(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = bound.saturating_mul(2).min(self.max);
        let bound_ns = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        // The high half of a 64 by 64 bit product is uniform below the bound.
        let scaled = (u128::from(self.random()) * u128::from(bound_ns)) >> 64;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// An attempt succeeded: the next failure begins anew.
    pub fn reset(&mut self) {
        self.bound = self.initial;
    }

    /// An attempt succeeded and its success has lasted so long: the next failure begins anew, unless it ended so soon
    /// that this would try again and again without a pause.
    pub fn lasted(&mut self, time: Duration) {
        if time >= self.max {
            self.reset();
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): small, and any seed will do.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Duration = Duration::from_millis(200);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn delays_stay_below_a_bound_that_doubles_up_to_the_maximum() {
        for seed in 0..1_000 {
            let mut backoff = Backoff::seeded(INITIAL, MAX, seed);
            for attempt in 0..12 {
                let bound = INITIAL.saturating_mul(1 << attempt).min(MAX);
                assert!(backoff.next() <= bound, "seed {seed}, attempt {attempt}");
            }
        }
    }

    #[test]
    fn delays_spread_over_the_whole_range() {
        let firsts: Vec<Duration> =
            (0..1_000).map(|seed| Backoff::seeded(INITIAL, MAX, seed).next()).collect();
        let mean = firsts.iter().sum::<Duration>() / 1_000;
        assert!(mean > INITIAL.mul_f64(0.45) && mean < INITIAL.mul_f64(0.55), "{mean:?}");
    }

    #[test]
    fn a_success_that_ends_at_once_does_not_start_anew_and_one_that_lasts_does() {
        let mut backoff = Backoff::seeded(INITIAL, MAX, 1);
        for _ in 0..12 {
            backoff.next();
        }
        backoff.lasted(MAX.mul_f64(0.9));
        assert_eq!(backoff.bound, MAX);
        backoff.lasted(MAX);
        assert_eq!(backoff.bound, INITIAL);
    }

    #[test]
    fn success_starts_anew_and_a_seed_repeats_itself() {
        let mut backoff = Backoff::seeded(INITIAL, MAX, 1);
        let again: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        backoff.reset();
        assert!(backoff.next() <= INITIAL);
        let mut same = Backoff::seeded(INITIAL, MAX, 1);
        assert_eq!((0..20).map(|_| same.next()).collect::<Vec<_>>(), again);
    }
}
