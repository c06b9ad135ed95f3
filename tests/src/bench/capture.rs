//! Capture to one gRPC consumer that acknowledges everything at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use twinroute_proto::capture::v1::{
    self as proto, capture_service_client::CaptureServiceClient, hello::Source as HelloSource,
    subscribe_request::Frame as Request, subscribe_response::Frame as Response,
};

use super::workload::DATABASE;
use super::{EVENTS, RUN_DEADLINE, Run, Source};
use crate::services::{Program, Service};
use crate::stack::GRAPH;
use crate::usage;

/// Credit of the consumer: more than capture ever has in flight.
const CREDIT: proto::Credit = proto::Credit { events: 100_000, bytes: 256 << 20 };

/// Starts capture on a copy of the backlog's slot.
pub(super) async fn start(source: &Source<'_>, subscription: &str) -> Result<Service> {
    source.workload.slot(&format!("twinroute_{subscription}")).await?;
    serve(source, subscription)
}

/// Starts capture on the slot that is there, or on a new one.
pub(super) fn serve(source: &Source<'_>, subscription: &str) -> Result<Service> {
    let settings = json!({
        "postgres": { "url": source.postgres.url(DATABASE) },
        "source": { "graphs": [GRAPH], "subscription": subscription },
    });
    Service::start(Program::Capture, &format!("capture-{subscription}"), settings, source.dir)
}

pub(super) async fn run(source: &Source<'_>) -> Result<Run> {
    let subscription = format!("bench_capture_{}", source.round);
    let start = Instant::now();
    let mut capture = self::start(source, &subscription).await?;
    let received = consume(&capture, &subscription, EVENTS);
    tokio::time::timeout(RUN_DEADLINE, received).await.context("the backlog did not arrive")??;
    let seconds = start.elapsed().as_secs_f64();
    let used = usage::of(capture.process().pid())?;
    capture.terminate().await?;
    source.workload.drop_slot(&format!("twinroute_{subscription}")).await?;
    Ok(Run {
        name: "capture",
        seconds,
        cpu_s: vec![("capture", used.cpu_s)],
        peak_rss_mib: vec![("capture", used.peak_rss_mib)],
    })
}

/// Receives and acknowledges `events` events.
async fn consume(capture: &Service, subscription: &str, events: u64) -> Result<()> {
    let (frames, mut incoming) = subscribe(capture, subscription).await?;
    send(&frames, Request::Credit(CREDIT)).await?;
    let mut heartbeat = 0;
    let mut beats = tokio::time::interval(Duration::from_secs(2));
    let mut received = 0;
    while received < events {
        let frame = tokio::select! {
            frame = incoming.message() => frame?.context("capture ended the stream")?,
            _ = beats.tick() => {
                heartbeat += 1;
                send(&frames, Request::Heartbeat(proto::Heartbeat { n: heartbeat })).await?;
                continue;
            }
        };
        let Some(Response::Batches(batches)) = frame.frame else { continue };
        let mut credit = proto::Credit::default();
        let mut ack = proto::Ack::default();
        for batch in batches.batches {
            credit.events += batch.items.len() as u64;
            credit.bytes += batch.items.iter().map(|item| item.cost_bytes).sum::<u64>();
            let (partition, epoch) = (batch.partition, batch.epoch);
            ack.partitions.push(proto::PartitionAck { partition, epoch, batch: batch.batch });
        }
        received += credit.events;
        send(&frames, Request::Ack(ack)).await?;
        send(&frames, Request::Credit(credit)).await?;
    }
    Ok(())
}

/// Opens the stream as soon as capture serves it.
async fn subscribe(
    capture: &Service,
    subscription: &str,
) -> Result<(mpsc::Sender<proto::SubscribeRequest>, Streaming<proto::SubscribeResponse>)> {
    let address = format!("http://{}", capture.grpc());
    crate::wait::until(RUN_DEADLINE, "capture to serve", async || {
        let client = CaptureServiceClient::connect(address.clone()).await?;
        let mut client = client.max_decoding_message_size(64 << 20);
        let (frames, queued) = mpsc::channel(1024);
        let hello = proto::Hello {
            source: Some(HelloSource::Subscription(subscription.to_owned())),
            consumer_id: "bench".to_owned(),
            protocol_version: 1,
            ..proto::Hello::default()
        };
        send(&frames, Request::Hello(hello)).await?;
        let incoming = client.subscribe(ReceiverStream::new(queued)).await?.into_inner();
        Ok((frames, incoming))
    })
    .await
}

async fn send(frames: &mpsc::Sender<proto::SubscribeRequest>, frame: Request) -> Result<()> {
    frames.send(proto::SubscribeRequest { frame: Some(frame) }).await.context("capture ended the stream")
}
