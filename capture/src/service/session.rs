//! One consumer's stream: takes its frames, sends what its credit allows, watches its lease.

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::{debug, info};
use twinroute_proto::capture::v1 as proto;
use twinroute_proto::capture::v1::subscribe_response::Frame as Response;

use crate::catalog::Catalog;
use crate::config::CaptureSettings;
use crate::hub::Ending;
use crate::live::Live;
use crate::state::{Request, Running};
use crate::subscription::{ConsumerKey, OutFrame};
use crate::wire::{self, InFrame};

/// Version of the protocol that this build speaks.
const PROTOCOL_VERSION: u32 = 1;

type Outgoing = mpsc::Sender<Result<proto::SubscribeResponse, Status>>;

/// A stream that was just opened.
pub(super) struct Session {
    pub(super) catalog: Arc<Catalog>,
    pub(super) live: Live,
    pub(super) settings: Arc<CaptureSettings>,
    pub(super) shutdown: CancellationToken,
    pub(super) incoming: Streaming<proto::SubscribeRequest>,
    pub(super) frames: Outgoing,
}

/// A stream that has said Hello.
struct Joined {
    session: Session,
    running: Running,
    key: ConsumerKey,
    consumer_id: String,
    last_heartbeat: Instant,
}

impl Session {
    /// Serves the stream to its end. `Err` tells the consumer why it ends.
    pub(super) async fn run(mut self) -> Result<(), Status> {
        let hello = self.hello().await?;
        let running = self.admit(&hello).await?;
        let consumer_id = hello.consumer_id;
        let hub = Arc::clone(&running.hub);
        let subscription = hub.identity.subscription.clone();
        let bounds = hub.with(|subscription| subscription.bounds());
        let welcome = wire::welcome(&hub.identity, bounds, &self.settings.stream);
        self.frames.send(Ok(welcome)).await.map_err(|_| Status::cancelled("the consumer is gone"))?;
        let (key, waker) = hub.join(&consumer_id);
        info!(subscription, consumer_id, "a consumer joined");
        let mut joined = Joined { session: self, running, key, consumer_id, last_heartbeat: Instant::now() };
        let ended = joined.serve(&waker).await;
        hub.leave(key);
        let reason = ended.as_ref().err().map_or("it closed the stream", Status::message);
        info!(subscription, consumer_id = joined.consumer_id, reason, "a consumer left");
        ended
    }

    /// The first frame, which must come within a lease.
    async fn hello(&mut self) -> Result<proto::Hello, Status> {
        let first = timeout(self.settings.stream.lease(), self.incoming.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no Hello came within a lease"))??;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream ended before Hello"))?;
        match InFrame::try_from(first) {
            Ok(InFrame::Hello(hello)) if hello.protocol_version == PROTOCOL_VERSION => Ok(hello),
            Ok(InFrame::Hello(hello)) => Err(Status::invalid_argument(format!(
                "Hello.protocol_version is {}, and this capture speaks {PROTOCOL_VERSION}",
                hello.protocol_version
            ))),
            Ok(_) => Err(Status::invalid_argument("the first frame must be Hello")),
            Err(error) => Err(Status::invalid_argument(error.to_string())),
        }
    }
}

impl Joined {
    async fn serve(&mut self, waker: &tokio::sync::Notify) -> Result<(), Status> {
        let hub = Arc::clone(&self.running.hub);
        let frames = self.session.frames.clone();
        let shutdown = self.session.shutdown.clone();
        let stream = &self.session.settings.stream;
        let grace = self.session.settings.shutdown.grace() / 2;
        let lease = stream.lease();
        let mut progress = interval(Duration::from_millis(stream.progress_interval_ms));
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_work = true;
        let mut told_to_leave = false;
        loop {
            let lease_over = self.last_heartbeat.elapsed() > lease;
            tokio::select! {
                biased;
                // What was sent may be sent again by another capture, or nobody is to have it any more.
                ending = hub.closed() => return Err(self.closed(ending)),
                // Once: settle what there is and leave; others wait for the subscription.
                () = shutdown.cancelled(), if !told_to_leave => {
                    told_to_leave = true;
                    let reason = "capture is stopping".to_owned();
                    let go_away = OutFrame::GoAway { reason, deadline: grace };
                    drop(frames.try_send(Ok(go_away.into())));
                }
                // Rare, and must not be held up by a busy stream.
                _ = progress.tick() => self.look_at_clock()?,
                // Everything that has arrived is read before the lease is judged.
                frame = self.session.incoming.message() => match frame {
                    Ok(Some(frame)) => {
                        self.take(frame).await?;
                        has_work = true;
                    }
                    Ok(None) => return Ok(()),
                    Err(status) => {
                        debug!(consumer_id = self.consumer_id, %status, "a consumer's stream broke");
                        return Ok(());
                    }
                },
                () = ready(()), if lease_over => {
                    return Err(Status::aborted(format!("no Heartbeat came within the lease of {lease:?}")));
                }
                // A place in the queue first, then the work.
                permit = frames.reserve(), if has_work => {
                    let permit = permit.map_err(|_| Status::cancelled("the consumer is gone"))?;
                    match hub.with(|subscription| subscription.next_frame(self.key)) {
                        Some(frame) => permit.send(Ok(self.encode(frame))),
                        None => has_work = false,
                    }
                }
                () = waker.notified() => {
                    has_work = true;
                    if !hub.with(|subscription| subscription.has(self.key)) {
                        let reason = format!("another stream with consumer_id `{}` took over", self.consumer_id);
                        return Err(Status::already_exists(self.go_away(reason)));
                    }
                }
            }
        }
    }

