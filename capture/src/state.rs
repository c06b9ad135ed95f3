//! What a subscription is doing, for the gRPC service, for readiness and for metrics.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use twinroute_common::health::Condition;
use twinroute_common::position::Position;

use crate::gap::Gap;
use crate::hub::Hub;
use crate::metrics::SubscriptionMetrics;
use crate::postgres::labels::Shortfall;
use crate::postgres::row::SubscriptionRow;
use crate::wire::position_json;

/// State of the subscription.
#[derive(Clone, Debug)]
pub enum State {
    /// Connecting to PostgreSQL, or waiting for something there.
    Connecting {
        /// What it waits for.
        reason: String,
        /// Statements that somebody with more rights must run first.
        required_statements: Vec<String>,
    },
    /// Another capture holds the subscription.
    Standby {
        /// Who.
        holder: String,
    },
    /// Changes may be missing; it does not go on before somebody has accepted that.
    Stopped(Arc<Stopped>),
    /// Streaming.
    Streaming(Running),
}

/// A subscription that is stopped at a gap.
#[derive(Debug)]
pub struct Stopped {
    /// What is remembered.
    pub row: SubscriptionRow,
    /// What may be missing.
    pub gap: Gap,
    /// Takes the decision.
    pub resumes: mpsc::Sender<Resume>,
}

impl Stopped {
    /// Why, and what to do.
    #[must_use]
    pub fn reason(&self, subscription: &str) -> String {
        let Gap { cause, at, reason } = &self.gap;
        format!(
            "{reason}. Changes after {} may be missing. To go on without them, call ResumeSubscription with \
             {{\"name\": \"{subscription}\", \"acceptGapAt\": {}}}. To prevent it: {}",
            at.commit_lsn,
            position_json(*at),
            cause.prevention()
        )
    }
}

/// A subscription that streams.
#[derive(Clone, Debug)]
pub struct Running {
    /// Where streams join.
    pub hub: Arc<Hub>,
    /// Takes what must be stored before it takes effect; `None` for a live one, of which nothing is stored.
    pub requests: Option<mpsc::Sender<Request>>,
    /// What is looked at from time to time.
    pub watched: watch::Receiver<Watched>,
    /// Shows how it is.
    pub metrics: SubscriptionMetrics,
}

/// What is looked at in PostgreSQL from time to time.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// What could not be done.
    pub shortfall: Shortfall,
    /// Time until the slot is lost, if it is in danger.
    pub time_to_slot_loss: Option<Duration>,
    /// The slot keeps more WAL than half of what it may: how much.
    pub over_half_of_bound: Option<String>,
}

/// What a stream or a call asks of a running subscription.
#[derive(Debug)]
pub enum Request {
    /// To store a consumer's version before its ack is applied.
    Version {
        /// The version.
        version: u64,
        /// Told when it is stored; dropped when it could not be.
        stored: oneshot::Sender<()>,
    },
    /// To keep the first group token.
    GroupToken {
        /// The token of a consumer.
        token: String,
        /// Told the token that is kept; dropped when it could not be.
        kept: oneshot::Sender<String>,
    },
    /// To stop: a consumer has seen what the server does not have.
    Stop(Gap),
    /// To change what only an operator may.
    Resume(Resume),
}

/// An operator's decision.
#[derive(Debug)]
pub struct Resume {
    /// The gap that is accepted.
    pub accept_gap_at: Option<Position>,
    /// The group token from now on.
    pub new_group_token: Option<String>,
    /// Told what became of it.
    pub answer: oneshot::Sender<Result<(), ResumeRefused>>,
}

/// Why a decision has no effect.
#[derive(Debug, thiserror::Error)]
pub enum ResumeRefused {
    /// There is nothing to accept.
    #[error("the subscription is not stopped, so there is no gap to accept")]
    NotStopped,
    /// Another position is the one that was reported.
    #[error("accept_gap_at is not the position at which the subscription stopped, which is {0}")]
    OtherPosition(String),
    /// PostgreSQL did not do what is needed.
    #[error("{0}; nothing is accepted")]
    Failed(String),
}

/// Tells everybody what the subscription is doing.
#[derive(Debug)]
pub struct StateTeller {
    subscription: String,
    state: watch::Sender<State>,
    condition: Option<Condition>,
    metrics: SubscriptionMetrics,
}

impl StateTeller {
    /// Starts as connecting. Readiness follows `condition`, if there is one.
    #[must_use]
    pub fn new(
        subscription: String,
        condition: Option<Condition>,
        metrics: SubscriptionMetrics,
    ) -> (Self, watch::Receiver<State>) {
        let starting = State::Connecting { reason: "starting".to_owned(), required_statements: Vec::new() };
        let (state, receiver) = watch::channel(starting);
        (Self { subscription, state, condition, metrics }, receiver)
    }

    /// The subscription is doing something else now.
    pub fn tell(&self, state: State) {
        if let Some(condition) = &self.condition {
            match &state {
                State::Connecting { reason, .. } => condition.failing(reason.clone()),
                State::Standby { holder } => {
                    condition.failing(format!("standing by: the subscription is held by {holder}"));
                }
                State::Stopped(stopped) => {
                    condition.failing(format!("stopped: {}", stopped.reason(&self.subscription)));
                }
                State::Streaming(_) => condition.ok(),
            }
        }
        let cause = match &state {
            State::Stopped(stopped) => Some(stopped.gap.cause),
            _ => None,
        };
        self.metrics.show_stopped(cause);
        self.state.send_replace(state);
    }
}
