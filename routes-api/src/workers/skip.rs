//! A damaged segment is skipped: those who report it are asked to, until nobody reports it.

use std::collections::BTreeMap;

use tokio::sync::mpsc::error::TrySendError;

use super::command::Command;
use super::{State, Workers};

/// Why a segment was not seen to be skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipError {
    /// Nobody has it, or it can be read.
    #[error(
        "no worker that is connected to this routes-api reports the segment `{0}` as damaged: GetBacklog shows those that are"
    )]
    NotDamaged(String),
    /// The worker's connection is slow.
    #[error("the worker {0} takes no more commands at present; try again later")]
    Busy(String),
    /// Whoever was asked has gone.
    #[error(
        "the worker {0} has left before it said that the segment is skipped: GetBacklog tells whether it is still damaged"
    )]
    Left(String),
}

impl Workers {
    /// Asks each worker that reports a segment as damaged to skip it, and waits until none reports it any more.
    ///
    /// # Errors
    /// When none reports it to begin with, or one of them cannot be asked or leaves.
    pub async fn skip(&self, endpoint: &str, object: &str) -> Result<(), SkipError> {
        let mut changes = self.changes.subscribe();
        let mut asked = BTreeMap::new();
        if self.ask(endpoint, object, &mut asked)? == 0 {
            return Err(SkipError::NotDamaged(object.to_owned()));
        }
        // The sender is ours, so that there is always a next change.
        while changes.changed().await.is_ok() {
            if self.ask(endpoint, object, &mut asked)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Asks those who report the segment and were not `asked` yet: a partition may have moved to them. Gives how many
    /// report it.
    fn ask(
        &self,
        endpoint: &str,
        object: &str,
        asked: &mut BTreeMap<String, u64>,
    ) -> Result<usize, SkipError> {
        let state = self.lock();
        if let Some(gone) = asked.iter().find(|&(id, &session)| !is_connected(&state, id, session)) {
            return Err(SkipError::Left(gone.0.clone()));
        }
        let mut reporting = 0;
        for (id, worker) in &state.workers {
            let report = worker.endpoints.get(endpoint);
            if !report.is_some_and(|report| report.damaged.iter().any(|segment| segment.object == object)) {
                continue;
            }
            reporting += 1;
            if asked.contains_key(id) {
                continue;
            }
            let command = Command::Skip { endpoint: endpoint.to_owned(), object: object.to_owned() };
            match worker.commands.try_send(command) {
                Ok(()) => drop(asked.insert(id.clone(), worker.session)),
                Err(TrySendError::Full(_)) => return Err(SkipError::Busy(id.clone())),
                Err(TrySendError::Closed(_)) => return Err(SkipError::Left(id.clone())),
            }
        }
        Ok(reporting)
    }
}

fn is_connected(state: &State, worker_id: &str, session: u64) -> bool {
    state.workers.get(worker_id).is_some_and(|worker| worker.session == session)
}
