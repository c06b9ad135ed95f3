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

    let needed = message_bytes(welcome.event_bytes_max);
    let configured = capture.message_bytes_max as u64;
    if needed > configured {
        return Err(StreamError::MessageLimit { needed, configured });
    }
    memory.fits(settings, welcome.event_bytes_max).map_err(StreamError::Memory)?;
    Ok(Connected { incoming, outgoing, welcome, hello_sent_at })
}

/// Size of a message with the largest item, in bytes: an update has the document as it was and as it is.
fn message_bytes(event_bytes_max: u64) -> u64 {
    event_bytes_max.saturating_mul(2).saturating_add(FRAME_ROOM)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use twinroute_proto::capture::v1 as proto;
    use twinroute_proto::event::v1::EventData;

    use super::*;

    #[test]
    fn an_update_of_the_largest_document_fits_into_a_message() {
        const EVENT_BYTES_MAX: usize = 1 << 20;
        let document = bytes::Bytes::from(vec![b'x'; EVENT_BYTES_MAX]);
        // PostgreSQL's names have 63 bytes at most, identifiers of twins 128.
        let event = EventData {
            graph: "g".repeat(63),
            label: "l".repeat(63),
            entity_id: "t".repeat(128),
            ordering_key: "t".repeat(128),
            old: Some(document.clone()),
            new: Some(document),
            ..EventData::default()
        };
        let item = proto::Item { item: Some(proto::item::Item::Event(event)), cost_bytes: u64::MAX };
        let batch = proto::Batch { partition: 63, epoch: None, batch: u64::MAX, items: vec![item] };
        let frame = proto::subscribe_response::Frame::Batches(proto::Batches { batches: vec![batch] });
        let message = proto::SubscribeResponse { frame: Some(frame) };
        assert!(message.encoded_len() as u64 <= message_bytes(EVENT_BYTES_MAX as u64));
    }
}
