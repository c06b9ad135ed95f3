//! What the worker sends to capture: control frames at once, acknowledgements and credit gathered into few frames.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use twinroute_proto::capture::v1::SubscribeRequest;

use super::frames;
use crate::settlement::{CreditBack, Settlement};

/// Frames between the worker and the connection. When capture does not read, acknowledgements and credit are gathered
/// on, which takes no memory.
pub(super) const FRAMES_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Outbox {
    frames: mpsc::Sender<SubscribeRequest>,
    /// Frames that go before acknowledgements and credit. Few: one per heartbeat and assignment.
    control: VecDeque<SubscribeRequest>,
    interval: Duration,
    /// Credit is given back early when this much has come together.
    enough: CreditBack,
    flushed_at: Instant,
    /// No credit is given while more is in the worker than a little.
    keeps_credit: bool,
    /// So many bytes are a little: what no endpoint takes must not stop the others.
    little_bytes: u64,
    full: bool,
}

/// The connection takes nothing more.
#[derive(Debug)]
pub(super) struct ConnectionClosed;

impl Outbox {
    /// `credit` is what capture was given in all.
    pub(super) fn new(
        frames: mpsc::Sender<SubscribeRequest>,
        interval: Duration,
        credit: CreditBack,
        now: Instant,
    ) -> Self {
        let enough = CreditBack { events: credit.events / 4, bytes: credit.bytes / 4 };
        let control = VecDeque::from([frames::credit(credit)]);
        let little_bytes = credit.bytes / 4;
        Self {
            frames,
            control,
            interval,
            enough,
            flushed_at: now,
            keeps_credit: false,
            little_bytes,
            full: false,
        }
    }

    /// Keeps the credit that comes free, or gives it again. Whoever has only a little is given some in any case: the largest
    /// event gets through however little memory there is.
    pub(super) fn keep_credit(&mut self, keeps_credit: bool) {
        self.keeps_credit = keeps_credit;
    }

    fn credit_to_give(&self, settlement: &Settlement) -> CreditBack {
        let is_kept = self.keeps_credit && settlement.unsettled_bytes() > self.little_bytes;
        if is_kept { CreditBack::default() } else { settlement.credit_back() }
    }

    pub(super) fn push(&mut self, frame: SubscribeRequest) {
        self.control.push_back(frame);
    }

    /// Puts what can be acknowledged before the control frames that follow.
    pub(super) fn push_acks(&mut self, settlement: &mut Settlement, version: u64) {
        if settlement.has_acks() {
            self.control.push_back(frames::ack(settlement.take_acks(), version));
        }
    }

    /// When [`Outbox::flush_due`] has something to send; `None` when there is nothing, or no room.
    pub(super) fn due_at(&self, settlement: &Settlement) -> Option<Instant> {
        let back = self.credit_to_give(settlement);
        let gathered = settlement.has_acks() || back.events > 0;
        (gathered && !self.full).then(|| {
            let enough = back.events >= self.enough.events || back.bytes >= self.enough.bytes;
            if enough { self.flushed_at } else { self.flushed_at + self.interval }
        })
    }

