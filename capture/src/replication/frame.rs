//! Frames of a replication stream, cut out of received bytes without copying.

use bytes::{Buf, Bytes, BytesMut};
use twinroute_common::lsn::Lsn;

/// One frame from the walsender.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A pgoutput message.
    XLogData {
        /// Where the message starts.
        start: Lsn,
        /// The message.
        payload: Bytes,
    },
    /// The walsender has nothing to send.
    Keepalive {
        /// How far the WAL is.
        wal_end: Lsn,
        /// The walsender wants a status update at once.
        reply_requested: bool,
    },
    /// The walsender ends the stream.
    Done,
    /// The walsender reports an error; the body of an ErrorResponse.
    Error(Bytes),
}

/// The bytes are no replication stream.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the server sent a `{tag}` message that a replication stream does not have")]
pub struct FrameError {
    tag: char,
}

/// Length of tag and length field, in bytes.
const HEADER_BYTES: usize = 5;

impl Frame {
    /// Cuts the next whole frame out of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] for a message that does not belong into the stream.
    pub fn cut(buffer: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        loop {
            let Some((&tag, length)) = buffer.split_first() else { return Ok(None) };
            let Some(length) = length.first_chunk::<4>().map(|length| u32::from_be_bytes(*length)) else {
                return Ok(None);
            };
            let total = (length as usize).saturating_add(1).max(HEADER_BYTES);
            if buffer.len() < total {
                return Ok(None);
            }
            let mut body = buffer.split_to(total).freeze();
            body.advance(HEADER_BYTES);
            match tag {
                b'd' => return copy_data(body).map(Some).ok_or(FrameError { tag: 'd' }),
                b'c' | b'C' | b'Z' => return Ok(Some(Self::Done)),
                b'E' => return Ok(Some(Self::Error(body))),
                // Notices and changed parameters say nothing about the stream.
                b'N' | b'S' | b'A' => {}
                other => return Err(FrameError { tag: char::from(other) }),
            }
        }
    }
}

fn copy_data(mut body: Bytes) -> Option<Frame> {
    match body.try_get_u8().ok()? {
        b'w' => {
            let start = Lsn(body.try_get_u64().ok()?);
            let _wal_end = body.try_get_u64().ok()?;
            let _sent_at = body.try_get_i64().ok()?;
            Some(Frame::XLogData { start, payload: body })
        }
        b'k' => {
            let wal_end = Lsn(body.try_get_u64().ok()?);
            let _sent_at = body.try_get_i64().ok()?;
            Some(Frame::Keepalive { wal_end, reply_requested: body.try_get_u8().ok()? == 1 })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn frames_are_the_same_wherever_the_bytes_are_split() {
        // given a keepalive and a message
        let mut keepalive = vec![b'k'];
        keepalive.extend_from_slice(&9_u64.to_be_bytes());
        keepalive.extend_from_slice(&[0; 8]);
        keepalive.push(1);
        let mut data = vec![b'w'];
        data.extend_from_slice(&7_u64.to_be_bytes());
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(b"payload");
        let bytes = [wire(b'd', &keepalive), wire(b'N', b"notice"), wire(b'd', &data)].concat();

        for split in 0..bytes.len() {
            // when they come in two pieces
            let (first, second) = bytes.split_at(split);
            let mut buffer = BytesMut::from(first);
            let mut frames = Vec::new();
            while let Ok(Some(frame)) = Frame::cut(&mut buffer) {
                frames.push(frame);
            }
            buffer.extend_from_slice(second);
            while let Ok(Some(frame)) = Frame::cut(&mut buffer) {
                frames.push(frame);
            }

            // then both are there, whole
            let payload = Bytes::from_static(b"payload");
            assert_eq!(
                frames,
                [
                    Frame::Keepalive { wal_end: Lsn(9), reply_requested: true },
                    Frame::XLogData { start: Lsn(7), payload }
                ]
            );
        }
    }

    #[test]
    fn what_is_no_replication_stream_is_refused() {
        let mut buffer = BytesMut::from(&wire(b'D', b"row")[..]);
        assert_eq!(Frame::cut(&mut buffer), Err(FrameError { tag: 'D' }));
    }
}
