//! Frames from workers: what is right is noted, what is wrong ends the stream with the reason.

use jiff::Timestamp;
use std::time::Duration;
use tonic::Status;
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::watch_routes_request::Frame;

use super::reporter::Reporter;
use crate::catalog::Catalog;
use crate::redrive::Report;
use crate::workers::{Connection, DamagedSegment, EndpointReport};

/// Longest name of a worker, in bytes.
const WORKER_ID_BYTES_MAX: usize = 200;
/// Damaged segments of an endpoint that are kept of one worker's report.
const DAMAGED_MAX: usize = 100;
/// Longest name of a segment's object, in bytes; stores allow 1,024.
const OBJECT_BYTES_MAX: usize = 1_000;

/// Takes one frame after Hello. `sent` is the version of the last table or delta that was sent.
pub(super) fn take(
    frame: proto::WatchRoutesRequest,
    sent: u64,
    catalog: &Catalog,
    connection: &Connection,
    reporter: &Reporter,
) -> Result<(), Status> {
    match frame.frame {
        None => Err(wrong("a frame is empty, or of a kind that this version does not know".to_owned())),
        Some(Frame::Hello(_)) => Err(wrong("Hello came twice".to_owned())),
        Some(Frame::Applied(applied)) => {
            check_version("Applied", applied.version, sent)?;
            connection.applied(applied.version);
            Ok(())
        }
        Some(Frame::Rejected(rejected)) => {
            check_version("Rejected", rejected.version, sent)?;
            let resource = rejected.resource;
            if !resource.starts_with("endpoints/") && !resource.starts_with("routes/") {
                return Err(wrong(format!(
                    "Rejected names `{resource}`; write endpoints/NAME or routes/NAME"
                )));
            }
            // One that is gone meanwhile is nobody's concern.
            if changed_at(catalog, &resource).is_some_and(|version| version <= rejected.version) {
                connection.refused(resource, rejected.version, &rejected.reason);
            }
            Ok(())
        }
        Some(Frame::EndpointStatus(status)) => {
            let (name, report) = read_status(status)?;
            if catalog.endpoints.contains_key(&name) {
                connection.endpoint(name, report);
            }
            Ok(())
        }
        Some(Frame::RedriveReport(report)) => {
            let report = Report::try_from(report);
            reporter.take(report.map_err(|violations| wrong(format!("RedriveReport: {violations}")))?)
        }
    }
}

/// The version that brought a resource's present form; `None` when there is no such resource.
pub(super) fn changed_at(catalog: &Catalog, resource: &str) -> Option<u64> {
    let endpoint = |name: &str| catalog.endpoints.get(name).map(|entry| entry.version);
    let route = |name: &str| catalog.routes.get(name).map(|entry| entry.version);
    match resource.split_once('/')? {
        ("endpoints", name) => endpoint(name),
        ("routes", name) => route(name),
        _ => None,
    }
}

/// Checks the name that a worker gives itself.
pub(super) fn check_worker_id(worker_id: &str) -> Result<(), Status> {
    let fits =
        (1..=WORKER_ID_BYTES_MAX).contains(&worker_id.len()) && !worker_id.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(wrong(format!("Hello.worker_id must be 1 to {WORKER_ID_BYTES_MAX} printable bytes")))
    }
}

fn check_version(frame: &str, version: u64, sent: u64) -> Result<(), Status> {
    if version == 0 || version > sent {
        return Err(wrong(format!("{frame} is about version {version}, and the last one sent is {sent}")));
    }
    Ok(())
}

fn read_status(status: proto::EndpointStatus) -> Result<(String, EndpointReport), Status> {
    let health = proto::EndpointHealth::try_from(status.health).ok();
    let health = health.filter(|health| *health != proto::EndpointHealth::Unspecified).ok_or_else(|| {
        let (name, health) = (&status.endpoint_name, status.health);
        wrong(format!("EndpointStatus of `{name}` has health {health}, which this version does not know"))
    })?;
    let since = status.since.map(|since| Timestamp::new(since.seconds, since.nanos)).transpose();
    let since = since.map_err(|_| wrong("EndpointStatus.since is no time".to_owned()))?;
    let backlog_age = status.backlog_age.map(Duration::try_from).transpose();
    let backlog_age = backlog_age.map_err(|_| wrong("EndpointStatus.backlog_age is negative".to_owned()))?;
    let damaged = status.damaged_segments.into_iter().take(DAMAGED_MAX).map(read_damaged);
    let report = EndpointReport {
        health,
        last_error: status.last_error,
        since,
        backlog_events: status.backlog_events,
        backlog_bytes: status.backlog_bytes,
        backlog_age,
        parked_events: status.parked_events,
        backlog_unknown: status.backlog_unknown,
        damaged: damaged.collect::<Result<_, _>>()?,
    };
    Ok((status.endpoint_name, report))
}

fn read_damaged(segment: proto::BacklogSegment) -> Result<DamagedSegment, Status> {
    let bytes = segment.object_name.len();
    if !(1..=OBJECT_BYTES_MAX).contains(&bytes) {
        let field = "EndpointStatus.damaged_segments.object_name";
        return Err(wrong(format!("{field} has {bytes} bytes; it must have 1 to {OBJECT_BYTES_MAX}")));
    }
    Ok(DamagedSegment {
        object: segment.object_name,
        partition: segment.partition,
        events: segment.events,
        error: segment.error,
    })
}

fn wrong(reason: String) -> Status {
    Status::invalid_argument(reason)
}
