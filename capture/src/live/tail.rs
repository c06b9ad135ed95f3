//! The stream that live consumers share: begun for the first, handed on to each, ended after the last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use twinroute_common::causes::Causes;
use twinroute_common::lsn::Lsn;

use super::seats::Seats;
use super::{Join, LIVE, LiveRefused};
use crate::clock::now_ms;
use crate::config::CaptureSettings;
use crate::hub::{Ending, Hub, Identity};
use crate::metrics::{Metrics, SubscriptionMetrics};
use crate::pipeline::PipelineError;
use crate::postgres::ConnectionString;
use crate::postgres::control::{Control, report_interval};
use crate::pressure::{Guest, Pressure};
use crate::replication::Connection;
use crate::replication::reader::Reader;
use crate::subscription::{ConsumerKey, OutFrame, Subscription};

/// `application_name` of its sessions.
const SESSION: &str = "twinroute-capture live";

/// What live consumers are told when they must go for the sake of others.
const SHORT_OF_MEMORY: &str =
    "memory.bytes_max is nearly reached, and live consumers held the most; connect again to go on from then";

/// How often it is looked whether anybody is left: soon enough that no slot is kept for nobody.
const LOOK: Duration = Duration::from_millis(250);

/// Makes the stream when somebody wants it.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) settings: Arc<CaptureSettings>,
    pub(super) config: Arc<ConnectionString>,
    pub(super) metrics: Metrics,
    pub(super) pressure: Pressure,
}

/// A stream from a temporary slot, and the hub that takes what is read.
struct Stream {
    reader: Reader,
    source: Arc<Hub>,
    key: ConsumerKey,
    waker: Arc<Notify>,
    confirmable: watch::Sender<Lsn>,
    seats: Seats,
    metrics: SubscriptionMetrics,
    /// What the reader holds.
    reading: Guest,
    /// What the consumers hold.
    seated: Guest,
}

impl Tail {
    /// Serves those who join, until `stop`.
    pub(super) async fn run(self, mut joins: mpsc::Receiver<Join>, stop: CancellationToken) {
        loop {
            let join = tokio::select! {
                () = stop.cancelled() => return,
                join = joins.recv() => join,
            };
            let Some(first) = join else { return };
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = self.open() => opened,
            };
            match opened {
                Ok(mut stream) => {
                    stream.seats.admit(first, &stream.source, &stream.metrics);
                    stream.serve(&mut joins, &stop).await;
                    self.metrics.forget(LIVE);
                }
                Err(error) => {
                    let reason = Causes(&error).to_string();
                    // Who asked may be gone.
                    drop(first.answer.send(Err(LiveRefused::NoStream(reason))));
                }
            }
        }
    }

    /// Makes the temporary slot, which ends with its session, and streams from it.
    async fn open(&self) -> Result<Stream, PipelineError> {
        let deadline = self.settings.postgres.answer_deadline();
        let control = Control::open(&self.config, SESSION, deadline).await?;
        let mut connection = Connection::open(&self.config, control.server(), SESSION, deadline).await?;
        let server = connection.server().await?;
        let slot = format!("twinroute_live_{:016x}", now_ms());
        let from = connection.create_temporary_slot(&slot).await?;
        connection.start(&slot, from, &self.settings.source.publication).await?;
        info!(slot, from = %from, "streaming to live consumers");

        // No row, so no incarnation that is stored: the clock's is later than that of any stream before.
        let incarnation = now_ms();
        let metrics = self.metrics.of(LIVE);
        let bounds = self.settings.stream.bounds(1, self.settings.live.unacked_max());
        let identity = Identity { subscription: LIVE.to_owned(), slot: String::new(), server, incarnation };
        let source = Hub::new(identity, Subscription::new(bounds, incarnation, from, 0));
        let (key, waker) = source.join(SESSION);
        source.with(|subscription| subscription.credit(key, u64::MAX, u64::MAX));
        let (confirmable, confirmed) = watch::channel(from);
        // Labels are looked after by the configured subscription.
        let (tables, _) = mpsc::channel(1);
        let [reading, seated] = ["live stream", "live consumers"].map(|name| self.pressure.guest(name));
        let reader = Reader::new(
            connection,
            self.settings.decoder(incarnation),
            Arc::clone(&source),
            metrics.clone(),
            confirmed,
            tables,
            report_interval(&control).await?,
        )
        .as_guest(Some(reading.reading()));
        let seats = Seats::new(Arc::clone(&self.settings));
        Ok(Stream { reader, source, key, waker, confirmable, seats, metrics, reading, seated })
    }
}

impl Stream {
    /// Hands on what is read, until nobody is left, the stream breaks, or `stop`.
    async fn serve(self, joins: &mut mpsc::Receiver<Join>, stop: &CancellationToken) {
        let Self { reader, source, key, waker, confirmable, mut seats, metrics, mut reading, mut seated } =
            self;
        let end = stop.child_token();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stream = reader.run(end.clone());
        tokio::pin!(stream);
        let read = loop {
            tokio::select! {
                biased;
                read = &mut stream => break read,
                () = reading.told_to_let_go() => seats.close(&Ending::Behind(SHORT_OF_MEMORY.to_owned())),
                () = seated.told_to_let_go() => seats.close(&Ending::Behind(SHORT_OF_MEMORY.to_owned())),
                // What was read before is not for who comes now.
                () = waker.notified() => hand_on(&source, key, &mut seats),
                Some(join) = joins.recv(), if !end.is_cancelled() => seats.admit(join, &source, &metrics),
                _ = look.tick() => {
                    hand_on(&source, key, &mut seats);
                    let (received, confirmed) =
                        source.with(|subscription| (subscription.received(), subscription.confirmed()));
                    confirmable.send_replace(confirmed);
                    metrics.received_lsn.set(received.0);
                    metrics.confirmed_lsn.set(confirmed.0);
                    metrics.consumers.set(i64::try_from(seats.look(received)).unwrap_or(i64::MAX));
                    seated.holds(seats.unacked_bytes());
                    if seats.are_empty() {
                        end.cancel();
                    }
                }
            }
        };
        seats.close(&Ending::Lost);
        let ended = match read {
            Ok(reader) => reader.finish().await.map_err(PipelineError::from),
            Err(error) => Err(error.into()),
        };
        match ended {
            Ok(()) => info!("the live stream has ended, and the temporary slot with it"),
            Err(error) => warn!("the live stream broke: {}", Causes(&error)),
        }
    }
}

/// Takes what was read, hands it on, and acknowledges it: it does not wait for any consumer.
fn hand_on(source: &Hub, key: ConsumerKey, seats: &mut Seats) {
    while let Some(frame) = source.with(|subscription| subscription.next_frame(key)) {
        let OutFrame::Batches(batches) = frame else { continue };
        for batch in &batches {
            seats.hand_on(&batch.items);
        }
        let acks = batches.iter().map(|batch| (batch.partition, batch.epoch, batch.batch));
        // It acknowledges what it was sent, which is no mistake.
        drop(source.with(|subscription| subscription.ack(key, acks, Instant::now())));
    }
    source.settled();
}
