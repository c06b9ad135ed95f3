//! Reads the stream: frames from the socket, through the decoder, into the hub, as long as there is room.
//!
//! When there is none it stops reading, and PostgreSQL keeps the WAL. It goes on reporting how far it is, since the
//! server's own request for a report would be stuck behind what is not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use twinroute_common::event::Item;
use twinroute_common::lsn::Lsn;

use super::connection::{Connection, ReplicationError};
use super::frame::Frame;
use super::pace::{Pace, REST};
use crate::decode::pgoutput::Relation;
use crate::decode::{DecodeError, Decoded, Decoder};
use crate::hub::Hub;
use crate::metrics::SubscriptionMetrics;
use crate::pressure::Reading;

/// Why reading ended.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection failed; a new one may work.
    #[error("the replication stream ended")]
    Replication(#[from] ReplicationError),
    /// The stream makes no sense; a new one starts at the last confirmed transaction.
    #[error("the replication stream cannot be decoded")]
    Decode(#[from] DecodeError),
}

/// Reads one stream.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    pace: Pace,
    decoder: Decoder,
    hub: Arc<Hub>,
    metrics: SubscriptionMetrics,
    /// What the slot may be told, since it is stored.
    confirmable: watch::Receiver<Lsn>,
    tables: tokio::sync::mpsc::Sender<Relation>,
    reports: Interval,
    reply_requested: bool,
    guest: Option<Reading>,
}

impl Reader {
    /// A reader of a stream that has started. It reports at least every `report_interval`, also when nothing is read.
    /// Tables that the stream describes are announced on `tables`, as long as there is room.
    pub fn new(
        connection: Connection,
        decoder: Decoder,
        hub: Arc<Hub>,
        metrics: SubscriptionMetrics,
        confirmable: watch::Receiver<Lsn>,
        tables: tokio::sync::mpsc::Sender<Relation>,
        report_interval: Duration,
    ) -> Self {
        let mut reports = tokio::time::interval(report_interval);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pace: Pace::new(connection.little_bytes(), Instant::now()),
            connection,
            decoder,
            hub,
            metrics,
            confirmable,
            tables,
            reports,
            reply_requested: false,
            guest: None,
        }
    }

    /// The same, beside the configured subscription: reads only what memory is left for.
    #[must_use]
    pub fn as_guest(mut self, guest: Option<Reading>) -> Self {
        self.guest = guest;
        self
    }

    /// Reads until `stop`, and then leaves the slot with a last report.
    ///
    /// # Errors
    /// [`ReadError`] when the stream cannot be read on.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Self, ReadError> {
        loop {
            let may_read = self.may_read();
            tokio::select! {
                biased;
                // Stopping comes first, or a busy stream could not be stopped.
                () = stop.cancelled() => return Ok(self),
                // Reports keep the connection alive and let PostgreSQL forget WAL; they are rare.
                _ = self.reports.tick() => self.report().await?,
                Ok(()) = self.confirmable.changed() => self.report().await?,
                // Either there is room to read, or room is waited for.
                filled = fill(&mut self.connection, &mut self.pace), if may_read => {
                    filled?;
                    self.take_frames()?;
                    if self.reply_requested {
                        self.report().await?;
                    }
                }
                () = self.hub.room(), if !may_read => {}
                Some(()) = changed(&mut self.guest), if !may_read => {}
            }
        }
    }

    /// There is room for more: in the subscription, and in memory.
    fn may_read(&mut self) -> bool {
        let in_transaction = self.decoder.in_transaction();
        let (has_room, unacked) =
            self.hub.with(|subscription| (subscription.may_read(in_transaction), subscription.unacked()));
        match &mut self.guest {
            Some(guest) => guest.may_read(has_room, unacked.bytes, self.decoder.held_bytes()),
            None => has_room,
        }
    }

    /// Reports what may be confirmed now, and ends the stream.
    ///
    /// # Errors
    /// [`ReplicationError`] when the server cannot be told; it will send what is not confirmed again.
    pub async fn finish(mut self) -> Result<(), ReplicationError> {
        let confirmed = *self.confirmable.borrow_and_update();
        self.connection.report(confirmed, confirmed).await?;
        self.connection.finish().await
    }

    /// Decodes all that was received, and hands it on at once.
    fn take_frames(&mut self) -> Result<(), ReadError> {
        let mut items: Vec<Item> = Vec::new();
        while let Some(frame) = self.connection.next_frame()? {
            match self.decode(frame)? {
                Decoded::Nothing => {}
                Decoded::Items(more) => append(&mut items, more),
                Decoded::Committed { items: more, end_lsn } => {
                    append(&mut items, more);
                    self.hand_on(std::mem::take(&mut items), Some(end_lsn));
                }
                // The watcher looks at all tables from time to time; a hint that is lost costs a second.
                Decoded::Table { relation } => drop(self.tables.try_send(relation)),
            }
        }
        if !items.is_empty() {
            self.hand_on(items, None);
        }
        Ok(())
    }

    fn decode(&mut self, frame: Frame) -> Result<Decoded, ReadError> {
        match frame {
            Frame::XLogData { start, payload } => {
                self.metrics.wal_messages.inc();
                return Ok(self.decoder.message(start, payload)?);
            }
            Frame::LargeXLogData { start, payload_bytes } => {
                self.metrics.wal_messages.inc();
                self.decoder.large_message(start, payload_bytes);
            }
            Frame::Piece(piece) => return Ok(self.decoder.piece(piece)?),
            Frame::Keepalive { wal_end, reply_requested } => {
                self.reply_requested |= reply_requested;
                if !self.decoder.in_transaction() {
                    self.hub.with(|subscription| subscription.keepalive(wal_end));
                }
            }
            Frame::Done | Frame::Error(_) => {}
        }
        Ok(Decoded::Nothing)
    }

    fn hand_on(&self, items: Vec<Item>, committed: Option<Lsn>) {
        self.metrics.count_items(&items);
        self.metrics.rows_skipped.set_to(self.decoder.rows_skipped());
        self.hub.push(items, committed);
    }

    async fn report(&mut self) -> Result<(), ReplicationError> {
        self.reply_requested = false;
        let confirmed = *self.confirmable.borrow_and_update();
        let received = self.hub.with(|subscription| subscription.received());
        self.connection.report(received, confirmed).await
    }
}

/// Waits for bytes and takes in what is there. Nothing is lost when it is cancelled.
async fn fill(connection: &mut Connection, pace: &mut Pace) -> Result<(), ReplicationError> {
    if pace.may_rest(Instant::now()) {
        tokio::time::sleep(REST).await;
    }
    let bytes = connection.fill().await?;
    pace.read(bytes, Instant::now());
    Ok(())
}

/// Waits until a guest may do something else; gives nothing when there is none.
async fn changed(guest: &mut Option<Reading>) -> Option<()> {
    guest.as_mut()?.changed().await;
    Some(())
}

fn append(items: &mut Vec<Item>, mut more: Vec<Item>) {
    if items.is_empty() {
        *items = more;
    } else {
        items.append(&mut more);
    }
}
