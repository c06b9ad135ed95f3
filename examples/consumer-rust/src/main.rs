//! Keeps every change in a file, and acknowledges it when it is on disk: consumer-rust ADDRESS SUBSCRIPTION CONSUMER_ID FILE

mod journal;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use twinroute_proto::capture::v1::capture_service_client::CaptureServiceClient;
use twinroute_proto::capture::v1::{self as capture, subscribe_request, subscribe_response};

use self::journal::Journal;

/// One event at its largest, with both its documents, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// What may be on its way to us at a time.
const CREDIT: capture::Credit = capture::Credit { events: 1_000, bytes: 16 << 20 };
/// Frames that wait to be sent.
const FRAMES_MAX: usize = 64;
/// Longest pause before another try; the first is a sixteenth of it.
const PAUSE_MAX: Duration = Duration::from_secs(4);

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "it tells people why it connects again")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, subscription, consumer_id, file] = arguments.as_slice() else {
        bail!("usage: consumer-rust ADDRESS SUBSCRIPTION CONSUMER_ID FILE");
    };
    let mut journal = Journal::open(file.as_ref()).with_context(|| format!("cannot open {file}"))?;
    let mut pause = PAUSE_MAX / 16;
    loop {
        let began = Instant::now();
        let hello = capture::Hello {
            source: Some(capture::hello::Source::Subscription(subscription.clone())),
            consumer_id: consumer_id.clone(),
            protocol_version: 1,
            ..capture::Hello::default()
        };
        if let Err(error) = follow(address, hello, &mut journal).await {
            // To come back would throw the other one out in turn.
            let code = error.downcast_ref::<Status>().map(Status::code);
            ensure!(code != Some(Code::AlreadyExists), "another process has the name {consumer_id}");
            // What the file has in the end is known only after it was opened anew.
            ensure!(!error.is::<std::io::Error>(), "cannot write {file}: {error}");
            eprintln!("the stream ended: {error:#}");
        }
        pause = if began.elapsed() > PAUSE_MAX { PAUSE_MAX / 16 } else { PAUSE_MAX.min(pause * 2) };
        sleep(pause).await;
    }
}

/// Follows one stream to its end.
async fn follow(address: &str, hello: capture::Hello, journal: &mut Journal) -> Result<()> {
    use subscribe_request::Frame as Say;
    use subscribe_response::Frame as Heard;

    let client = CaptureServiceClient::connect(format!("http://{address}")).await?;
    let (frames, outgoing) = mpsc::channel(FRAMES_MAX);
    let say = async |frame| {
        let request = capture::SubscribeRequest { frame: Some(frame) };
        frames.send(request).await.context("the stream is closed")
    };
    let said_hello_at = Instant::now();
    say(Say::Hello(hello)).await?;
    let mut client = client.max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut incoming = client.subscribe(ReceiverStream::new(outgoing)).await?.into_inner();
    let first = incoming.message().await?.and_then(|response| response.frame);
    let Some(Heard::Welcome(capture::Welcome { lease: Some(lease), .. })) = first else {
        bail!("{first:?} instead of Welcome");
    };
    let lease = Duration::try_from(lease)?;
    say(Say::Credit(CREDIT)).await?;

    let mut heart = interval(lease / 4);
    // Heartbeats that are not answered, and when the latest that is was sent.
    let (mut sent, mut alive_at, mut n) = (VecDeque::new(), said_hello_at, 0);
    loop {
        let frame = tokio::select! {
            _ = heart.tick() => {
                n += 1;
                sent.push_back((n, Instant::now()));
                say(Say::Heartbeat(capture::Heartbeat { n })).await?;
                continue;
            }
            response = incoming.message() => match response? {
                Some(response) => response.frame,
                None => return Ok(()),
            },
        };
        match frame {
            Some(Heard::HeartbeatSeen(seen)) => {
                while let Some((_, sent_at)) = sent.pop_front_if(|(n, _)| *n <= seen.n) {
                    alive_at = sent_at;
                }
            }
            Some(Heard::Batches(capture::Batches { batches })) => {
                // Asleep for so long? Then the partitions may be somebody else's.
                ensure!(alive_at.elapsed() < lease * 2 / 3, "the lease may be over");
                journal.keep(&batches)?;
                say(Say::Ack(acknowledging(&batches))).await?;
                say(Say::Credit(giving_back(&batches))).await?;
            }
            // All batches that came before are kept and acknowledged: nothing is left to settle.
            Some(Heard::Assignment(assignment)) if !assignment.revoked.is_empty() => {
                let assignment_id = assignment.assignment_id;
                say(Say::Released(capture::Released { assignment_id })).await?;
            }
            Some(Heard::GoAway(_)) => {
                // Our side ends after what is queued; then capture ends its own, with its reason.
                drop(frames);
                while incoming.message().await?.is_some() {}
                return Ok(());
            }
            // New partitions, late acks, word of progress: nothing to do.
            _ => {}
        }
    }
}

/// All of these batches are durable.
fn acknowledging(batches: &[capture::Batch]) -> capture::Ack {
    let ack = |batch: &capture::Batch| capture::PartitionAck {
        partition: batch.partition,
        epoch: batch.epoch,
        batch: batch.batch,
    };
    capture::Ack { partitions: batches.iter().map(ack).collect(), consumer_version: 0 }
}

/// The credit that these batches took.
fn giving_back(batches: &[capture::Batch]) -> capture::Credit {
    let costs = || batches.iter().flat_map(|batch| &batch.items).map(|item| item.cost_bytes);
    capture::Credit { events: costs().count() as u64, bytes: costs().sum() }
}