    /// Sends what is due, as far as the connection takes it.
    pub(super) fn flush_due(
        &mut self,
        settlement: &mut Settlement,
        version: u64,
        now: Instant,
    ) -> Result<(), ConnectionClosed> {
        if self.due_at(settlement).is_some_and(|due_at| due_at <= now) {
            self.flushed_at = now;
            self.push_acks(settlement, version);
            if self.credit_to_give(settlement).events > 0 {
                self.push(frames::credit(settlement.take_credit_back()));
            }
        }
        while let Some(frame) = self.control.pop_front() {
            match self.frames.try_send(frame) {
                Ok(()) => self.full = false,
                Err(TrySendError::Closed(_)) => return Err(ConnectionClosed),
                Err(TrySendError::Full(frame)) => {
                    self.control.push_front(frame);
                    self.full = true;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Resolves when a connection that was full takes a frame, or nothing ever again.
    pub(super) async fn room(&self) {
        if !self.full {
            std::future::pending::<()>().await;
        }
        let _closed = self.frames.reserve().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settlement::ItemRef;
    use twinroute_common::partition::Epoch;
    use twinroute_proto::capture::v1::subscribe_request::Frame;

    const CREDIT: CreditBack = CreditBack { events: 8, bytes: 800 };
    const INTERVAL: Duration = Duration::from_millis(5);

    /// A settlement in which this many items of one batch were just settled.
    fn settle(settlement: &mut Settlement, count: u32) {
        let lease = settlement.grant(1, Epoch::default());
        let received = settlement.receive(lease, 1, (0..count).map(|_| 10), Instant::now());
        assert_eq!(received, Ok(()));
        for item in 0..count {
            settlement.dispatched(ItemRef { lease, batch: 1, item, partition: 1 }, 0);
        }
    }

    fn kinds(frames: &mut mpsc::Receiver<SubscribeRequest>) -> Vec<&'static str> {
        std::iter::from_fn(|| frames.try_recv().ok())
            .map(|request| match request.frame {
                Some(Frame::Credit(_)) => "credit",
                Some(Frame::Ack(_)) => "ack",
                Some(Frame::Heartbeat(_)) => "heartbeat",
                _ => "other",
            })
            .collect()
    }

    #[test]
    fn a_little_is_gathered_and_much_is_sent_at_once() {
        // given an outbox whose first credit is sent
        let start = Instant::now();
        let (sender, mut frames) = mpsc::channel(FRAMES_MAX);
        let mut outbox = Outbox::new(sender, INTERVAL, CREDIT, start);
        let mut settlement = Settlement::default();
        assert!(outbox.flush_due(&mut settlement, 1, start).is_ok());
        assert_eq!(kinds(&mut frames), ["credit"]);

        // one item waits for the interval
        settle(&mut settlement, 1);
        assert_eq!(outbox.due_at(&settlement), Some(start + INTERVAL));
        assert!(outbox.flush_due(&mut settlement, 1, start).is_ok());
        assert_eq!(kinds(&mut frames), [""; 0]);
        assert!(outbox.flush_due(&mut settlement, 1, start + INTERVAL).is_ok());
        assert_eq!(kinds(&mut frames), ["ack", "credit"]);

        // a quarter of the credit does not
        settle(&mut settlement, 2);
        assert!(outbox.flush_due(&mut settlement, 1, start + INTERVAL).is_ok());
        assert_eq!(kinds(&mut frames), ["ack", "credit"]);
    }

    #[test]
    fn while_memory_is_short_credit_is_kept_until_little_is_in_the_worker() {
        // given an outbox that keeps credit, and items that are settled beside a small one and a large one that are not
        let start = Instant::now();
        let (sender, mut frames) = mpsc::channel(FRAMES_MAX);
        let mut outbox = Outbox::new(sender, INTERVAL, CREDIT, start);
        outbox.keep_credit(true);
        let mut settlement = Settlement::default();
        let lease = settlement.grant(2, Epoch::default());
        assert_eq!(settlement.receive(lease, 1, [10, 300].into_iter(), start), Ok(()));
        settle(&mut settlement, 4);
        let mut now = start;
        let mut flushed = |outbox: &mut Outbox, settlement: &mut Settlement| {
            now += INTERVAL;
            assert!(outbox.flush_due(settlement, 1, now).is_ok());
            (kinds(&mut frames), outbox.due_at(settlement))
        };

        // then they are acknowledged, and no credit is given
        assert_eq!(flushed(&mut outbox, &mut settlement), (vec!["credit", "ack"], None));
        // when there is memory again, it is
        outbox.keep_credit(false);
        assert_eq!(flushed(&mut outbox, &mut settlement), (vec!["credit"], None));
        // when it is short, and the large one is settled, its credit is given as well: the small one may stay for ever
        outbox.keep_credit(true);
        settlement.dispatched(ItemRef { lease, batch: 1, item: 1, partition: 2 }, 0);
        assert_eq!(flushed(&mut outbox, &mut settlement), (vec!["credit"], None));
    }

    #[tokio::test]
    async fn a_connection_that_takes_nothing_is_waited_for() {
        // given a connection with room for one frame
        let start = Instant::now();
        let (sender, mut frames) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender, INTERVAL, CREDIT, start);
        let mut settlement = Settlement::default();
        outbox.push(frames::heartbeat(1));
        settle(&mut settlement, 4);

        // when more is sent, it waits, and nothing is due
        assert!(outbox.flush_due(&mut settlement, 1, start).is_ok());
        assert_eq!(outbox.due_at(&settlement), None);
        assert_eq!(kinds(&mut frames), ["credit"]);

        // then it follows in order when there is room
        outbox.room().await;
        assert!(outbox.flush_due(&mut settlement, 1, start).is_ok());
        assert_eq!(kinds(&mut frames), ["heartbeat"]);
    }
}
