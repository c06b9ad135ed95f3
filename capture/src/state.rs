//! What a subscription is doing, for the gRPC service and for readiness.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use twinroute_common::health::Condition;

use crate::hub::Hub;

/// State of the subscription.
#[derive(Clone, Debug)]
pub enum State {
    /// Connecting to PostgreSQL, or waiting for something there.
    Connecting {
        /// What it waits for.
        reason: String,
    },
    /// Another capture holds the subscription.
    Standby {
        /// Who.
        holder: String,
    },
    /// It does not go on without an operator.
    Stopped {
        /// Why, and what to do.
        reason: String,
    },
    /// Streaming.
    Streaming(Running),
}

/// A subscription that streams.
#[derive(Clone, Debug)]
pub struct Running {
    /// Where streams join.
    pub hub: Arc<Hub>,
    /// Stores consumers' versions.
    pub versions: mpsc::Sender<VersionToStore>,
}

/// A consumer's version, to be stored before its ack is applied.
#[derive(Debug)]
pub struct VersionToStore {
    /// The version.
    pub version: u64,
    /// Told when it is stored; dropped when it could not be.
    pub stored: oneshot::Sender<()>,
}

/// Tells everybody what the subscription is doing.
#[derive(Debug)]
pub struct StateTeller {
    state: watch::Sender<State>,
    condition: Condition,
}

impl StateTeller {
    /// Starts as connecting. Readiness follows `condition`.
    #[must_use]
    pub fn new(condition: Condition) -> (Self, watch::Receiver<State>) {
        let (state, receiver) = watch::channel(State::Connecting { reason: "starting".to_owned() });
        (Self { state, condition }, receiver)
    }

    /// The subscription is doing something else now.
    pub fn tell(&self, state: State) {
        match &state {
            State::Connecting { reason } => self.condition.failing(reason.clone()),
            State::Standby { holder } => {
                self.condition.failing(format!("standing by: the subscription is held by {holder}"));
            }
            State::Stopped { reason } => self.condition.failing(format!("stopped: {reason}")),
            State::Streaming(_) => self.condition.ok(),
        }
        self.state.send_replace(state);
    }
}
