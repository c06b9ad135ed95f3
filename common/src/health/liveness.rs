//! The sign of life of a process's main loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A beat that has not happened yet.
const NEVER: u64 = u64::MAX;

/// Beats while the main loop goes round. Clones are the same sign of life.
#[derive(Clone, Debug)]
pub struct Liveness {
    deadline: Duration,
    start: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Liveness {
    pub(super) fn new(deadline: Duration) -> Self {
        Self { deadline, start: Instant::now(), last_ms: Arc::new(AtomicU64::new(NEVER)) }
    }

    /// The loop is alive now. From the first beat on it must beat at least every [`Liveness::interval`].
    pub fn beat(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// How often to beat: a third of the deadline, so that one late beat does no harm.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.deadline / 3
    }

    /// How long the loop has been silent beyond its deadline's length; `None` while it is live.
    #[must_use]
    pub fn silent_for(&self) -> Option<Duration> {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let silent = Duration::from_millis(self.now_ms().saturating_sub(last_ms));
        (last_ms != NEVER && silent > self.deadline).then_some(silent)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_live_until_it_misses_its_deadline() {
        let liveness = Liveness::new(Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(liveness.silent_for(), None, "a loop that has not begun cannot be stuck");
        liveness.beat();
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(liveness.silent_for(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(liveness.silent_for(), Some(Duration::from_secs(11)));
        liveness.beat();
        assert_eq!(liveness.silent_for(), None);
    }
}
