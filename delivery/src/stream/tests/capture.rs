//! A capture that the test plays: it accepts streams, and sends and takes frames one by one.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use twinroute_common::lsn::Lsn;
use twinroute_common::partition::Epoch;
use twinroute_common::position::Position;
use twinroute_proto::capture::v1 as proto;
use twinroute_proto::capture::v1::capture_service_server::{CaptureService, CaptureServiceServer};
use twinroute_proto::capture::v1::subscribe_request::Frame as Incoming;
use twinroute_proto::capture::v1::subscribe_response::Frame as Outgoing;
use twinroute_proto::event::v1 as event_proto;

use crate::test_scene::DEADLINE;

/// Epoch of every grant.
pub(super) const EPOCH: Epoch = Epoch { generation: 1, counter: 1 };

type Answer = Result<proto::SubscribeResponse, Status>;

/// Accepts streams.
pub(super) struct FakeCapture {
    pub(super) address: String,
    streams: mpsc::Receiver<FakeStream>,
}

/// One stream.
pub(super) struct FakeStream {
    incoming: Streaming<proto::SubscribeRequest>,
    outgoing: mpsc::Sender<Answer>,
}

/// What was acknowledged.
pub(super) struct Settled {
    pub(super) version: u64,
    pub(super) bytes: u64,
}

struct Service {
    streams: mpsc::Sender<FakeStream>,
}

impl FakeCapture {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, streams) = mpsc::channel(4);
        let service = CaptureServiceServer::new(Service { streams: sender });
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, streams }
    }

    pub(super) async fn accept(&mut self) -> FakeStream {
        tokio::time::timeout(DEADLINE, self.streams.recv()).await.unwrap().unwrap()
    }
}

impl FakeStream {
    /// The next frame that is no heartbeat.
    pub(super) async fn next(&mut self) -> Incoming {
        loop {
            let request =
                tokio::time::timeout(DEADLINE, self.incoming.message()).await.unwrap().unwrap().unwrap();
            match request.frame.unwrap() {
                Incoming::Heartbeat(proto::Heartbeat { n }) => {
                    self.send(Outgoing::HeartbeatSeen(proto::HeartbeatSeen { n })).await;
                }
                frame => return frame,
            }
        }
    }

    /// The frames up to the first that is wanted, which is the last.
    pub(super) async fn until(&mut self, wanted: impl Fn(&Incoming) -> bool) -> Vec<Incoming> {
        let mut frames = Vec::new();
        while !frames.last().is_some_and(&wanted) {
            frames.push(self.next().await);
        }
        frames
    }

    pub(super) async fn until_released(&mut self, assignment_id: u64) -> Vec<Incoming> {
        let released = Incoming::Released(proto::Released { assignment_id });
        self.until(|frame| *frame == released).await
    }

    /// The next credit: items and bytes.
    pub(super) async fn credit(&mut self) -> (u64, u64) {
        let frames = self.until(|frame| matches!(frame, Incoming::Credit(_))).await;
        match frames.last() {
            Some(Incoming::Credit(credit)) => (credit.events, credit.bytes),
            _ => (0, 0),
        }
    }

    /// Waits until these partitions are acknowledged up to these batches, none beyond, and so many items are given back.
    pub(super) async fn settled(&mut self, wanted: &[(u32, u64)], events: u64) -> Settled {
        let wanted: BTreeMap<u32, u64> = wanted.iter().copied().collect();
        let (mut acked, mut back, mut bytes, mut version) = (BTreeMap::new(), 0, 0, 0);
        while acked != wanted || back != events {
            match self.next().await {
                Incoming::Ack(ack) => {
                    version = ack.consumer_version;
                    acked.extend(ack.partitions.into_iter().map(|ack| (ack.partition, ack.batch)));
                }
                Incoming::Credit(credit) => {
                    back += credit.events;
                    bytes += credit.bytes;
                }
                other => panic!("neither ack nor credit: {other:?}"),
            }
        }
        Settled { version, bytes }
    }

    pub(super) async fn welcome(&self) {
        let limits = proto::Limits { event_bytes_max: 1024, ..Default::default() };
        self.send(Outgoing::Welcome(proto::Welcome {
            partition_count: 8,
            partition_hash: proto::PartitionHash::Fnv1a64Folded.into(),
            lease: Some(span(Duration::from_secs(3))),
            limits: Some(limits),
            system_identifier: "7000000000000000000".to_owned(),
            timeline: 1,
            slot: "twinroute_delivery".to_owned(),
        }))
        .await;
    }

    pub(super) async fn grant(&self, partitions: &[u32], min_consumer_version: u64) {
        let grant =
            |&partition: &u32| proto::Grant { partition, epoch: Some(EPOCH.into()), resume_after: None };
        self.send(Outgoing::Assignment(proto::Assignment {
            assignment_id: 1,
            granted: partitions.iter().map(grant).collect(),
            min_consumer_version,
            ..Default::default()
        }))
        .await;
    }

