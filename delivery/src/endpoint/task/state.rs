//! How the endpoint is: followed after every step, and shown.

use std::time::{Instant, SystemTime};

use tracing::warn;

use super::Task;
use super::wait::now;
use crate::backlog::shelf::Trouble;
use crate::endpoint::State;
use crate::endpoint::parking::Parkings;
use crate::endpoint::report::EndpointReport;
use crate::sink::Reachability;

impl Task {
    pub(super) fn follow_state(&mut self, now: Instant) {
        let reachability = match &self.sink {
            Some(sink) => sink.reachability.borrow().clone(),
            None => Reachability::Connecting,
        };
        let before = self.health.state;
        self.silence.follow(self.lane.in_flight(), now);
        match &reachability {
            Reachability::Unreachable(why) => self.diversion.trip(why),
            // There is nothing to try it with.
            Reachability::Connected
                if self.lane.is_empty()
                    && self.parking.is_empty()
                    && !self.silence.is_fresh(self.context.settings.answer_timeout(), now) =>
            {
                self.silence.end();
                self.diversion.answered();
            }
            Reachability::Connected => {
                if let Some(why) = self.silence.why(self.context.settings.answer_timeout(), now) {
                    self.diversion.trip(why);
                }
            }
            Reachability::Connecting => {}
        }
        if let Some(why) = &self.refused {
            self.diversion.trip(why);
        }
        let reachability = match self.diversion.tripped() {
            Some(why) => Reachability::Unreachable(why.to_owned()),
            None => reachability,
        };
        let refused = self.refused.as_deref();
        let damaged = self.trouble.as_ref().filter(|trouble| matches!(trouble, Trouble::Damaged(_)));
        let damaged = damaged.map(ToString::to_string);
        let has_setbacks = self.lane.has_setbacks() || self.trouble.is_some();
        self.health.see(&reachability, refused.or(damaged.as_deref()), has_setbacks, SystemTime::now());
        let is_told = self.report.borrow().refused.as_deref() == refused && !self.is_known_now();
        if self.health.state != before || !is_told {
            self.report_numbers();
        }
    }

    /// All that is parked is looked through, and was not when that was last reported.
    fn is_known_now(&self) -> bool {
        self.report.borrow().is_unknown && !self.parking.is_unknown()
    }

    /// The backlog is full since the destination is down, and it matters more why that is.
    fn is_full_while_down(&self, trouble: &Trouble) -> bool {
        matches!(trouble, Trouble::Full { .. }) && self.health.state == State::Down
    }

    pub(super) fn report_numbers(&mut self) {
        let Parkings { stock, oldest, is_complete, damaged, damaged_count, trouble } = self.parking.look();
        // What is redriven stands in no segment.
        let is_known = is_complete && self.redriving.in_lane() == 0;
        if let Some(sink) = self.sink.as_ref().filter(|_| is_known) {
            sink.cleared_until.send_replace(oldest.unwrap_or_else(now));
        }
        let trouble = trouble.or_else(|| self.full());
        if let Some(trouble) = &trouble {
            if !self.is_full_while_down(trouble) {
                self.health.refused(trouble);
            }
            if self.trouble.as_ref() != Some(trouble) {
                warn!(endpoint = %self.endpoint.name, "{trouble}");
            }
        }
        self.trouble = trouble;
        // What is redriven has its letter: it is no backlog.
        let in_lane = self.lane.len().saturating_sub(self.redriving.in_lane());
        let report = EndpointReport {
            state: self.health.state,
            since: self.health.since,
            last_error: match &self.trouble {
                Some(full) if self.is_full_while_down(full) => format!("{}; {full}", self.health.last_error),
                _ => self.health.last_error.clone(),
            },
            refused: self.refused.clone(),
            undelivered: in_lane as u64 + stock.unread_events + stock.waiting_events,
            oldest: self.lane.oldest().into_iter().chain(oldest).min(),
            parked_events: stock.unread_events,
            parked_bytes: stock.bytes,
            is_unknown: self.parking.is_unknown(),
            damaged_segments: damaged,
            damaged_count,
        };
        self.counters.show(&report, self.lane.blocked_partitions().len(), now());
        self.report.send_replace(report);
    }
}
