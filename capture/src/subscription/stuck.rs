//! Whether a consumer is stuck: it acknowledges nothing of what it has in hand, while others acknowledge theirs.

use std::time::{Duration, Instant};

/// How long others have acknowledged while one consumer did not.
///
/// What nobody acknowledges tells nothing: all may wait for the same sink. So time counts only from one ack of others to
/// their next, and a pause of theirs as long as the bound starts it anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OthersAcks {
    /// The first and the last ack of others.
    span: Option<(Instant, Instant)>,
}

impl OthersAcks {
    /// Another consumer has acknowledged something.
    pub(super) fn note(&mut self, now: Instant, pause_max: Duration) {
        let went_on = |&(_, last): &(Instant, Instant)| now.saturating_duration_since(last) < pause_max;
        let first = self.span.filter(went_on).map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    /// From their first ack to their last.
    pub(super) fn lasted(self) -> Duration {
        self.span.map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    fn lasted(acks_at_s: &[u64]) -> u64 {
        let (start, mut others) = (Instant::now(), OthersAcks::default());
        for &at_s in acks_at_s {
            others.note(start + Duration::from_secs(at_s), BOUND);
        }
        others.lasted().as_secs()
    }

    #[test]
    fn only_the_time_in_which_others_acknowledge_counts() {
        assert_eq!(lasted(&[]), 0);
        assert_eq!(lasted(&[100]), 0);
        assert_eq!(lasted(&[0, 5, 12]), 12);
        // An outage for all, after which one of them is the first to go on.
        assert_eq!(lasted(&[0, 5, 3_600]), 0);
        assert_eq!(lasted(&[0, 5, 3_600, 3_603]), 3);
    }
}
