//! Endpoints, routes, dead letters, redrive jobs and backlogs as the API shows them: secrets redacted, with what the server knows of them.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use twinroute_common::dead_letter::LetterHead;
use twinroute_common::route::{Endpoint, EventRoute};
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use crate::catalog::{Entry, Origin};
use crate::decide::redact;
use crate::redrive::{Failure, Job, State};
use crate::workers::{Backlog, DamagedSegment, EndpointSummary, RouteSummary};

/// An endpoint, and what the workers say of it.
#[must_use]
pub fn endpoint(entry: &Entry<Endpoint>, summary: EndpointSummary) -> proto::Endpoint {
    let mut shown = proto::Endpoint::from(&entry.resource);
    redact(&mut shown);
    shown.state = Some(proto::EndpointState {
        health: summary.health.into(),
        last_error: summary.last_error,
        since: summary.since.map(time),
        backlog_events: summary.backlog_events,
        backlog_bytes: summary.backlog_bytes,
        backlog_age: summary.backlog_age.and_then(duration),
        workers: summary.workers,
    });
    shown.etag = entry.etag();
    shown.file_managed = matches!(entry.origin, Origin::File(_));
    shown.create_time = Some(time(entry.create_time));
    shown.update_time = Some(time(entry.update_time));
    shown
}

/// A route, and what the workers say of it.
#[must_use]
pub fn route(entry: &Entry<EventRoute>, summary: RouteSummary) -> proto::EventRoute {
    let mut shown = proto::EventRoute::from(&entry.resource);
    shown.state = Some(proto::EventRouteState {
        workers_applied: summary.workers_applied,
        workers_connected: summary.workers_connected,
        last_error: summary.last_error,
    });
    shown.etag = entry.etag();
    shown.file_managed = matches!(entry.origin, Origin::File(_));
    shown.create_time = Some(time(entry.create_time));
    shown.update_time = Some(time(entry.update_time));
    shown
}

/// A dead letter; times that cannot be read are left out.
#[must_use]
pub fn letter(endpoint_name: &str, event_id: Uuid, head: LetterHead, content: Bytes) -> proto::DeadLetter {
    let read = |text: &str| text.parse().ok().map(time);
    proto::DeadLetter {
        endpoint_name: endpoint_name.to_owned(),
        event_id: event_id.to_string(),
        event_time: read(&head.time),
        dead_letter_time: read(&head.dead_letter_time),
        event_type: head.event_type,
        subject: head.subject,
        reason: head.reason,
        code: head.code,
        attempts: head.attempts,
        content,
    }
}

/// A redrive job, and those of its failures that are to be shown.
#[must_use]
pub fn job(job: &Job, failures: Vec<Failure>) -> proto::RedriveJob {
    let failed = |failure: Failure| proto::RedriveOutcome {
        event_id: failure.event_id.to_string(),
        delivered: false,
        reason: failure.reason,
    };
    proto::RedriveJob {
        id: job.id.to_string(),
        selection: Some((&job.selection).into()),
        events_per_second_max: job.events_per_second_max,
        state: redrive_state(job.state).into(),
        delivered: job.delivered,
        failed: job.failed,
        last_error: job.last_error.clone(),
        create_time: Some(time(job.create_time)),
        end_time: job.end_time.map(time),
        failures: failures.into_iter().map(failed).collect(),
    }
}

/// The state of a redrive job.
#[must_use]
pub fn redrive_state(state: State) -> proto::RedriveState {
    match state {
        State::Running => proto::RedriveState::Running,
        State::Done => proto::RedriveState::Done,
        State::Failed => proto::RedriveState::Failed,
        State::Cancelled => proto::RedriveState::Cancelled,
    }
}

/// The parked backlog of an endpoint.
#[must_use]
pub fn backlog(backlog: Backlog) -> proto::GetBacklogResponse {
    let segment = |damaged: DamagedSegment| proto::BacklogSegment {
        object_name: damaged.object,
        partition: damaged.partition,
        events: damaged.events,
        error: damaged.error,
    };
    proto::GetBacklogResponse {
        events: backlog.events,
        bytes: backlog.bytes,
        damaged_segments: backlog.damaged.into_iter().map(segment).collect(),
    }
}

fn time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

fn duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}