    pub(super) async fn revoke(&self, assignment_id: u64, partitions: &[u32], deadline: Duration) {
        self.send(Outgoing::Assignment(proto::Assignment {
            assignment_id,
            revoked: partitions.to_vec(),
            deadline: Some(span(deadline)),
            ..Default::default()
        }))
        .await;
    }

    pub(super) async fn fenced(&self, partition: u32, epoch: Epoch) {
        let partitions = vec![proto::FencedPartition { partition, epoch: Some(epoch.into()) }];
        self.send(Outgoing::Fenced(proto::Fenced { partitions })).await;
    }

    pub(super) async fn send_batches(&mut self, batches: Vec<proto::Batch>) {
        self.send(Outgoing::Batches(proto::Batches { batches })).await;
    }

    pub(super) async fn fail(self, status: Status) {
        self.outgoing.send(Err(status)).await.unwrap();
    }

    /// Ends the stream as capture does when the consumer has ended it.
    pub(super) fn close(self) {
        drop(self);
    }

    async fn send(&self, frame: Outgoing) {
        self.outgoing.send(Ok(proto::SubscribeResponse { frame: Some(frame) })).await.unwrap();
    }
}

pub(super) fn batch(partition: u32, number: u64, items: Vec<proto::Item>) -> proto::Batch {
    proto::Batch { partition, epoch: Some(EPOCH.into()), batch: number, items }
}

/// A new twin.
pub(super) fn event(twin: &str, number: u64, cost_bytes: u64) -> proto::Item {
    let document =
        format!(r#"{{"$dtId":"{twin}","$metadata":{{"$model":"dtmi:example:Room;1"}},"n":{number}}}"#);
    let event = event_proto::EventData {
        position: Some(position(number)),
        operation: event_proto::Operation::Create.into(),
        kind: event_proto::EntityKind::Twin.into(),
        graph: "factory".to_owned(),
        label: "Twin".to_owned(),
        entity_id: twin.to_owned(),
        ordering_key: twin.to_owned(),
        old: None,
        new: Some(Bytes::from(document)),
        commit_time_us: 1_767_225_600_000_000,
        xid: 700,
        traceparent: String::new(),
    };
    proto::Item { item: Some(proto::item::Item::Event(event)), cost_bytes }
}

/// A row that can't be read.
pub(super) fn poison(key: &str, number: u64) -> proto::Item {
    let poison = event_proto::PoisonEvent {
        position: Some(position(number)),
        ordering_key: key.to_owned(),
        reason: "not JSON".to_owned(),
        ..Default::default()
    };
    proto::Item { item: Some(proto::item::Item::Poison(poison)), cost_bytes: 1 }
}

/// A hole in the stream.
pub(super) fn discontinuity() -> proto::Item {
    let gap = event_proto::Discontinuity {
        position: Some(position(9)),
        reason: "the slot was lost".to_owned(),
        ..Default::default()
    };
    proto::Item { item: Some(proto::item::Item::Discontinuity(gap)), cost_bytes: 1 }
}

fn position(number: u64) -> event_proto::Position {
    Position { incarnation: 1, commit_lsn: Lsn(number), change_lsn: Lsn(number), ordinal: 0 }.into()
}

fn span(span: Duration) -> prost_types::Duration {
    span.try_into().unwrap()
}

fn not_played<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the test plays streams only"))
}

#[tonic::async_trait]
impl CaptureService for Service {
    type SubscribeStream = Pin<Box<dyn tokio_stream::Stream<Item = Answer> + Send>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<proto::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (outgoing, answers) = mpsc::channel(16);
        let stream = FakeStream { incoming: request.into_inner(), outgoing };
        self.streams.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn create_subscription(
        &self,
        _: Request<proto::CreateSubscriptionRequest>,
    ) -> Result<Response<proto::CreateSubscriptionResponse>, Status> {
        not_played()
    }

    async fn get_subscription(
        &self,
        _: Request<proto::GetSubscriptionRequest>,
    ) -> Result<Response<proto::GetSubscriptionResponse>, Status> {
        not_played()
    }

    async fn list_subscriptions(
        &self,
        _: Request<proto::ListSubscriptionsRequest>,
    ) -> Result<Response<proto::ListSubscriptionsResponse>, Status> {
        not_played()
    }

    async fn delete_subscription(
        &self,
        _: Request<proto::DeleteSubscriptionRequest>,
    ) -> Result<Response<proto::DeleteSubscriptionResponse>, Status> {
        not_played()
    }

    async fn resume_subscription(
        &self,
        _: Request<proto::ResumeSubscriptionRequest>,
    ) -> Result<Response<proto::ResumeSubscriptionResponse>, Status> {
        not_played()
    }

    async fn get_capture_status(
        &self,
        _: Request<proto::GetCaptureStatusRequest>,
    ) -> Result<Response<proto::GetCaptureStatusResponse>, Status> {
        not_played()
    }
}
