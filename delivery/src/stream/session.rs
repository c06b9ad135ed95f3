//! One stream's life: one loop that receives, dispatches, settles, acknowledges and keeps time.

mod intake;
mod poison;

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tonic::Streaming;
use tracing::{debug, info, warn};
use twinroute_common::partition::Epoch;
use twinroute_common::render::Renderer;
use twinroute_proto::capture::v1::SubscribeResponse;

use super::connect::Connected;
use super::error::StreamError;
use super::fence::Heartbeats;
use super::frames::{self, Assignment, Granted, InFrame};
use super::last_seen::LastSeen;
use super::leases::Leases;
use super::outbox::{ConnectionClosed, Outbox};
use super::recall::recall_release;
use super::{StreamContext, frames::Welcome};
use crate::dispatch::Dispatcher;
use crate::holdings::Holding;
use crate::settlement::{CreditBack, ItemRef, Settlement};

/// Notices of endpoints taken at a time.
const NOTICES_MAX: usize = 64;
/// How often numbers are shown.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long capture may take to end a stream that the worker has ended.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// One stream's life.
pub(super) struct Session<'c> {
    context: &'c mut StreamContext,
    last_seen: &'c mut LastSeen,
    incoming: Streaming<SubscribeResponse>,
    outbox: Outbox,
    dispatcher: Dispatcher,
    settlement: &'c mut Settlement,
    leases: Leases,
    heartbeats: Heartbeats,
    /// Releases whose leases are being cut off at the endpoints.
    recalls: FuturesUnordered<BoxFuture<'static, u64>>,
    /// Letters of poison items that are being written.
    letters: poison::Letters,
    /// The latest version under which something was dispatched.
    version: u64,
    /// The worker is leaving, and until when it may take.
    drain_until: Option<Instant>,
    /// Capture's reason to close the stream, and when that is overdue.
    going_away: Option<(String, Instant)>,
    report_at: Instant,
}

impl<'c> Session<'c> {
    pub(super) fn new(
        context: &'c mut StreamContext,
        last_seen: &'c mut LastSeen,
        settlement: &'c mut Settlement,
        connected: Connected,
    ) -> Self {
        let Connected { incoming, outgoing, welcome, hello_sent_at } = connected;
        let Welcome { partition_count, lease, system_identifier, timeline, .. } = welcome;
        last_seen.welcomed(timeline);
        context.holdings.welcomed(partition_count);
        let settings = &context.settings;
        let credit = CreditBack { events: settings.credit_events_max, bytes: settings.credit_bytes_max };
        let now = Instant::now();
        let renderer = Renderer::new(&context.source, &system_identifier);
        let heartbeats = Heartbeats::new(lease, hello_sent_at);
        context.fence.open_until(heartbeats.writes_until());
        Self {
            incoming,
            outbox: Outbox::new(outgoing, settings.ack_interval(), credit, now),
            dispatcher: Dispatcher::new(context.routing.clone(), renderer),
            settlement,
            leases: Leases::default(),
            heartbeats,
            recalls: FuturesUnordered::new(),
            letters: poison::Letters::new(),
            version: context.routing.load().version,
            drain_until: None,
            going_away: None,
            report_at: now,
            context,
            last_seen,
        }
    }

