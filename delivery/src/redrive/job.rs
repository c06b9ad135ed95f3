//! A redrive job, as routes-api hands it out.

use std::num::NonZeroU32;
use std::sync::Arc;

use twinroute_common::dead_letter::Selection;
use twinroute_common::route::Violations;
use twinroute_proto::routes::v1 as proto;

/// A redrive job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Its id.
    pub(super) id: Arc<str>,
    /// Which letters are sent again.
    pub(super) selection: Selection,
    /// Largest number of events a second over all workers; `None` for no bound.
    pub(super) events_per_second_max: Option<NonZeroU32>,
}

impl TryFrom<proto::RedriveJob> for Job {
    type Error = Violations;

    fn try_from(job: proto::RedriveJob) -> Result<Self, Violations> {
        Ok(Self {
            id: job.id.into(),
            selection: job.selection.unwrap_or_default().try_into()?,
            events_per_second_max: NonZeroU32::new(job.events_per_second_max),
        })
    }
}
