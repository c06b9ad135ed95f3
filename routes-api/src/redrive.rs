//! Redrive jobs: dead letters that the workers send again. What a job is and how reports change it; pure.

mod job;
mod jobs;
mod report;
mod start;

pub use job::{Failure, Job, NumberedFailure, State};
pub use jobs::Jobs;
pub use report::Report;
pub use start::start;

/// Failures that are kept of one job: enough to see what is wrong. Their letters say so too.
const FAILURES_MAX: u64 = 1_000;

#[cfg(test)]
mod tests;
