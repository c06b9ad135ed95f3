//! The state of an endpoint, from what its sink and its lane say.

use std::time::SystemTime;

use tracing::{info, warn};

use crate::sink::Reachability;

/// State of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The destination has not answered yet.
    Connecting,
    /// It takes what it is sent.
    Healthy,
    /// It answers, and refuses something.
    Degraded,
    /// It does not answer, or its sink cannot be started.
    Down,
}

impl State {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Connecting, Self::Healthy, Self::Degraded, Self::Down];

    /// Name, as metrics show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// Follows the state of one endpoint.
#[derive(Debug)]
pub(super) struct Health {
    endpoint: String,
    pub(super) state: State,
    pub(super) since: SystemTime,
    pub(super) last_error: String,
}

impl Health {
    pub(super) fn new(endpoint: &str, now: SystemTime) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            state: State::Connecting,
            since: now,
            last_error: String::new(),
        }
    }

    /// An event was refused.
    pub(super) fn refused(&mut self, error: &dyn std::fmt::Display) {
        self.last_error = error.to_string();
    }

    /// Derives the state: `refused` is why there is no sink, `has_setbacks` that something waits after a refusal.
    pub(super) fn see(
        &mut self,
        reachability: &Reachability,
        refused: Option<&str>,
        has_setbacks: bool,
        now: SystemTime,
    ) {
        let state = match (refused, reachability) {
            (Some(why), _) => self.down(why),
            (None, Reachability::Unreachable(why)) => self.down(why),
            (None, Reachability::Connecting) => State::Connecting,
            (None, Reachability::Connected) if has_setbacks => State::Degraded,
            (None, Reachability::Connected) => State::Healthy,
        };
        if state != self.state {
            self.tell(state);
            self.state = state;
            self.since = now;
        }
    }

    fn down(&mut self, why: &str) -> State {
        if self.last_error != why {
            why.clone_into(&mut self.last_error);
        }
        State::Down
    }

    /// One line when the destination is lost, and one when it is back; refusals have lines of their own.
    fn tell(&self, state: State) {
        let endpoint = &*self.endpoint;
        match (self.state, state) {
            (_, State::Down) => warn!(endpoint, "endpoint is down: {}; its events wait", self.last_error),
            (State::Down, State::Healthy | State::Degraded) => info!(endpoint, "endpoint is back"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_state_follows_the_sink_and_the_lane() {
        let start = SystemTime::UNIX_EPOCH;
        let at = |second| start + Duration::from_secs(second);
        let mut health = Health::new("kafka-events", start);

        health.see(&Reachability::Connected, None, false, at(1));
        assert_eq!((health.state, health.since), (State::Healthy, at(1)));

        // an event is refused: degraded, with the reason
        health.refused(&"MSG_SIZE_TOO_LARGE: too large");
        health.see(&Reachability::Connected, None, true, at(2));
        assert_eq!((health.state, health.since), (State::Degraded, at(2)));
        assert_eq!(health.last_error, "MSG_SIZE_TOO_LARGE: too large");

        // the same again: since when does not move
        health.see(&Reachability::Connected, None, true, at(3));
        assert_eq!(health.since, at(2));

        // the destination is lost, then no sink can be started: down, with the latest reason
        health.see(&Reachability::Unreachable("connection refused".to_owned()), None, true, at(4));
        health.see(&Reachability::Connecting, Some("no such file"), true, at(5));
        assert_eq!((health.state, health.since), (State::Down, at(4)));
        assert_eq!(health.last_error, "no such file");
    }
}
