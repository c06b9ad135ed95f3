//! A consumer of the capture stream by hand: each frame is sent and looked at by the scenario.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
pub(crate) use twinroute_proto::capture::v1::{
    subscribe_request::Frame as Request, subscribe_response::Frame as Response,
};
use twinroute_proto::{
    capture::v1::{
        Ack, Assignment, Batch, Credit, Epoch, Heartbeat, Hello, Item, PartitionAck, Released,
        SubscribeRequest, SubscribeResponse, capture_service_client::CaptureServiceClient, hello, item,
    },
    event::v1::EventData,
};

use crate::scene::DEADLINE;

/// Frames that may wait to be sent.
const OUTGOING_MAX: usize = 64;

/// How often leases are kept: a third of the shortest lease of a scenario, and less.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(300);

/// The largest frame: an event with two documents as large as any scenario has them.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Credit that never runs out.
const PLENTY: (u64, u64) = (1_000_000, 1 << 40);

/// One stream.
pub(crate) struct RawConsumer {
    outgoing: mpsc::Sender<SubscribeRequest>,
    incoming: Streaming<SubscribeResponse>,
    heart: Option<JoinHandle<()>>,
}

/// `epochs` of partitions that were granted, `(generation, counter)`.
pub(crate) type Epochs = BTreeMap<u32, (u64, u64)>;

impl RawConsumer {
    /// Opens a stream, and says nothing.
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let client = CaptureServiceClient::connect(format!("http://{address}")).await?;
        let mut client = client.max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (outgoing, frames) = mpsc::channel(OUTGOING_MAX);
        let incoming = client.subscribe(ReceiverStream::new(frames)).await?.into_inner();
        Ok(Self { outgoing, incoming, heart: None })
    }

    /// Sends a frame, or one that is empty.
    pub(crate) async fn send(&self, frame: impl Into<Option<Request>>) -> Result<()> {
        let request = SubscribeRequest { frame: frame.into() };
        self.outgoing.send(request).await.context("the stream is closed")
    }

    /// Says Hello and waits for Welcome.
    pub(crate) async fn hello(&mut self, subscription: &str, consumer_id: &str) -> Result<()> {
        self.say(hello(subscription, consumer_id)).await
    }

    /// Says a Hello of its own and waits for Welcome.
    pub(crate) async fn say(&mut self, hello: Request) -> Result<()> {
        self.send(hello).await?;
        let frame = self.next().await?;
        anyhow::ensure!(matches!(frame, Response::Welcome(_)), "{frame:?} instead of Welcome");
        Ok(())
    }

    /// Sends heartbeats from now on.
    pub(crate) fn keep_leases(&mut self) {
        let outgoing = self.outgoing.clone();
        self.heart = Some(tokio::spawn(async move {
            for n in 1.. {
                let frame = Some(Request::Heartbeat(Heartbeat { n }));
                if outgoing.send(SubscribeRequest { frame }).await.is_err() {
                    return;
                }
                tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            }
        }));
    }

    /// Lets so much be sent.
    pub(crate) async fn credit(&self, events: u64, bytes: u64) -> Result<()> {
        self.send(Request::Credit(Credit { events, bytes })).await
    }

    /// Acknowledges batches.
    pub(crate) async fn ack(&self, batches: impl IntoIterator<Item = &Batch>) -> Result<()> {
        let ack = |batch: &Batch| PartitionAck {
            partition: batch.partition,
            epoch: batch.epoch,
            batch: batch.batch,
        };
        let partitions = batches.into_iter().map(ack).collect();
        self.send(Request::Ack(Ack { partitions, consumer_version: 0 })).await
    }

    /// The next frame but for answers to heartbeats.
    pub(crate) async fn next(&mut self) -> Result<Response> {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.incoming.message()).await;
            let message = message.context("no frame came")??.context("the stream is over")?;
            match message.frame.context("an empty frame")? {
                Response::HeartbeatSeen(_) => {}
                frame => return Ok(frame),
            }
        }
    }

    /// The next assignment, with what came before it thrown away.
    pub(crate) async fn assignment(&mut self) -> Result<Assignment> {
        loop {
            if let Response::Assignment(assignment) = self.next().await? {
                return Ok(assignment);
            }
        }
    }

    /// Batches until they hold so many items.
    pub(crate) async fn batches(&mut self, items: usize) -> Result<Vec<Batch>> {
        let mut batches = Vec::new();
        while batches.iter().map(|batch: &Batch| batch.items.len()).sum::<usize>() < items {
            match self.next().await? {
                Response::Batches(frame) => batches.extend(frame.batches),
                Response::Progress(_) => {}
                frame => bail!("{frame:?} instead of batches"),
            }
        }
        Ok(batches)
    }

    /// Takes and acknowledges so many items; gives their entities.
    pub(crate) async fn take(&mut self, items: usize) -> Result<Vec<String>> {
        let mut taken = Vec::with_capacity(items);
        while taken.len() < items {
            let batches = self.batches(1).await?;
            self.ack(&batches).await?;
            taken.extend(events(&batches).map(|event| event.entity_id.clone()));
        }
        Ok(taken)
    }

    /// Nothing but word of progress comes, twice.
    pub(crate) async fn is_quiet(&mut self) -> Result<()> {
        for _ in 0..2 {
            let frame = self.next().await?;
            anyhow::ensure!(matches!(frame, Response::Progress(_)), "{frame:?} instead of silence");
        }
        Ok(())
    }

    /// The end of the stream: why capture closed it.
    pub(crate) async fn end(&mut self) -> Result<Status> {
        loop {
            match tokio::time::timeout(DEADLINE, self.incoming.message()).await.context("it goes on")? {
                Ok(Some(_)) => {}
                Ok(None) => bail!("it ended without a reason"),
                Err(status) => return Ok(status),
            }
        }
    }

    /// Settles whatever comes from now on: acknowledges, releases, gives credit back.
    pub(crate) async fn settle(mut self) -> Result<Settler> {
        self.credit(PLENTY.0, PLENTY.1).await?;
        let (seen, changes) = tokio::sync::watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            loop {
                match self.next().await? {
                    Response::Batches(frame) => {
                        self.ack(&frame.batches).await?;
                        let ids = events(&frame.batches).map(|event| event.entity_id.clone());
                        seen.send_modify(|seen| seen.extend(ids));
                    }
                    Response::Assignment(Assignment { assignment_id, revoked, .. })
                        if !revoked.is_empty() =>
                    {
                        self.send(Request::Released(Released { assignment_id })).await?;
                    }
                    _ => {}
                }
            }
        });
        Ok(Settler { changes, task })
    }
}

