//! The task of an endpoint: moves deliveries from its queue through its lane to its sink, and answers back.

mod ending;
mod overflow;
mod park;
mod redrive;
mod state;
mod wait;

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};
use twinroute_common::backoff::Backoff;
use twinroute_common::outage::Outage;
use twinroute_common::route::Endpoint;

use self::park::{is_parked_always, limit, parking};
use self::wait::{changed, now, receive, until};
use super::diversion::Diversion;
use super::health::Health;
use super::lane::{Lane, LanePolicy, Refusal, RefusalKind};
use super::letters::Letters;
use super::parking::Parking;
use super::redriving::Redriving;
use super::report::EndpointReport;
use super::silence::Silence;
use super::{EndpointContext, LeaseSet, Redrive, Work};
use crate::backlog::shelf::Trouble;
use crate::delivery::Origin;
use crate::holdings::Held;
use crate::letter_box::LetterBox;
use crate::metrics::EndpointCounters;
use crate::settlement::ItemRef;
use crate::sink::{InFlight, Outcome, Reachability, Sink, Verdict};

/// Messages taken from the queue at a time.
const WORKS_MAX: usize = 64;
/// How often numbers are reported and, while the fence is closed, whether it has opened.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const FENCE_INTERVAL: Duration = Duration::from_millis(50);
/// How often is looked whether other endpoints have left space.
const SPACE_INTERVAL: Duration = Duration::from_millis(20);
/// Without a sink nothing is handed over.
const NO_SINK: InFlight = InFlight { events_max: 0, events_per_key_max: 0 };

pub(super) struct Task {
    endpoint: Endpoint,
    context: EndpointContext,
    works: mpsc::Receiver<Work>,
    redrives_waiting: mpsc::Receiver<Redrive>,
    report: watch::Sender<EndpointReport>,
    counters: EndpointCounters,
    lane: Lane,
    health: Health,
    sink: Option<Sink>,
    /// Why the sink could not be started.
    refused: Option<String>,
    /// When to try to start it again.
    start_at: Option<Instant>,
    start_backoff: Backoff,
    silence: Silence,
    /// Where dead letters go; `None` when the endpoint has no container.
    letter_box: Option<LetterBox>,
    letters: Letters,
    letters_outage: Outage,
    redriving: Redriving,
    settled: Vec<Origin>,
    /// Items that need nothing more.
    notices: Vec<ItemRef>,
    held: watch::Receiver<Held>,
    parking: Parking,
    diversion: Diversion,
    /// Why events cannot be parked or read back.
    trouble: Option<Trouble>,
}

impl Task {
    pub(super) fn new(
        endpoint: Endpoint,
        works: mpsc::Receiver<Work>,
        redrives_waiting: mpsc::Receiver<Redrive>,
        context: EndpointContext,
    ) -> (Self, watch::Receiver<EndpointReport>) {
        let policy = LanePolicy::of(&endpoint, &context.settings);
        let health = Health::new(&endpoint.name, SystemTime::now());
        let (report, reports) = watch::channel(EndpointReport {
            state: health.state,
            since: health.since,
            last_error: String::new(),
            refused: None,
            undelivered: 0,
            oldest: None,
            parked_events: 0,
            parked_bytes: 0,
            is_unknown: context.parking.is_some(),
            damaged_segments: Vec::new(),
            damaged_count: 0,
        });
        let mut held = context.holdings.watch();
        held.mark_changed();
        let counters = context.metrics.of(&endpoint.name);
        let parking = parking(&endpoint, &context, &counters);
        let task = Self {
            counters,
            letter_box: ending::letter_box(&endpoint, &context),
            letters: Letters::default(),
            redriving: Redriving::new(),
            letters_outage: Outage::new("write dead letters", endpoint.name.clone()),
            lane: Lane::new(policy, NO_SINK, context.spaces.in_flight.share()),
            start_backoff: Backoff::new(policy.backoff.initial, policy.backoff.max),
            endpoint,
            context,
            works,
            redrives_waiting,
            report,
            health,
            sink: None,
            refused: None,
            start_at: None,
            silence: Silence::default(),
            settled: Vec::new(),
            notices: Vec::new(),
            held,
            parking,
            diversion: Diversion::default(),
            trouble: None,
        };
        (task, reports)
    }

