//! Dead letters of one endpoint on their way, beside its task: a few at a time, so that a slow store holds up only the keys
//! whose events it is to take.

use hashbrown::HashMap;
use jiff::Timestamp;
use tokio::task::{AbortHandle, Id, JoinSet};
use twinroute_common::dead_letter::Failure;

use super::LeaseSet;
use super::lane::Ended;
use super::redriving::Redriving;
use crate::delivery::{Delivery, Origin};
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
    subject: Subject,
    origin: Origin,
    task: AbortHandle,
}

/// Whose letter it is.
pub(super) enum Subject {
    /// An event that the lane has given up.
    Ended {
        /// The lane's name of it.
        token: u64,
        /// Why it was given up.
        why: String,
    },
    /// An event that the parked backlog has no room for.
    Overflow {
        /// Its shelf's name of it.
        ticket: u64,
    },
}

/// What became of a letter.
pub(super) struct Written {
    /// Whose it is.
    pub(super) subject: Subject,
    /// Where the event came from.
    pub(super) origin: Origin,
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
        let redrive = match delivery.origin {
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
        self.begin(letter_box, Subject::Ended { token, why }, delivery, failure);
    }

    /// Begins to write the letter of an event that the parked backlog has no room for.
    pub(super) fn write_overflow(
        &mut self,
        letter_box: LetterBox,
        (ticket, delivery): (u64, Delivery),
        failure: Failure,
    ) {
        self.begin(letter_box, Subject::Overflow { ticket }, delivery, failure);
    }

    fn begin(&mut self, letter_box: LetterBox, subject: Subject, delivery: Delivery, failure: Failure) {
        let origin = delivery.origin;
        let writing = async move { letter_box.put(&delivery.event, &failure).await };
        let task = self.writing.spawn(writing);
        self.by_task.insert(task.id(), Writing { subject, origin, task });
    }

    /// The next that comes to its end; never, when none is on its way.
    pub(super) async fn written(&mut self) -> Written {
        while let Some(joined) = self.writing.join_next_with_id().await {
            let (id, result) = match joined {
                Ok((id, result)) => (id, result.map_err(|error| error.to_string())),
                Err(error) => (error.id(), Err(format!("writing a dead letter failed: {error}"))),
            };
            // What was cut off is not listed any more.
            if let Some(Writing { subject, origin, .. }) = self.by_task.remove(&id) {
                return Written { subject, origin, result };
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
