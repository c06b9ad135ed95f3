//! Dead letters of one endpoint on their way, beside its task: a few at a time, so that a slow store holds up only the keys
//! whose events it is to take.

use hashbrown::HashMap;
use jiff::Timestamp;
use tokio::task::{AbortHandle, Id, JoinSet};
use twinroute_common::dead_letter::Failure;

use super::LeaseSet;
use super::lane::Ended;
use super::redriving::Redriving;
use crate::delivery::Origin;
use crate::letter_box::{LetterBox, NotWritten};

/// Letters on their way at a time: enough for a store that takes a tenth of a second to keep 100 letters a second.
const WRITING_MAX: usize = 16;

/// Letters on their way.
#[derive(Default)]
pub(super) struct Letters {
    writing: JoinSet<Result<(), NotWritten>>,
    by_task: HashMap<Id, Writing>,
}

struct Writing {
    token: u64,
    origin: Origin,
    why: String,
    task: AbortHandle,
}

/// What became of a letter.
pub(super) struct Written {
    /// The lane's name of the event.
    pub(super) token: u64,
    /// Where the event came from.
    pub(super) origin: Origin,
    /// Why the event was given up.
    pub(super) why: String,
    /// Why it could not be written.
    pub(super) result: Result<(), String>,
}

impl Letters {
    /// One more can be written.
    pub(super) fn has_room(&self) -> bool {
        self.by_task.len() < WRITING_MAX
    }

    /// Begins to write the letter of an event.
    pub(super) fn write(&mut self, letter_box: LetterBox, ended: Ended, redriving: &Redriving) {
        let Ended { token, delivery, attempts } = ended;
        let origin = delivery.origin;
        let redrive = match origin {
            Origin::Redriven(redriven) => redriving.job(redriven),
            Origin::Stream(_) | Origin::Backlog(_) => None,
        };
        let why = attempts.error.to_string();
        let failure = Failure {
            reason: attempts.error.message,
            code: attempts.error.code,
            attempts: attempts.count,
            time: Timestamp::now(),
            redrive,
        };
        let writing = async move { letter_box.put(&delivery.event, &failure).await };
        let task = self.writing.spawn(writing);
        self.by_task.insert(task.id(), Writing { token, origin, why, task });
    }

    /// The next that comes to its end; never, when none is on its way.
    pub(super) async fn written(&mut self) -> Written {
        while let Some(joined) = self.writing.join_next_with_id().await {
            let (id, result) = match joined {
                Ok((id, result)) => (id, result.map_err(|error| error.to_string())),
                Err(error) => (error.id(), Err(format!("writing a dead letter failed: {error}"))),
            };
            // What was cut off is not listed any more.
            if let Some(Writing { token, origin, why, .. }) = self.by_task.remove(&id) {
                return Written { token, origin, why, result };
            }
        }
        std::future::pending().await
    }

    /// Cuts off what belongs to leases that are over.
    pub(super) fn forget(&mut self, leases: &LeaseSet) {
        self.by_task.retain(|_, writing| {
            let over = leases.contains(writing.origin.lease());
            if over {
                writing.task.abort();
            }
            !over
        });
    }
}
