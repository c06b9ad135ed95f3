//! The decoder on any stream: the same items each time, wherever the bytes are split.

use bytes::{Bytes, BytesMut};
use twinroute_capture::decode::{Decoded, Decoder};
use twinroute_capture::replication::Frame;
use twinroute_common::event::Item;

/// Small, so that documents above it occur.
const EVENT_BYTES_MAX: usize = 4_096;

/// The first two bytes say where the rest is split; the rest is what a walsender would send.
///
/// # Panics
/// When the split makes a difference, or decoding again gives other items.
pub fn pgoutput(data: &[u8]) {
    let Some((at, stream)) = data.split_first_chunk::<2>() else { return };
    let at = usize::from(u16::from_be_bytes(*at)) % (stream.len() + 1);
    let (first, second) = stream.split_at(at);
    let whole = decode(&[stream]);
    let split = decode(&[first, second]);
    assert_eq!(whole, split, "split at {at}");
}

/// The items of a stream that comes in these pieces, up to what cannot be read.
fn decode(pieces: &[&[u8]]) -> Vec<Item> {
    let mut decoder = Decoder::new(1, EVENT_BYTES_MAX);
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let (start, payload): (_, Bytes) = match Frame::cut(&mut buffer) {
                Ok(Some(Frame::XLogData { start, payload })) => (start, payload),
                Ok(Some(_)) => continue,
                Ok(None) => break,
                Err(_) => return items,
            };
            match decoder.message(start, payload) {
                Ok(Decoded::Items(more) | Decoded::Committed { items: more, .. }) => items.extend(more),
                Ok(Decoded::Nothing | Decoded::Table { .. }) => {}
                Err(_) => return items,
            }
        }
    }
    items
}
