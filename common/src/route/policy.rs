//! How delivery of an event is tried, and what happens when it can't be done.

use std::time::Duration;

/// How delivery is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Attempts of one event; at least 1.
    pub attempts_max: u32,
    /// Time from the first attempt.
    pub time_to_live: Duration,
    /// Waits between attempts.
    pub backoff: BackoffRange,
    /// What happens when attempts or time are used up; `None` for a dead letter where there is a container, else to block.
    pub on_exhausted: Option<OnExhausted>,
    /// Age of the oldest event in flight above which events are parked.
    pub park_after: Duration,
    /// Bound of the parked backlog in bytes; `None` for the worker's default.
    pub parked_bytes_max: Option<u64>,
    /// What happens when the parked backlog is full.
    pub on_full: OnFull,
}

/// Waits of an exponential backoff with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffRange {
    /// Upper end of the first wait.
    pub initial: Duration,
    /// Upper end of any wait.
    pub max: Duration,
}

/// What happens to an event whose attempts or time are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhausted {
    /// It stays at the head of the endpoint's backlog.
    Block,
    /// It is counted and given up.
    Drop,
    /// It goes to the dead-letter container.
    DeadLetter,
}

/// What happens when the parked backlog is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// Events stay un-acknowledged.
    #[default]
    Block,
    /// Events go to the dead-letter container.
    DeadLetter,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 10,
            time_to_live: Duration::from_secs(24 * 60 * 60),
            backoff: BackoffRange::default(),
            on_exhausted: None,
            park_after: Duration::from_secs(5),
            parked_bytes_max: None,
            on_full: OnFull::default(),
        }
    }
}

impl Default for BackoffRange {
    fn default() -> Self {
        Self { initial: Duration::from_millis(200), max: Duration::from_secs(30) }
    }
}
