//! What one worker is told besides the route table and the jobs that run.

use uuid::Uuid;

use crate::redrive::State;

/// What a worker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To skip a damaged segment of a parked backlog.
    Skip {
        /// Name of the endpoint.
        endpoint: String,
        /// Name of the segment's object.
        object: String,
    },
    /// A job that it reports on has ended.
    Ended {
        /// Id of the job.
        id: Uuid,
        /// How.
        state: State,
    },
}
