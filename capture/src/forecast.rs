//! When a slot will be lost: how fast that is used up which may still be written before. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Number of looks that are compared: with the default of `source.slot_poll_ms`, the last minute.
const LOOKS_MAX: usize = 12;

/// What `safe_wal_size` was at each of the last looks at a slot.
#[derive(Debug, Default)]
pub struct Forecast {
    looks: VecDeque<(Instant, i64)>,
}

impl Forecast {
    /// Takes what PostgreSQL says now; `None` where nothing bounds the WAL that a slot keeps.
    pub fn look(&mut self, safe_wal_size: Option<i64>, now: Instant) {
        let Some(safe) = safe_wal_size else {
            self.looks.clear();
            return;
        };
        if self.looks.len() == LOOKS_MAX {
            self.looks.pop_front();
        }
        self.looks.push_back((now, safe));
    }

    /// Time until the slot is lost, if it goes on as it did; `None` when it is not in danger.
    #[must_use]
    pub fn time_to_loss(&self) -> Option<Duration> {
        let (&(from, before), &(to, left)) = (self.looks.front()?, self.looks.back()?);
        let Ok(left_bytes) = u64::try_from(left) else { return Some(Duration::ZERO) };
        let used = u64::try_from(before.saturating_sub(left)).ok().filter(|used| *used > 0)?;
        let seconds = to.duration_since(from).as_secs_f64() * (left_bytes as f64 / used as f64);
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the case is called, looks as seconds and bytes, and the seconds that are left.
    type Case = (&'static str, &'static [(u64, Option<i64>)], Option<u64>);

    #[test]
    fn the_time_left_follows_from_how_fast_it_is_used_up() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let cases: [Case; 7] = [
            ("nothing is known", &[], None),
            ("one look", &[(0, Some(1_000))], None),
            ("no bound", &[(0, Some(1_000)), (10, None)], None),
            ("100 bytes a second, 500 left", &[(0, Some(1_500)), (10, Some(500))], Some(5)),
            ("the slot follows", &[(0, Some(500)), (10, Some(500))], None),
            ("the slot catches up", &[(0, Some(500)), (10, Some(900))], None),
            ("nothing is left", &[(0, Some(-1))], Some(0)),
        ];
        for (case, looks, seconds) in cases {
            let mut forecast = Forecast::default();
            looks.iter().for_each(|&(second, safe)| forecast.look(safe, at(second)));
            assert_eq!(forecast.time_to_loss(), seconds.map(Duration::from_secs), "{case}");
        }
    }

    #[test]
    fn only_the_last_looks_count() {
        // given a burst, and then as many looks as are kept without any use
        let start = Instant::now();
        let mut forecast = Forecast::default();
        forecast.look(Some(10_000), start);
        for second in (1_u64..).take(LOOKS_MAX) {
            forecast.look(Some(10), start + Duration::from_secs(second));
        }
        // then the burst is forgotten
        assert_eq!(forecast.time_to_loss(), None);
    }
}