    /// Runs until all handles are gone; then discards what is not delivered.
    pub(super) async fn run(mut self) {
        let mut answers = Vec::new();
        let mut works = Vec::new();
        let mut tick = tokio::time::interval(REPORT_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.start_sink();
        loop {
            let wake_at = self.wake_at();
            let (outcomes, reachability) = match &mut self.sink {
                Some(sink) => (Some(&mut sink.outcomes), Some(&mut sink.reachability)),
                None => (None, None),
            };
            tokio::select! {
                biased;
                // Answers make room at the sink and are the shortest way to an acknowledgement.
                count = receive(outcomes, &mut answers) => match count {
                    0 => self.sink_ended().await,
                    _ => self.take_answers(&mut answers),
                },
                // A letter that is written lets its key go on.
                written = self.letters.written() => self.take_written(written),
                deleted = self.redriving.deleted() => self.redriving.take_deleted(deleted),
                count = self.works.recv_many(&mut works, WORKS_MAX) => match count {
                    0 => break,
                    _ => for work in works.drain(..) {
                        self.take(work).await;
                    },
                },
                Some(redrive) = self.redrives_waiting.recv(), if self.redriving.has_room() => self.redrive(redrive),
                // Partitions come before their events; what is parked of them goes first.
                Ok(()) = self.held.changed() => self.follow_partitions(),
                done = self.parking.done() => self.parking.take(done, &mut self.lane, now(), &mut self.notices),
                () = changed(reachability) => self.reachability_changed(),
                _ = tick.tick() => self.look_at_ages(),
                () = until(wake_at) => {}
            }
            self.go_on().await;
            self.give_notice().await;
        }
        self.discard().await;
    }

    async fn take(&mut self, work: Work) {
        match work {
            Work::Deliver(deliveries) => {
                let now = now();
                let diverted = self.is_diverted(now);
                for delivery in deliveries {
                    if self.parking.lacks(&delivery.origin) {
                        self.follow_partitions();
                    }
                    self.parking.place(delivery, &mut self.lane, diverted, now);
                }
            }
            Work::Recall(leases, done) => self.recall(&leases, done).await,
            Work::Change(endpoint) => self.change(*endpoint).await,
            Work::Skip(object) => self.parking.skip(&object),
        }
    }

    async fn recall(&mut self, leases: &LeaseSet, done: oneshot::Sender<()>) {
        if self.lane.is_open(|lease| leases.contains(lease)) {
            self.close_sink().await;
            self.start_sink();
        }
        self.letters.forget(leases);
        self.sort_settled();
        let until = now() + self.context.settings.close_timeout();
        tokio::join!(
            self.redriving.release(leases, until),
            self.parking.release(leases, &mut self.lane, &mut self.notices, until),
        );
        self.give_notice().await;
        let _gone = done.send(());
    }

    async fn change(&mut self, endpoint: Endpoint) {
        let same_destination = endpoint.destination == self.endpoint.destination;
        self.endpoint = endpoint;
        let policy = LanePolicy::of(&self.endpoint, &self.context.settings);
        self.lane.set_policy(policy);
        self.change_ending();
        limit(&mut self.parking, &self.endpoint, &self.context);
        self.start_backoff = Backoff::new(policy.backoff.initial, policy.backoff.max);
        if !same_destination {
            info!(endpoint = %self.endpoint.name, undelivered = self.lane.len(), "endpoint has a new destination");
            self.close_sink().await;
            self.start_sink();
        }
    }

    fn start_sink(&mut self) {
        let now = now();
        match (self.context.start_sink)(&self.endpoint) {
            Ok(sink) => {
                self.lane.restart(sink.in_flight, now, &mut self.settled);
                self.sink = Some(sink);
                self.refused = None;
                self.start_at = None;
            }
            Err(error) => {
                self.refused = Some(error.to_string());
                self.start_at = Some(now + self.context.settings.blocked_retry());
            }
        }
    }

    /// Afterwards the old sink writes nothing more.
    async fn close_sink(&mut self) {
        let Some(sink) = self.sink.take() else { return };
        let mut answers = sink.close(self.context.settings.close_timeout()).await;
        self.take_answers(&mut answers);
        self.silence.closed();
        self.lane.restart(NO_SINK, now(), &mut self.settled);
    }

    async fn sink_ended(&mut self) {
        self.close_sink().await;
        self.start_at = Some(now() + self.start_backoff.next());
        warn!(endpoint = %self.endpoint.name, "the endpoint's sink has ended by itself; it is started again");
    }

    fn take_answers(&mut self, answers: &mut Vec<Outcome>) {
        let now = now();
        let settled_before = self.settled.len();
        for outcome in answers.drain(..) {
            match &outcome.verdict {
                Verdict::Retryable(error) if !error.about_event => self.silence.refused(error, now),
                // The destination itself has said something, whatever it is.
                Verdict::Delivered | Verdict::Permanent(_) | Verdict::Retryable(_) => {
                    self.silence.end();
                    self.diversion.answered();
                }
            }
            if let Some(refusal) = self.lane.answer(outcome, now, &mut self.settled) {
                self.refused(&refusal);
            }
        }
        let delivered = self.settled.len() - settled_before;
        if delivered > 0 {
            self.counters.delivered.inc_by(delivered as u64);
            self.start_backoff.reset();
        }
    }

    fn refused(&mut self, refusal: &Refusal) {
        let Refusal { delivery, error, kind } = refusal;
        self.health.refused(error);
        if *kind == RefusalKind::Ends {
            return;
        }
        self.counters.retried.inc();
        if *kind == RefusalKind::Blocks {
            error!(
                endpoint = %self.endpoint.name,
                event_id = %delivery.event.id,
                partition = delivery.origin.partition(),
                code = error.code,
                "an event is refused for good and blocks what is behind it: {}; it is tried again every {} s",
                error.message,
                self.context.settings.blocked_retry().as_secs(),
            );
        }
    }

    fn reachability_changed(&mut self) {
        let Some(sink) = &mut self.sink else { return };
        if *sink.reachability.borrow_and_update() == Reachability::Connected {
            self.lane.reachable();
        }
    }

    /// Follows the state, parks what is to be parked, and hands over what may be handed over.
    async fn go_on(&mut self) {
        let now = now();
        self.sort_settled();
        if self.start_at.is_some_and(|at| at <= now) {
            self.start_sink();
        }
        self.follow_state(now);
        if self.is_diverted(now) && self.lane.of_stream() > 0 {
            self.divert(now).await;
        }
        if self.context.fence.may_write(now) {
            self.end_events(now);
            self.end_overflow(now);
            let conditions = self.conditions(now);
            self.parking.advance(&mut self.lane, conditions, now);
            if self.sink.is_some() && !self.hand_over(now) {
                self.sink_ended().await;
            }
        }
    }

    /// `false` when the sink takes nothing more, which is its end: the lane asks for no more than it has room for.
    fn hand_over(&mut self, now: Instant) -> bool {
        let is_away = self.is_away();
        let Some(sink) = &self.sink else { return true };
        while let Some(submission) = self.lane.next(now, is_away) {
            if sink.submissions.try_send(submission).is_err() {
                return false;
            }
        }
        true
    }

    fn wake_at(&self) -> Option<Instant> {
        let now = now();
        let may_write = self.context.fence.may_write(now);
        let lane = match &self.sink {
            None => None,
            Some(_) if may_write => self.lane.wake_at(),
            Some(_) if self.lane.is_empty() => None,
            // The fence tells nobody when it opens.
            Some(_) => Some(now + FENCE_INTERVAL),
        };
        let parking = self.parking.due_at(self.conditions(now)).map(|at| at.max(now));
        let parking = parking.map(|at| if may_write { at } else { now + FENCE_INTERVAL });
        let lacks_space = self.lane.lacks_space() || self.parking.lacks_space();
        let space = (lacks_space && may_write).then(|| now + SPACE_INTERVAL);
        lane.into_iter().chain(self.start_at).chain(parking).chain(space).min()
    }

    async fn give_notice(&mut self) {
        self.sort_settled();
        if !self.notices.is_empty() {
            let _worker_ends = self.context.settled.send(std::mem::take(&mut self.notices)).await;
        }
    }

    /// The endpoint is deleted, which its owner was told costs what it has not delivered.
    async fn discard(mut self) {
        self.close_sink().await;
        // What was delivered last is settled; a dead letter that was not stays one.
        self.sort_settled();
        self.redriving.release(&LeaseSet::All, now() + self.context.settings.close_timeout()).await;
        let mut discarded = self.lane.drain();
        discarded.retain(|origin| !matches!(origin, Origin::Redriven(_)));
        let held = Held::clone(&self.held.borrow());
        let (not_parked, parked, clear) = self.parking.discard(&held, is_parked_always(&self.endpoint));
        clear.await;
        let events = (discarded.len() + not_parked.len()) as u64 + parked;
        if events > 0 {
            self.counters.discarded.inc_by(events);
            warn!(endpoint = %self.endpoint.name, events, "endpoint is deleted; its events are discarded");
        }
        self.settled.extend(discarded);
        self.notices.extend(not_parked);
        self.give_notice().await;
        self.context.metrics.forget(&self.endpoint.name);
    }
}

#[cfg(test)]
mod tests;
