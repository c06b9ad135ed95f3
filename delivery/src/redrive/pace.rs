//! How fast a worker sends dead letters again: its share of what the job allows.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// Says when the next event may be sent.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next_at: Instant,
}

impl Pace {
    /// `per_second` over all workers, of which this one takes as large a part as it holds of all partitions.
    pub(super) fn new(per_second: Option<NonZeroU32>, held: usize, partition_count: u32) -> Self {
        let interval = match per_second {
            None => Duration::ZERO,
            Some(per_second) => {
                let share = held.max(1) as f64 / f64::from(partition_count.max(1));
                Duration::from_secs_f64(1.0 / (f64::from(per_second.get()) * share))
            }
        };
        Self { interval, next_at: Instant::now() }
    }

    /// Waits until the next event may be sent. What was not used before is not made up for.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep_until(self.next_at).await;
        self.next_at = Instant::now() + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_takes_its_share() {
        for (per_second, held, expected) in [(10, 4, 1.0), (10, 2, 2.0), (0, 1, 0.0)] {
            let started = Instant::now();
            let mut pace = Pace::new(NonZeroU32::new(per_second), held, 4);
            for _ in 0..11 {
                pace.wait().await;
            }
            let seconds = started.elapsed().as_secs_f64();
            assert!((expected..expected + 0.1).contains(&seconds), "{per_second} {held}: {seconds}");
        }
    }
}