    /// Follows the stream. `Ok` when the worker was told to leave and has given everything back.
    pub(super) async fn run(mut self) -> Result<(), StreamError> {
        let mut notices = Vec::new();
        let mut versions = self.context.routing.versions();
        let mut shortage = self.context.shortage.clone();
        let drain = self.context.drain.clone();
        loop {
            self.outbox.keep_credit(*shortage.borrow_and_update());
            let wake_at = self.keep_time()?;
            if self.drain_until.is_some() && self.leases.is_empty() {
                self.end().await;
                return Ok(());
            }
            tokio::select! {
                biased;
                // Rare, and waited for by others.
                () = drain.cancelled(), if self.drain_until.is_none() => self.begin_drain(),
                Some(release) = self.recalls.next() => self.finish_release(release),
                // What is settled makes room for what comes.
                count = self.context.settled.recv_many(&mut notices, NOTICES_MAX) => {
                    debug_assert!(count > 0, "the worker holds a sender");
                    self.settle(&mut notices);
                }
                // Partitions wait for it.
                Some(item) = self.letters.next() => self.pass_poison(item)?,
                Ok(()) = versions.changed() => self.dispatch_waiting()?,
                frame = self.incoming.message() => match frame {
                    Ok(Some(frame)) => self.take(InFrame::try_from(frame)?)?,
                    Ok(None) => return Err(self.closed()),
                    Err(status) => return Err(self.failed(status)),
                },
                () = self.outbox.room() => {}
                // It is when credit is given again.
                Ok(()) = shortage.changed() => {}
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
        }
    }

    fn settle(&mut self, notices: &mut Vec<Vec<ItemRef>>) {
        for item in notices.drain(..).flatten() {
            self.settlement.delivered(item);
        }
    }

    fn take(&mut self, frame: InFrame) -> Result<(), StreamError> {
        match frame {
            InFrame::Batches(batches) => self.take_batches(batches)?,
            InFrame::Assignment(assignment) => self.take_assignment(assignment),
            InFrame::HeartbeatSeen(n) => {
                self.heartbeats.answered(n);
                self.context.holdings.told();
                self.context.fence.open_until(self.heartbeats.writes_until());
            }
            InFrame::Fenced(fenced) => self.take_fenced(&fenced),
            InFrame::Progress => {}
            InFrame::GoAway { reason, deadline } => {
                info!(reason, "capture is about to close the stream");
                self.going_away = Some((reason, Instant::now() + deadline + END_TIMEOUT));
            }
            InFrame::Welcome(_) => return Err(StreamError::Protocol("a second Welcome".to_owned())),
        }
        Ok(())
    }

    fn take_assignment(&mut self, assignment: Assignment) {
        let Assignment { id, granted, revoked, deadline, min_version } = assignment;
        debug!(id, granted = granted.len(), revoked = revoked.len(), min_version, "assignment");
        if !revoked.is_empty() {
            self.leases.revoke(id, &revoked, deadline, Instant::now());
        }
        if min_version > self.version {
            warn!(version = self.version, min_version, "partitions wait for a newer route table");
        }
        let holdings = granted.into_iter().map(|Granted { partition, epoch, resume_after }| {
            let lease = self.settlement.grant(partition, epoch);
            self.leases.grant(partition, lease, epoch, min_version);
            let settled = resume_after.map(|position| position.sequence());
            (partition, Holding { lease, epoch, settled })
        });
        self.context.holdings.grant(holdings);
        self.report();
    }

    fn take_fenced(&mut self, fenced: &[(u32, Epoch)]) {
        info!(partitions = fenced.len(), "capture has given partitions to another worker");
        self.leases.fenced(fenced, Instant::now());
    }

    fn begin_drain(&mut self) {
        info!(partitions = self.leases.len(), unsettled = self.settlement.unsettled(), "leaving the stream");
        self.drain_until = Some(Instant::now() + self.context.drain_timeout);
        self.outbox.push(frames::drain());
    }

    /// Does what is due: releases, heartbeats, acknowledgements, numbers. When to come back.
    fn keep_time(&mut self) -> Result<Instant, StreamError> {
        let now = Instant::now();
        // Also when nothing is in delivery any more: endpoints may deliver what was parked.
        while let Some((release, leases)) = self.leases.next_recall(self.settlement, now) {
            // Before the endpoints are told, so that none of them looks again what is parked there.
            self.context.holdings.end(|lease| leases.contains(&lease));
            let routing = self.context.routing.load();
            self.recalls.push(recall_release(&routing, release, &leases));
        }
        if self.heartbeats.lost_at() <= now {
            return Err(StreamError::LeaseLost);
        }
        if let Some((reason, until)) = &self.going_away
            && *until <= now
        {
            return Err(StreamError::GoAway(reason.clone()));
        }
        if self.drain_until.is_some_and(|until| until <= now) {
            return Err(StreamError::NotDrained);
        }
        if self.heartbeats.due_at() <= now {
            let n = self.heartbeats.send(now);
            self.outbox.push(frames::heartbeat(n));
        }
        if self.report_at <= now {
            self.report();
            self.report_at = now + REPORT_INTERVAL;
        }
        let flushed = self.outbox.flush_due(self.settlement, self.version, now);
        flushed.map_err(|ConnectionClosed| self.closed())?;
        let moments = [self.heartbeats.due_at(), self.heartbeats.lost_at(), self.report_at];
        let going_away = self.going_away.as_ref().map(|(_, until)| *until);
        let rare = self.leases.overdue_at().into_iter().chain(going_away).chain(self.drain_until);
        let due = moments.into_iter().chain(rare).chain(self.outbox.due_at(self.settlement)).min();
        Ok(due.unwrap_or(self.report_at))
    }

    /// Nothing of a release is worked on any more: what was settled is acknowledged before it is given back.
    fn finish_release(&mut self, release: u64) {
        let Some((leases, assignment)) = self.leases.finish(release) else { return };
        // What the endpoints settled before they let go was told before.
        while let Ok(notice) = self.context.settled.try_recv() {
            self.settle(&mut vec![notice]);
        }
        self.outbox.push_acks(self.settlement, self.version);
        for lease in leases.iter() {
            self.settlement.end(*lease);
        }
        if let Some(assignment) = assignment {
            self.outbox.push(frames::released(assignment));
        }
        self.report();
    }

    fn closed(&self) -> StreamError {
        match &self.going_away {
            Some((reason, _)) => StreamError::GoAway(reason.clone()),
            None => StreamError::Closed,
        }
    }

    fn failed(&self, status: tonic::Status) -> StreamError {
        match (status.code(), &self.going_away) {
            // Capture's answer to the older of two streams with one name.
            (tonic::Code::AlreadyExists, _) => StreamError::Replaced {
                worker_id: self.context.worker_id.clone(),
                reason: status.message().to_owned(),
            },
            (_, Some((reason, _))) => StreamError::GoAway(reason.clone()),
            (_, None) => status.into(),
        }
    }

    /// Sends what there is and waits for capture to end the stream, so that the last frames arrive.
    async fn end(self) {
        let Self { mut incoming, outbox, .. } = self;
        drop(outbox);
        let ended = async { while let Ok(Some(_)) = incoming.message().await {} };
        if tokio::time::timeout(END_TIMEOUT, ended).await.is_err() {
            debug!("capture did not end the stream");
        }
    }

    fn report(&self) {
        let metrics = &self.context.metrics;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let unsettled = self.settlement.unsettled();
        metrics.unsettled_events.set(number(unsettled));
        let credit = self.context.settings.credit_events_max;
        metrics.credit_events.set(number(credit.saturating_sub(unsettled)));
        let oldest = self.settlement.oldest_received_at();
        let age = oldest.map_or(0.0, |oldest| oldest.elapsed().as_secs_f64());
        metrics.oldest_unsettled_age_seconds.set(age);
        metrics.partitions.set(number(self.leases.len() as u64));
        metrics.poisoned_partitions.set(number(self.leases.poisoned() as u64));
        metrics.partitions_awaiting_routes.set(number(self.leases.awaiting(self.version) as u64));
        if self.leases.poisoned() == 0 {
            self.context.poison.send_if_modified(|poison| poison.take().is_some());
        }
    }
}
