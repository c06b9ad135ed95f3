//! Opens a stream: dial, Hello, Welcome.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use twinroute_common::grpc;
use twinroute_proto::capture::v1::capture_service_client::CaptureServiceClient;
use twinroute_proto::capture::v1::{SubscribeRequest, SubscribeResponse};

use super::frames::{self, InFrame, Welcome};
use super::last_seen::LastSeen;
use super::outbox::FRAMES_MAX;
use super::{StreamContext, StreamError};

/// Room in a message for what surrounds its largest item, in bytes.
const FRAME_ROOM: u64 = 64 * 1024;

/// An open stream.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) incoming: Streaming<SubscribeResponse>,
    pub(super) outgoing: mpsc::Sender<SubscribeRequest>,
    pub(super) welcome: Welcome,
    pub(super) hello_sent_at: Instant,
}

pub(super) async fn connect(context: &StreamContext, last_seen: LastSeen) -> Result<Connected, StreamError> {
    let StreamContext { capture, settings, memory, worker_id, .. } = context;
    let channel = grpc::connect(capture).await?;
    let mut client = CaptureServiceClient::new(channel).max_decoding_message_size(capture.message_bytes_max);
    let (outgoing, requests) = mpsc::channel(FRAMES_MAX);
    let hello_sent_at = Instant::now();
    // A fresh channel has room for it.
    outgoing.try_send(frames::hello(settings, worker_id, last_seen)).map_err(|_| StreamError::Closed)?;
    let opening = async {
        let mut incoming = client.subscribe(ReceiverStream::new(requests)).await?.into_inner();
        let first = incoming.message().await?.ok_or(StreamError::Closed)?;
        match InFrame::try_from(first)? {
            InFrame::Welcome(welcome) => Ok((incoming, welcome)),
            _ => Err(StreamError::NotWelcome),
        }
    };
    let timeout = settings.welcome_timeout();
    let opened = tokio::time::timeout(timeout, opening).await;
    let (incoming, welcome) = opened.map_err(|_| StreamError::NoWelcome(timeout))??;

    let needed = welcome.event_bytes_max.saturating_add(FRAME_ROOM);
    let configured = capture.message_bytes_max as u64;
    if needed > configured {
        return Err(StreamError::MessageLimit { needed, configured });
    }
    memory.fits(settings, welcome.event_bytes_max).map_err(StreamError::Memory)?;
    Ok(Connected { incoming, outgoing, welcome, hello_sent_at })
}
