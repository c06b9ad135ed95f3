//! Replaces the producer whenever one has failed.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use tokio_util::task::AbortOnDropHandle;
use twinroute_common::backoff::Backoff;
use twinroute_common::route::KafkaOptions;

use super::generation::{End, Generation};
use super::login::{Choice, Credentials, Login};
use super::reports::Reports;
use super::settings;
use crate::config::sinks::KafkaLimits;
use crate::sink::identity::TokenCache;
use crate::sink::port::Port;
use crate::sink::{Reachability, SinkContext, SinkError};

/// Where to write, and what was learnt about it.
#[derive(Debug)]
pub(super) struct Target {
    client_id: String,
    options: KafkaOptions,
    context: SinkContext,
    choice: Choice,
    /// Halved whenever a batch was too large for the broker.
    batch_bytes: usize,
}

/// What a producer is made from.
struct Plan {
    config: ClientConfig,
    topic: String,
    tokens: Option<Arc<TokenCache>>,
}

impl Target {
    /// Finds the mistakes that can be found without the network.
    pub(super) fn new(name: &str, options: KafkaOptions, context: SinkContext) -> Result<Self, SinkError> {
        let client_id = format!("twinroute-{}-{name}", context.worker_id);
        let batch_bytes = context.limits.kafka.batch_bytes_max;
        let target = Self { client_id, options, context, choice: Choice::default(), batch_bytes };
        target.plan()?;
        Ok(target)
    }

    fn limits(&self) -> &KafkaLimits {
        &self.context.limits.kafka
    }

    fn plan(&self) -> Result<Plan, SinkError> {
        let login = Login::new(&self.options.access, self.choice, &self.context)?;
        let config =
            settings::client_config(&self.client_id, &self.options, &login, self.limits(), self.batch_bytes);
        let topic = match login.entity_path {
            Some(hub) if self.options.topic.is_empty() => hub,
            _ => self.options.topic.clone(),
        };
        let tokens = match login.credentials {
            Credentials::Token(tokens) => Some(tokens),
            Credentials::None | Credentials::Password { .. } => None,
        };
        Ok(Plan { config, topic, tokens })
    }

    fn backoff(&self) -> Backoff {
        let limits = self.limits();
        Backoff::new(
            Duration::from_millis(limits.restart_initial_ms),
            Duration::from_millis(limits.restart_max_ms),
        )
    }

    /// Makes a producer, with a token in hand when it needs one.
    async fn start(&self, port: &Port) -> Result<(Generation, Option<AbortOnDropHandle<()>>), SinkError> {
        let plan = self.plan()?;
        let mut refresh = None;
        if let Some(tokens) = &plan.tokens {
            tokens.token().await?;
            let (tokens, backoff) = (Arc::clone(tokens), self.backoff());
            let refreshing = tokio::spawn(async move { tokens.keep_fresh(backoff).await });
            refresh = Some(AbortOnDropHandle::new(refreshing));
        }
        let reports =
            Reports::new(port.answers.clone(), port.reachability.clone(), plan.tokens, self.batch_bytes);
        Ok((Generation::new(&plan.config, plan.topic, reports)?, refresh))
    }

    fn learn(&mut self, reports: &Reports) {
        if reports.needs_smaller_batches() {
            self.batch_bytes = (self.batch_bytes / 2).max(1);
        }
        if reports.login_was_refused() {
            self.choice = self.choice.after_refusal(&self.options.access);
        }
    }
}

/// Runs the sink until it is stopped.
pub(super) async fn run(mut port: Port, mut target: Target) {
    let mut backoff = target.backoff();
    let stop = port.stop.clone();
    loop {
        let started = tokio::select! {
            () = stop.cancelled() => return,
            started = target.start(&port) => started,
        };
        match started {
            Ok((mut generation, _refresh)) => {
                generation.until_led(&port, Duration::from_millis(target.limits().topic_wait_ms)).await;
                let end = generation.write(&mut port).await;
                generation.settle(Duration::from_millis(target.limits().request_timeout_ms)).await;
                generation.refuse_waiting(&port).await;
                if end == End::Stopped {
                    port.refuse_until_known().await;
                    return;
                }
                target.learn(generation.reports());
                let reports = generation.reports();
                // Smaller batches are worth an attempt at once.
                if reports.has_delivered() || reports.needs_smaller_batches() {
                    backoff.reset();
                }
                drop(generation);
                port.refuse_until_known().await;
            }
            Err(error) => port.tell(Reachability::Unreachable(error.message)),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}
