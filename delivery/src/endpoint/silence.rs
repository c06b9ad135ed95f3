//! Since when a destination has answered nothing about the events that it was sent.

use std::time::{Duration, Instant};

use crate::sink::SinkError;

/// What is said of a destination that is connected and does not answer.
const SILENT: &str = "the destination is connected, but has answered nothing for endpoint.answer_timeout_ms";

/// Follows how long nothing was said about any event. What is said about the destination as a whole ends no silence: one
/// that can be reached and takes nothing is as good as one that cannot.
#[derive(Debug, Default)]
pub(super) struct Silence {
    since: Option<Instant>,
    /// What was said meanwhile about the destination.
    said: Option<String>,
    /// When it became too long.
    too_long_at: Option<Instant>,
}

impl Silence {
    /// There was an answer about an event, or there is nothing to be answered.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// So many events are with the sink. While there are none and nothing was said, nothing can be answered.
    pub(super) fn follow(&mut self, in_flight: usize, now: Instant) {
        if in_flight > 0 {
            self.since.get_or_insert(now);
        } else if self.said.is_none() && self.too_long_at.is_none() {
            self.since = None;
        }
    }

    /// The destination as a whole takes nothing now. What was refused only because of another event says nothing of it.
    pub(super) fn refused(&mut self, error: &SinkError, now: Instant) {
        if error.is_consequence() {
            return;
        }
        self.since.get_or_insert(now);
        self.said = Some(error.to_string());
    }

    /// The sink is closed: what it said then was about that.
    pub(super) fn closed(&mut self) {
        self.said = None;
    }

    /// Why the destination counts as down: it is silent for longer than `timeout`.
    pub(super) fn why(&mut self, timeout: Duration, now: Instant) -> Option<&str> {
        let silent = now.saturating_duration_since(self.since?);
        if silent <= timeout {
            return None;
        }
        self.too_long_at.get_or_insert(now);
        Some(self.said.as_deref().unwrap_or(SILENT))
    }

    /// It has become too long, less than `timeout` ago: what is to be tried next may be on its way to the backlog still.
    pub(super) fn is_fresh(&self, timeout: Duration, now: Instant) -> bool {
        self.too_long_at.is_some_and(|at| now.saturating_duration_since(at) <= timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn only_an_answer_about_an_event_ends_it() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut silence = Silence::default();
        assert_eq!(silence.why(TIMEOUT, after(100)), None);

        // given something that is sent
        silence.follow(1, begin);
        assert_eq!(silence.why(TIMEOUT, after(10)), None);
        assert_eq!(silence.why(TIMEOUT, after(11)), Some(SILENT));
        assert!(silence.is_fresh(TIMEOUT, after(21)) && !silence.is_fresh(TIMEOUT, after(22)));

        // when the destination says that it takes nothing, that is why
        silence.refused(&SinkError::about_connection("UNKNOWN_TOPIC", "it is gone"), after(8));
        assert_eq!(silence.why(TIMEOUT, after(11)), Some("UNKNOWN_TOPIC: it is gone"));

        // until it answers
        silence.end();
        silence.follow(1, after(12));
        assert_eq!(silence.why(TIMEOUT, after(13)), None);
        assert_eq!(silence.why(TIMEOUT, after(23)), Some(SILENT));
    }

    #[test]
    fn where_nothing_can_be_answered_there_is_no_silence() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut silence = Silence::default();

        // given something that is sent and called back
        silence.follow(1, begin);
        silence.follow(0, after(5));
        assert_eq!(silence.why(TIMEOUT, after(20)), None);

        // and something that is refused because of another event
        silence.refused(&SinkError::behind_a_failure(), after(20));
        silence.follow(0, after(20));
        assert_eq!(silence.why(TIMEOUT, after(40)), None);
    }
}
