//! The gate of a lane: while a destination cannot be reached, only one delivery at a time tries whether it can.

use std::time::Instant;

use twinroute_common::backoff::Backoff;

#[derive(Debug)]
pub(super) struct Gate {
    state: State,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    /// Nothing is handed over until then.
    Shut(Instant),
    /// One delivery tries.
    Trying,
}

impl Gate {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { state: State::Open, backoff }
    }

    /// A delivery may be handed over at `now` while `open` others are with the sink.
    pub(super) fn may_send(&mut self, now: Instant, open: usize) -> bool {
        if let State::Shut(until) = self.state
            && until <= now
        {
            self.state = State::Trying;
        }
        match self.state {
            State::Open => true,
            State::Shut(_) => false,
            State::Trying => open == 0,
        }
    }

    pub(super) fn opens_at(&self) -> Option<Instant> {
        match self.state {
            State::Shut(until) => Some(until),
            State::Open | State::Trying => None,
        }
    }

    /// The destination answered, whatever it said.
    pub(super) fn answered(&mut self) {
        if !matches!(self.state, State::Open) {
            self.state = State::Open;
            self.backoff.reset();
        }
    }

    /// The destination did not answer.
    pub(super) fn unreachable(&mut self, now: Instant) {
        if !matches!(self.state, State::Shut(_)) {
            self.state = State::Shut(now + self.backoff.next());
        }
    }

    /// The destination answered that it got too much at once: smaller batches are worth an attempt soon.
    pub(super) fn got_too_much(&mut self, now: Instant) {
        self.backoff.reset();
        self.unreachable(now);
    }

    /// There is reason to believe that it answers now.
    pub(super) fn try_now(&mut self) {
        if matches!(self.state, State::Shut(_)) {
            self.state = State::Trying;
        }
    }
}
