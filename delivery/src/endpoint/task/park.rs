//! When the task of an endpoint parks, and how the two ways of its events meet again.

use std::time::{Duration, Instant};

use tracing::info;
use twinroute_common::route::{Destination, Endpoint};

use super::Task;
use super::wait::now;
use crate::delivery::Origin;
use crate::endpoint::EndpointContext;
use crate::endpoint::parking::{Conditions, Parking};
use crate::holdings::Held;
use crate::metrics::EndpointCounters;
use crate::sink::Reachability;

/// Events wait for so long, while they are half of all that may be in the worker, until they count as too old: others need
/// the room.
const CROWDED_AGE: Duration = Duration::from_secs(2);

impl Task {
    /// Parks what came from the stream and is not delivered. What is with the sink is cut off, so that nothing newer of
    /// its key is parked before it.
    pub(super) async fn divert(&mut self, now: Instant) {
        if self.lane.has_stream_with_sink() {
            self.close_sink().await;
            self.start_sink();
        }
        let withdrawn = self.lane.withdraw(|delivery| matches!(delivery.origin, Origin::Stream(_)));
        if withdrawn.is_empty() {
            return;
        }
        info!(endpoint = %self.endpoint.name, events = withdrawn.len(), "events are parked");
        self.parking.put_back(withdrawn, now);
    }

    pub(super) fn is_diverted(&self, now: Instant) -> bool {
        self.parking.is_used() && (is_parked_always(&self.endpoint) || self.diversion.is_on(now))
    }

    pub(super) fn conditions(&self, now: Instant) -> Conditions {
        Conditions {
            diverted: self.is_diverted(now),
            // Only while there is something to try it with: what waits for a letter to be written, or for an operator, is not.
            tripped: self.diversion.tripped().is_some()
                && (self.lane.in_flight() > 0 || self.lane.is_ready()),
            gives_up: self.gives_up_overflow(),
            away: self.is_away(),
        }
    }

    /// The destination cannot be reached.
    pub(super) fn is_away(&self) -> bool {
        self.sink.as_ref().is_none_or(|sink| *sink.reachability.borrow() != Reachability::Connected)
    }

    /// Parked events that are settled make room on their shelves; items are acknowledged.
    pub(super) fn sort_settled(&mut self) {
        for origin in self.settled.drain(..) {
            match origin {
                Origin::Stream(item) => self.notices.push(item),
                Origin::Backlog(parked) => self.parking.delivered(parked),
                Origin::Redriven(redriven) => self.redriving.delivered(redriven),
            }
        }
    }

    pub(super) fn follow_partitions(&mut self) {
        let held = Held::clone(&self.held.borrow_and_update());
        self.parking.follow(&held);
        if !self.report.borrow().is_unknown && self.parking.is_unknown() {
            self.report_numbers();
        }
    }

    /// A destination that is too slow, or refuses one event for long, must not hold up what others wait for.
    pub(super) fn look_at_ages(&mut self) {
        let now = now();
        if let Some(oldest) = self.lane.oldest_of_stream() {
            let age = now.saturating_duration_since(oldest);
            let is_crowded = self.lane.of_stream() as u64 > self.context.credit_events_max / 2;
            if age >= self.endpoint.policy.park_after || (is_crowded && age >= CROWDED_AGE) {
                self.diversion.slow(now);
            }
        }
        self.give_back_redriven();
        self.report_numbers();
    }
}

/// Kusto likes few large blobs, which must not hold back acknowledgements: it is always delivered through the backlog.
pub(super) fn is_parked_always(endpoint: &Endpoint) -> bool {
    matches!(endpoint.destination, Destination::Kusto(_))
}

/// The parking of an endpoint.
pub(super) fn parking(
    endpoint: &Endpoint,
    context: &EndpointContext,
    counters: &EndpointCounters,
) -> Parking {
    let skipped_segments = counters.skipped_segments.clone();
    let mut parking =
        Parking::new(&endpoint.name, context.parking.clone(), &context.spaces, skipped_segments);
    limit(&mut parking, endpoint, context);
    parking
}

pub(super) fn limit(parking: &mut Parking, endpoint: &Endpoint, context: &EndpointContext) {
    // Two blobs, so that one is filled while the other is on its way.
    let read_bytes_max = is_parked_always(endpoint).then(|| context.kusto_blob_bytes_max.saturating_mul(2));
    parking.limit(endpoint.policy.parked_bytes_max, read_bytes_max);
}
