//! The decoder on any stream: the same items each time, wherever the bytes are split, and however much of them is taken
//! whole.

use bytes::BytesMut;
use twinroute_capture::decode::{DecodeError, Decoded, Decoder, pgoutput::FormatError};
use twinroute_capture::replication::{Frame, FrameError, Frames};
use twinroute_common::event::Item;

/// Small, so that documents above it occur.
const EVENT_BYTES_MAX: usize = 4_096;

/// Smaller than many a row.
const WHOLE_BYTES_MAX: usize = 256;

/// The first two bytes say where the rest is split; the rest is what a walsender would send.
///
/// # Panics
/// When the split makes a difference, or decoding again gives other items, or decoding in pieces does.
pub fn pgoutput(data: &[u8]) {
    let Some((at, stream)) = data.split_first_chunk::<2>() else { return };
    let at = usize::from(u16::from_be_bytes(*at)) % (stream.len() + 1);
    let (first, second) = stream.split_at(at);
    let whole = decode(&[stream], usize::MAX);
    let split = decode(&[first, second], usize::MAX);
    assert_eq!(whole, split, "split at {at}");

    let large = decode(&[first, second], WHOLE_BYTES_MAX);
    match large.end {
        // What is no row may not be large.
        End::TooLarge => assert!(whole.items.starts_with(&large.items), "in pieces, split at {at}"),
        End::Reached | End::Broken => assert_eq!(whole.items, large.items, "in pieces, split at {at}"),
    }
}

/// What came of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    items: Vec<Item>,
    end: End,
}

/// How it ended.
#[derive(Debug, PartialEq)]
enum End {
    Reached,
    Broken,
    TooLarge,
}

/// The items of a stream that comes in these parts, up to what cannot be read.
fn decode(parts: &[&[u8]], whole_bytes_max: usize) -> Outcome {
    let mut decoder = Decoder::new(1, EVENT_BYTES_MAX);
    let mut frames = Frames::new(whole_bytes_max);
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            let decoded = match frames.cut(&mut buffer) {
                Ok(Some(Frame::XLogData { start, payload })) => decoder.message(start, payload),
                Ok(Some(Frame::LargeXLogData { start, payload_bytes })) => {
                    decoder.large_message(start, payload_bytes);
                    continue;
                }
                Ok(Some(Frame::Piece(piece))) => decoder.piece(piece),
                Ok(Some(Frame::Keepalive { .. } | Frame::Done | Frame::Error(_))) => continue,
                Ok(None) => break,
                Err(FrameError::Large { .. }) => return Outcome { items, end: End::TooLarge },
                Err(FrameError::Unknown { .. }) => return Outcome { items, end: End::Broken },
            };
            match decoded {
                Ok(Decoded::Items(more) | Decoded::Committed { items: more, .. }) => items.extend(more),
                Ok(Decoded::Nothing | Decoded::Table { .. }) => {}
                Err(DecodeError::Format(FormatError::Large { .. })) => {
                    return Outcome { items, end: End::TooLarge };
                }
                Err(_) => return Outcome { items, end: End::Broken },
            }
        }
    }
    Outcome { items, end: End::Reached }
}
