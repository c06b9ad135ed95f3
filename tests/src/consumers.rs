//! Real consumers of the three sinks. Each one collects what arrives, as it arrives, in an inbox.

pub mod inbox;
pub mod kafka;
pub mod kusto;
pub mod mqtt;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;

pub use self::inbox::Inbox;

/// How long a consumer may take to be connected.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// How long a consumer waits after an error before it tries again.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(200);

/// The kinds of sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sink {
    /// Apache Kafka.
    Kafka,
    /// An MQTT broker.
    Mqtt,
    /// The Kusto stand-in.
    Kusto,
}

/// One event as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Where it arrived.
    pub sink: Sink,
    /// The `CloudEvent`'s `id`; of a Kusto row its `EventId`.
    pub id: String,
    /// The `CloudEvent`'s `source`; of a Kusto row its `ServiceId`.
    pub source: String,
    /// The `CloudEvent`'s `type`; of a Kusto row its table.
    pub type_: String,
    /// The `CloudEvent`'s `subject`; of a Kusto row what its ids say.
    pub subject: String,
    /// The ordering key: the `CloudEvent`'s `partitionkey`.
    pub key: String,
    /// The position, sortable as text; of a Kusto row its `Sequence`.
    pub sequence: String,
    /// When the change was committed.
    pub time: jiff::Timestamp,
    /// The `CloudEvent`'s `data`, byte for byte; of a Kusto row the whole row.
    pub data: Box<RawValue>,
    /// All that arrived, as text: of Kafka key, headers and value, of MQTT properties and payload,
    /// of Kusto the row.
    pub wire: Arc<str>,
    /// When the consumer saw it.
    pub received_at: jiff::Timestamp,
}

impl Received {
    /// Events of one scope arrive in order. Kusto's tables are read one after the other, so there
    /// the table belongs to it.
    #[must_use]
    pub fn scope(&self) -> String {
        match self.sink {
            Sink::Kafka | Sink::Mqtt => self.key.clone(),
            Sink::Kusto => format!("{}/{}", self.type_, self.key),
        }
    }

    /// From commit to arrival, in milliseconds; both clocks are this machine's.
    #[must_use]
    pub fn latency_ms(&self) -> f64 {
        self.received_at.duration_since(self.time).as_millis_f64()
    }
}

/// A consumer at work; it stops when it is dropped.
#[derive(Debug)]
pub struct Consumer {
    inbox: Inbox,
    task: JoinHandle<()>,
}

impl Consumer {
    fn run(inbox: &Inbox, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { inbox: inbox.clone(), task: tokio::spawn(work) }
    }

    /// What has arrived, and will.
    #[must_use]
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Puts what was read into the inbox, be it an event or what is wrong with it.
fn deliver(inbox: &Inbox, read: Result<Received>) {
    match read {
        Ok(received) => inbox.push(received),
        Err(fault) => inbox.fault(format!("{fault:#}")),
    }
}
