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
}

impl Silence {
    /// There was an answer about an event, or there is nothing to be answered.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// So many events are with the sink.
    pub(super) fn follow(&mut self, in_flight: usize, now: Instant) {
        if in_flight > 0 {
            self.since.get_or_insert(now);
        }
    }

    /// The destination as a whole takes nothing now.
    pub(super) fn refused(&mut self, error: &SinkError, now: Instant) {
        self.since.get_or_insert(now);
        self.said = Some(error.to_string());
    }

    /// The sink is closed: what it said then was about that.
    pub(super) fn closed(&mut self) {
        self.said = None;
    }

    /// Why the destination counts as down: it is silent for longer than `timeout`.
    pub(super) fn why(&self, timeout: Duration, now: Instant) -> Option<&str> {
        let silent = now.saturating_duration_since(self.since?);
        (silent > timeout).then(|| self.said.as_deref().unwrap_or(SILENT))
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
        silence.follow(0, after(5));
        assert_eq!(silence.why(TIMEOUT, after(10)), None);
        assert_eq!(silence.why(TIMEOUT, after(11)), Some(SILENT));

        // when the destination says that it takes nothing, that is why
        silence.refused(&SinkError::about_connection("UNKNOWN_TOPIC", "it is gone"), after(8));
        assert_eq!(silence.why(TIMEOUT, after(11)), Some("UNKNOWN_TOPIC: it is gone"));

        // until it answers
        silence.end();
        silence.follow(1, after(12));
        assert_eq!(silence.why(TIMEOUT, after(13)), None);
        assert_eq!(silence.why(TIMEOUT, after(23)), Some(SILENT));
    }
}
