//! One producer, from its making to its last delivery report.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer as _, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, config::FromClientConfigAndContext as _};
use tracing::warn;

use super::answer::{Sent, answer};
use super::readiness;
use super::record::record;
use super::reports::Reports;
use crate::sink::port::Port;
use crate::sink::{SinkError, Submission, Verdict};

/// How many events are taken from the queue at once.
const TAKEN_AT_ONCE: usize = 256;

/// How long to wait for room in librdkafka's queue before looking again, should no report tell of it.
const ROOM_POLL: Duration = Duration::from_millis(10);

/// How often librdkafka's queue is emptied while a producer that failed settles.
const PURGE_INTERVAL: Duration = Duration::from_millis(50);

/// Tokens travel through librdkafka as pointers.
const _: () = assert!(size_of::<usize>() == size_of::<u64>(), "tokens need 64-bit pointers");

/// One producer.
pub(super) struct Generation {
    topic: String,
    producer: Option<Arc<ThreadedProducer<Reports>>>,
    reports: Arc<Reports>,
    /// Taken from the queue, not yet written.
    waiting: VecDeque<Submission>,
}

/// Why a producer takes no more events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The sink stops.
    Stopped,
    /// A record failed, or the producer cannot go on.
    Broken,
}

/// What became of handing a record to librdkafka.
enum Written {
    Taken,
    NoRoom,
    Refused(RDKafkaErrorCode),
}

impl Generation {
    /// Makes a producer. It connects by itself.
    pub(super) fn new(config: &ClientConfig, topic: String, reports: Reports) -> Result<Self, SinkError> {
        let producer = ThreadedProducer::from_config_and_context(config, reports).map_err(|error| {
            SinkError::about_connection("CLIENT_NOT_CREATED", format!("librdkafka refuses: {error}"))
        })?;
        let reports = Arc::clone(producer.client().context());
        Ok(Self { topic, producer: Some(Arc::new(producer)), reports, waiting: VecDeque::new() })
    }

    /// What librdkafka told.
    pub(super) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Waits until the topic can be written to, up to `wait`, unless the sink stops or the producer cannot go on.
    pub(super) async fn until_led(&self, port: &Port, wait: Duration) {
        let Some(producer) = self.producer.clone() else {
            return;
        };
        let (topic, stop) = (self.topic.clone(), port.stop.clone());
        let asking =
            tokio::task::spawn_blocking(move || readiness::until_led(&producer, &topic, wait, &stop));
        tokio::select! {
            biased;
            () = port.stop.cancelled() => {}
            () = self.reports.broken.cancelled() => {}
            _ = asking => {}
        }
    }

    /// Writes what is handed over, until the sink stops or something fails.
    pub(super) async fn write(&mut self, port: &mut Port) -> End {
        let mut taken = Vec::with_capacity(TAKEN_AT_ONCE);
        loop {
            tokio::select! {
                biased;
                () = port.stop.cancelled() => return End::Stopped,
                () = self.reports.broken.cancelled() => return End::Broken,
                count = port.submissions.recv_many(&mut taken, TAKEN_AT_ONCE) => {
                    if count == 0 {
                        return End::Stopped;
                    }
                }
            }
            self.waiting.extend(taken.drain(..));
            if let Some(end) = self.write_waiting(port).await {
                return end;
            }
        }
    }

    async fn write_waiting(&mut self, port: &mut Port) -> Option<End> {
        while let Some(submission) = self.waiting.front() {
            let token = submission.token;
            match self.hand_over(submission) {
                Written::Taken => {
                    self.waiting.pop_front();
                }
                Written::NoRoom => tokio::select! {
                    biased;
                    () = port.stop.cancelled() => return Some(End::Stopped),
                    () = self.reports.broken.cancelled() => return Some(End::Broken),
                    () = self.reports.one_closed() => {}
                    () = tokio::time::sleep(ROOM_POLL) => {}
                },
                Written::Refused(code) => {
                    self.waiting.pop_front();
                    let verdict = answer(code, Sent::Never, &self.reports.background()).verdict;
                    let ends_here = matches!(verdict, Verdict::Permanent(_));
                    port.answers.send(token, verdict).await;
                    if !ends_here {
                        return Some(End::Broken);
                    }
                    // What is in flight is older; nothing newer may follow before the failure is known.
                    self.refuse_waiting(port).await;
                    port.refuse_until_known().await;
                }
            }
        }
        None
    }

    fn hand_over(&self, submission: &Submission) -> Written {
        let Some(producer) = &self.producer else {
            return Written::Refused(RDKafkaErrorCode::Fatal);
        };
        if self.reports.broken.is_cancelled() {
            return Written::NoRoom;
        }
        self.reports.opened();
        let record = record(&self.topic, &submission.event, submission.token as usize);
        let Err((error, _)) = producer.send(record) else {
            return Written::Taken;
        };
        self.reports.closed();
        match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => Written::NoRoom,
            other => Written::Refused(other.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        }
    }

    /// Lets no more be written, and waits until every record was reported: up to `deadline` for brokers to answer what is
    /// on its way; what they do not answer is cut off.
    pub(super) async fn settle(&self, deadline: Duration) {
        self.reports.broken.cancel();
        let settling = async {
            loop {
                // librdkafka puts back into its queue what a broker answers with "again": one purge is not enough.
                self.purge(PurgeConfig::default().queue());
                if tokio::time::timeout(PURGE_INTERVAL, self.reports.all_closed()).await.is_ok() {
                    return;
                }
            }
        };
        if tokio::time::timeout(deadline, settling).await.is_err() {
            self.purge(PurgeConfig::default().queue().inflight());
            self.reports.all_closed().await;
        }
    }

    /// Answers what was taken but not written.
    pub(super) async fn refuse_waiting(&mut self, port: &Port) {
        for submission in self.waiting.drain(..) {
            let verdict = SinkError::behind_a_failure().retryable();
            port.answers.send(submission.token, verdict).await;
        }
    }

    fn purge(&self, what: PurgeConfig) {
        if let Some(producer) = &self.producer {
            producer.purge(what.non_blocking());
        }
    }
}

impl Drop for Generation {
    /// librdkafka's threads are waited for in a thread of its own: it may take them a while, and they write nothing more.
    fn drop(&mut self) {
        self.purge(PurgeConfig::default().queue().inflight());
        let Some(producer) = self.producer.take() else {
            return;
        };
        let ending = std::thread::Builder::new().name("kafka-end".to_owned()).spawn(move || drop(producer));
        if let Err(error) = ending {
            warn!(%error, "no thread to end a Kafka producer in; it was ended in place");
        }
    }
}