    /// Takes back what was not released in time, and tells the consumer how far the stream is, unless it is stuck.
    fn look_at_clock(&self) -> Result<(), Status> {
        let is_stuck = self.running.hub.with(|subscription| {
            subscription.tick(Instant::now());
            subscription.progress(self.key);
            subscription.is_stuck(self.key)
        });
        self.running.hub.wake_consumers();
        if is_stuck {
            return Err(Status::aborted(format!(
                "nothing was acknowledged for {:?}, which is stream.unacked_age_max_ms, while others acknowledged",
                self.session.settings.stream.unacked_age_max()
            )));
        }
        Ok(())
    }

    /// What the consumer is told when the hub is closed.
    fn closed(&self, ending: Ending) -> Status {
        match ending {
            Ending::Lost => Status::unavailable("capture lost its place in PostgreSQL; connect again"),
            Ending::Deleted => {
                let name = &self.running.hub.identity.subscription;
                Status::not_found(self.go_away(format!("subscription `{name}` was deleted")))
            }
            Ending::Behind(reason) => Status::resource_exhausted(self.go_away(reason)),
        }
    }

    /// Tells the consumer to go, if the queue has room for it; the status says it again.
    fn go_away(&self, reason: String) -> String {
        let go_away = OutFrame::GoAway { reason: reason.clone(), deadline: Duration::ZERO };
        drop(self.session.frames.try_send(Ok(go_away.into())));
        reason
    }

    fn encode(&self, frame: OutFrame) -> proto::SubscribeResponse {
        let response = proto::SubscribeResponse::from(frame);
        if let Some(Response::Batches(batches)) = &response.frame {
            let items = batches.batches.iter().map(|batch| batch.items.len() as u64).sum();
            self.running.metrics.items_sent.inc_by(items);
        }
        response
    }

    /// Obeys a frame.
    async fn take(&mut self, frame: proto::SubscribeRequest) -> Result<(), Status> {
        let frame = InFrame::try_from(frame).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let hub = &self.running.hub;
        let (key, now) = (self.key, Instant::now());
        let broken = |error: crate::subscription::ProtocolError| Status::invalid_argument(error.to_string());
        match frame {
            InFrame::Hello(_) => return Err(Status::invalid_argument("Hello came twice")),
            InFrame::Credit { events, bytes } => {
                hub.with(|subscription| subscription.credit(key, events, bytes));
            }
            InFrame::Ack { acks, consumer_version } => {
                self.store_version(consumer_version).await?;
                hub.with(|subscription| subscription.ack(key, acks.into_iter(), now)).map_err(broken)?;
                hub.settled();
            }
            InFrame::Heartbeat(n) => {
                self.last_heartbeat = now;
                hub.with(|subscription| subscription.heartbeat(key, n));
            }
            InFrame::Released(assignment_id) => {
                hub.with(|subscription| subscription.released(key, assignment_id, now)).map_err(broken)?;
                hub.wake_consumers();
            }
            InFrame::Drain => {
                hub.with(|subscription| subscription.drain(key, now));
                hub.wake_consumers();
            }
        }
        Ok(())
    }

    /// A version that is higher than any before is stored before the ack that brought it is applied.
    async fn store_version(&self, version: u64) -> Result<(), Status> {
        let running = &self.running;
        if version <= running.hub.with(|subscription| subscription.min_consumer_version()) {
            return Ok(());
        }
        let Some(requests) = &running.requests else {
            running.hub.with(|subscription| subscription.consumer_version(version));
            return Ok(());
        };
        let (stored, answer) = oneshot::channel();
        let deadline = self.session.settings.postgres.answer_deadline();
        let store = async {
            requests.send(Request::Version { version, stored }).await.map_err(drop)?;
            answer.await.map_err(drop)
        };
        match timeout(deadline, store).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Status::unavailable("consumer_version could not be stored; connect again")),
        }
    }
}