impl Drop for RawConsumer {
    fn drop(&mut self) {
        if let Some(heart) = &self.heart {
            heart.abort();
        }
    }
}

/// A consumer that settles what comes.
pub(crate) struct Settler {
    changes: tokio::sync::watch::Receiver<Vec<String>>,
    task: JoinHandle<Result<()>>,
}

impl Settler {
    /// Waits until an event of this entity has come.
    pub(crate) async fn until_seen(&mut self, entity_id: &str) -> Result<()> {
        self.until_seen_within(entity_id, DEADLINE).await
    }

    /// The same, within a time of its own.
    pub(crate) async fn until_seen_within(&mut self, entity_id: &str, time: Duration) -> Result<()> {
        let seen = self.changes.wait_for(|seen| seen.iter().any(|id| id == entity_id));
        tokio::time::timeout(time, seen).await.context("the event does not come")??;
        Ok(())
    }

    /// Waits until so many have come; gives their entities.
    pub(crate) async fn until_taken(&mut self, items: usize) -> Result<Vec<String>> {
        let seen = self.changes.wait_for(|seen| seen.len() >= items);
        let seen = tokio::time::timeout(DEADLINE, seen).await.context("not all events come")??;
        Ok(seen.clone())
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The frame that opens a stream.
pub(crate) fn hello(subscription: &str, consumer_id: &str) -> Request {
    Request::Hello(Hello {
        source: Some(hello::Source::Subscription(subscription.to_owned())),
        consumer_id: consumer_id.to_owned(),
        protocol_version: 1,
        ..Hello::default()
    })
}

/// The events in batches.
pub(crate) fn events<'a>(
    batches: impl IntoIterator<Item = &'a Batch>,
) -> impl Iterator<Item = &'a EventData> {
    let of_item = |item: &'a Item| match &item.item {
        Some(item::Item::Event(event)) => Some(event),
        _ => None,
    };
    batches.into_iter().flat_map(|batch| &batch.items).filter_map(of_item)
}

/// What an assignment grants.
pub(crate) fn granted(assignment: &Assignment) -> Epochs {
    let grants = assignment.granted.iter();
    grants.map(|grant| (grant.partition, epoch(grant.epoch))).collect()
}

/// `(generation, counter)`, which can be compared.
pub(crate) fn epoch(epoch: Option<Epoch>) -> (u64, u64) {
    epoch.map(|epoch| (epoch.generation, epoch.counter)).unwrap_or_default()
}
