//! A new redrive job, when there may be one.

use jiff::Timestamp;
use std::collections::BTreeMap;
use twinroute_common::dead_letter::Selection;
use uuid::Uuid;

use super::job::{Job, State};
use crate::refusal::{Kind, Refusal};

/// Most events that a job names: the job goes to each worker in one message, with 40 bytes for each.
const EVENTS_NAMED_MAX: usize = 10_000;

/// A new job.
///
/// # Errors
/// When one runs for the endpoint already, too many run, or the selection is too long.
pub fn start(
    running: &[Job],
    selection: Selection,
    events_per_second_max: u32,
    jobs_max: usize,
    now: Timestamp,
) -> Result<Job, Refusal> {
    let named = selection.events_named();
    if named > EVENTS_NAMED_MAX {
        let reason = format!(
            "has {named} entries; a job takes at most {EVENTS_NAMED_MAX}: start several, or select by time"
        );
        return Err(Refusal::field("selection.event_ids", reason));
    }
    if let Some(job) = running.iter().find(|job| job.selection.endpoint == selection.endpoint) {
        return Err(Refusal::Precondition(format!(
            "the redrive job `{}` runs for the endpoint `{}`: wait for its end (GetRedrive), or end it with CancelRedrive",
            job.id, selection.endpoint
        )));
    }
    if running.len() >= jobs_max {
        let key = "limits.redrive_jobs_max";
        return Err(Refusal::TooMany { kind: Kind::RedriveJob, max: jobs_max, key });
    }
    Ok(Job {
        id: Uuid::new_v4(),
        selection,
        events_per_second_max,
        state: State::Running,
        delivered: 0,
        failed: 0,
        last_error: String::new(),
        finished: BTreeMap::new(),
        create_time: now,
        end_time: None,
    })
}
