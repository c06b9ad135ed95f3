//! How runs end.

use std::convert::Infallible;
use std::io;

use serde::{Deserialize, Serialize};

use super::*;
use crate::config::{Base, HttpSettings, LogSettings, Problem, ShutdownSettings};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::service) struct Sample {
    log: LogSettings,
    http: HttpSettings,
    runtime: RuntimeSettings,
    shutdown: ShutdownSettings,
}

impl Settings for Sample {
    fn base(&self) -> Base<'_> {
        Base { log: &self.log, http: &self.http, runtime: &self.runtime, shutdown: &self.shutdown }
    }

    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

fn context() -> Context<Sample> {
    Context {
        settings: Arc::default(),
        health: Health::new(Duration::from_secs(10)),
        registry: SharedRegistry::default(),
        shutdown: CancellationToken::new(),
        grace: Duration::from_secs(20),
        drain: Drain::default(),
    }
}

#[tokio::test]
async fn a_run_that_returns_ends_cleanly() {
    assert!(supervise(context(), async |_| Ok::<(), Infallible>(())).await.is_ok());
}

#[tokio::test]
async fn a_run_that_fails_ends_in_failure() {
    let failure = supervise(context(), async |_| Err(io::Error::other("broken"))).await.unwrap_err();
    assert_eq!(Causes(&failure).to_string(), "stopped by a failure: broken");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_settles_within_the_grace_period_ends_cleanly_and_is_not_ready_meanwhile() {
    let context = context();
    let (token, health) = (context.shutdown.clone(), context.health.clone());
    health.condition("database").ok();
    token.cancel();
    let run = async |context: Context<Sample>| {
        context.shutdown.cancelled().await;
        tokio::time::sleep(Duration::from_secs(19)).await;
        Ok::<(), Infallible>(())
    };
    assert!(supervise(context, run).await.is_ok());
    assert_eq!(health.readiness().borrow().to_string(), "process: shutting down\n");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_longer_than_the_grace_period_fails_and_names_what_is_left() {
    let context = context();
    context.shutdown.cancel();
    let run = async |context: Context<Sample>| {
        let _part = context.drain.part("sinks");
        std::future::pending::<Result<(), Infallible>>().await
    };
    let failure = supervise(context, run).await.unwrap_err().to_string();
    assert_eq!(failure, "not finished within shutdown.grace_ms (20000 ms): sinks");
}
