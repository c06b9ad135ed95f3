//! What librdkafka tells about a producer: delivery reports, brokers that come and go, tokens that it needs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::answer::{Sent, answer};
use crate::sink::identity::TokenCache;
use crate::sink::port::{Answers, tell};
use crate::sink::{Reachability, Verdict};

/// Kafka wants a name beside the token, which brokers take from the token itself.
const PRINCIPAL: &str = "twinroute";

/// What one producer has been told. Shared with librdkafka's threads.
pub(super) struct Reports {
    answers: Answers,
    reachability: watch::Sender<Reachability>,
    tokens: Option<Arc<TokenCache>>,
    batch_bytes: usize,
    open: AtomicUsize,
    delivered: AtomicBool,
    batch_too_large: AtomicBool,
    login_refused: AtomicBool,
    last_error: Mutex<String>,
    settled: Notify,
    /// Cancelled when a record failed or the producer cannot go on; nothing more may be written by it.
    pub(super) broken: CancellationToken,
}

/// The part of librdkafka's statistics that is read.
#[derive(Deserialize)]
struct Statistics {
    brokers: HashMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    state: String,
}

impl Reports {
    pub(super) fn new(
        answers: Answers,
        reachability: watch::Sender<Reachability>,
        tokens: Option<Arc<TokenCache>>,
        batch_bytes: usize,
    ) -> Self {
        Self {
            answers,
            reachability,
            tokens,
            batch_bytes,
            open: AtomicUsize::new(0),
            delivered: AtomicBool::new(false),
            batch_too_large: AtomicBool::new(false),
            login_refused: AtomicBool::new(false),
            last_error: Mutex::new(String::new()),
            settled: Notify::new(),
            broken: CancellationToken::new(),
        }
    }

    /// A record is about to be handed to librdkafka.
    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    /// A record was reported, or not taken.
    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.settled.notify_one();
    }

    /// Waits until a record is reported.
    pub(super) async fn one_closed(&self) {
        self.settled.notified().await;
    }

    /// Waits until every record was reported.
    pub(super) async fn all_closed(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            self.settled.notified().await;
        }
    }

    /// Whether anything was delivered.
    pub(super) fn has_delivered(&self) -> bool {
        self.delivered.load(Ordering::Acquire)
    }

    /// Whether a batch of several records was too large for the broker.
    pub(super) fn needs_smaller_batches(&self) -> bool {
        self.batch_too_large.load(Ordering::Acquire)
    }

    /// Whether a broker refused the credentials.
    pub(super) fn login_was_refused(&self) -> bool {
        self.login_refused.load(Ordering::Acquire)
    }

    /// The verdict on a record that failed. Nothing newer may be written by this producer.
    fn failed(&self, code: RDKafkaErrorCode, bytes: usize) -> Verdict {
        self.broken.cancel();
        // librdkafka puts nothing behind a record that fills a batch, and such a record into no batch that has some.
        let sent = if bytes >= self.batch_bytes { Sent::Alone } else { Sent::Batched };
        let answer = answer(code, sent, &self.background());
        if answer.batch_too_large {
            self.batch_too_large.store(true, Ordering::Release);
        }
        answer.verdict
    }

    fn works(&self) {
        tell(&self.reachability, Reachability::Connected);
    }

    fn is_unreachable(&self) {
        tell(&self.reachability, Reachability::Unreachable(self.background()));
    }

    /// What librdkafka said last about the connection or itself.
    pub(super) fn background(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ProducerContext for Reports {
    /// The submission's token.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, token: usize) {
        let verdict = match result {
            // No broker has told where the record is: librdkafka takes it from a later batch that got in. But a broker takes
            // any batch as a producer's first one in a partition, also when it has just refused the one before, as it may
            // do while a topic is new.
            Ok(record) if record.offset() < 0 => {
                let bytes = record.payload_len() + record.key_len();
                self.failed(RDKafkaErrorCode::OutOfOrderSequenceNumber, bytes)
            }
            Ok(_) => {
                if !self.delivered.swap(true, Ordering::AcqRel) {
                    self.works();
                }
                Verdict::Delivered
            }
            Err((error, record)) => {
                let bytes = record.payload_len() + record.key_len();
                self.failed(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), bytes)
            }
        };
        self.answers.send_blocking(token as u64, verdict);
        self.closed();
    }
}

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Whoever watches the sink's state and outcomes says what has to be said.
        debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics)
            && statistics.brokers.values().any(|broker| broker.state == "UP")
        {
            self.works();
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
            reason.clone_into(&mut last);
        }
        match code {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.is_unreachable(),
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                self.is_unreachable();
                self.login_refused.store(true, Ordering::Release);
                self.broken.cancel();
            }
            Some(RDKafkaErrorCode::Fatal) => self.broken.cancel(),
            _ => {}
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let held = self.tokens.as_ref().and_then(|tokens| tokens.held());
        let token = held.ok_or("no access token is held that is good now")?;
        let lifetime = token.expires.duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(OAuthToken {
            token: token.secret.expose_secret().to_owned(),
            principal_name: PRINCIPAL.to_owned(),
            lifetime_ms: i64::try_from(lifetime.as_millis())?,
        })
    }
}
