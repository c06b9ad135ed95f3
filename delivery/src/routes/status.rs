//! What routes-api is told of the endpoints, and when: changes at once, everything on an interval.

use std::time::{Duration, Instant, SystemTime};

use hashbrown::HashMap;
use twinroute_common::matching::EndpointName;
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::watch_routes_request::Frame;

use crate::backlog::shelf::Damaged;
use crate::endpoint::{EndpointReport, State};
use crate::routing::Routing;

/// What was told on one stream.
#[derive(Debug)]
pub(super) struct Statuses {
    interval: Duration,
    told: HashMap<EndpointName, Told>,
}

#[derive(Debug)]
struct Told {
    state: State,
    refused: Option<String>,
    damaged: Vec<Damaged>,
    is_unknown: bool,
    at: Instant,
}

impl Statuses {
    /// Nothing was told yet.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, told: HashMap::new() }
    }

    /// What is to be told now.
    pub(super) fn due(&mut self, routing: &Routing, poison: Option<&str>, now: Instant) -> Vec<Frame> {
        self.told.retain(|name, _| routing.endpoints.contains_key(name));
        let mut frames = Vec::new();
        for endpoint in routing.endpoints.values() {
            let mut report = endpoint.report().borrow().clone();
            if let Some(poison) = poison
                && report.state == State::Healthy
            {
                report.state = State::Degraded;
                poison.clone_into(&mut report.last_error);
            }
            self.tell(endpoint.name(), routing.version, report, now, &mut frames);
        }
        frames
    }

    fn tell(
        &mut self,
        name: &EndpointName,
        version: u64,
        report: EndpointReport,
        now: Instant,
        frames: &mut Vec<Frame>,
    ) {
        let before = self.told.get(name);
        let refused_before = before.and_then(|told| told.refused.as_ref());
        if let Some(reason) = &report.refused
            && refused_before != Some(reason)
        {
            let resource = format!("endpoints/{name}");
            frames.push(Frame::Rejected(proto::Rejected { version, resource, reason: reason.clone() }));
        }
        let unchanged = before.is_some_and(|told| {
            told.state == report.state
                && told.refused == report.refused
                && told.damaged == report.damaged_segments
                && told.is_unknown == report.is_unknown
                && now.saturating_duration_since(told.at) < self.interval
        });
        if unchanged {
            return;
        }
        let told = Told {
            state: report.state,
            refused: report.refused.clone(),
            damaged: report.damaged_segments.clone(),
            is_unknown: report.is_unknown,
            at: now,
        };
        self.told.insert(EndpointName::clone(name), told);
        frames.push(Frame::EndpointStatus(to_wire(name, report, now)));
    }
}

fn to_wire(name: &str, report: EndpointReport, now: Instant) -> proto::EndpointStatus {
    let health = match report.state {
        State::Connecting => proto::EndpointHealth::Connecting,
        State::Healthy => proto::EndpointHealth::Healthy,
        State::Degraded => proto::EndpointHealth::Degraded,
        State::Down => proto::EndpointHealth::Down,
    };
    let age = report.oldest.map(|oldest| now.saturating_duration_since(oldest));
    proto::EndpointStatus {
        endpoint_name: name.to_owned(),
        health: health.into(),
        last_error: report.last_error,
        since: Some(timestamp(report.since)),
        backlog_events: report.undelivered,
        backlog_bytes: report.parked_bytes,
        backlog_age: age.and_then(|age| prost_types::Duration::try_from(age).ok()),
        parked_events: report.parked_events,
        backlog_unknown: report.is_unknown,
        damaged_segments: report.damaged_segments.into_iter().map(segment_to_wire).collect(),
    }
}

fn segment_to_wire(Damaged { object, partition, events, damage }: Damaged) -> proto::BacklogSegment {
    proto::BacklogSegment { object_name: object, partition, events, error: damage.to_string() }
}

fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    time.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backlog::segment::Damage;

    fn report(state: State, refused: Option<&str>) -> EndpointReport {
        EndpointReport {
            state,
            since: SystemTime::UNIX_EPOCH,
            last_error: refused.unwrap_or_default().to_owned(),
            refused: refused.map(ToOwned::to_owned),
            undelivered: 3,
            oldest: None,
            parked_events: 0,
            parked_bytes: 0,
            is_unknown: false,
            damaged_segments: Vec::new(),
            damaged_count: 0,
        }
    }

    fn tell(statuses: &mut Statuses, report: EndpointReport, now: Instant) -> Vec<Frame> {
        let mut frames = Vec::new();
        statuses.tell(&"mqtt-events".into(), 7, report, now, &mut frames);
        frames
    }

    #[test]
    fn a_change_is_told_at_once_and_the_rest_on_the_interval() {
        let start = Instant::now();
        let interval = Duration::from_secs(3);
        let mut statuses = Statuses::new(interval);
        assert_eq!(tell(&mut statuses, report(State::Connecting, None), start).len(), 1);
        assert_eq!(tell(&mut statuses, report(State::Connecting, None), start), []);
        assert_eq!(tell(&mut statuses, report(State::Healthy, None), start).len(), 1);
        assert_eq!(tell(&mut statuses, report(State::Healthy, None), start + interval).len(), 1);
    }

    #[test]
    fn a_segment_that_is_found_damaged_or_skipped_is_told_at_once() {
        let start = Instant::now();
        let mut statuses = Statuses::new(Duration::from_secs(3));
        let damaged = Damaged {
            object: "delivery/mqtt-events/00003/a.segment".to_owned(),
            partition: 3,
            events: 7,
            damage: Damage::Checksum,
        };
        let mut with_damage = report(State::Healthy, None);
        with_damage.damaged_segments.push(damaged);
        assert_eq!(tell(&mut statuses, report(State::Healthy, None), start).len(), 1);
        let told = tell(&mut statuses, with_damage.clone(), start);
        let [Frame::EndpointStatus(status)] = told.as_slice() else { panic!("{told:?}") };
        let expected = proto::BacklogSegment {
            object_name: "delivery/mqtt-events/00003/a.segment".to_owned(),
            partition: 3,
            events: 7,
            error: Damage::Checksum.to_string(),
        };
        assert_eq!(status.damaged_segments, [expected]);
        assert_eq!(tell(&mut statuses, with_damage, start), []);
        assert_eq!(tell(&mut statuses, report(State::Healthy, None), start).len(), 1);
    }

    #[test]
    fn a_sink_that_cannot_be_started_is_rejected_once() {
        let start = Instant::now();
        let mut statuses = Statuses::new(Duration::from_secs(3));
        let frames = tell(&mut statuses, report(State::Down, Some("no such file")), start);
        let rejected = Frame::Rejected(proto::Rejected {
            version: 7,
            resource: "endpoints/mqtt-events".to_owned(),
            reason: "no such file".to_owned(),
        });
        assert_eq!(frames.first(), Some(&rejected));
        assert_eq!(frames.len(), 2);
        assert_eq!(tell(&mut statuses, report(State::Down, Some("no such file")), start), []);
    }
}
