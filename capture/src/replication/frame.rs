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
    /// A pgoutput message begins that is too large to be taken whole. It follows in pieces.
    LargeXLogData {
        /// Where the message starts.
        start: Lsn,
        /// Size of the message, in bytes.
        payload_bytes: usize,
    },
    /// The next piece of it.
    Piece(Bytes),
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
pub enum FrameError {
    /// A message of another kind.
    #[error("the server sent a `{tag}` message that a replication stream does not have")]
    Unknown {
        /// The message's tag.
        tag: char,
    },
    /// A message other than a row that is larger than what is taken whole.
    #[error("the server sent a `{tag}` message of {bytes} bytes that is no row")]
    Large {
        /// The message's tag.
        tag: char,
        /// Its size in bytes.
        bytes: usize,
    },
}

/// Length of tag and length field, in bytes.
const HEADER_BYTES: usize = 5;

/// Length of what stands in front of a pgoutput message, in bytes: its kind, two LSNs and a time.
const XLOG_DATA_BYTES: usize = 1 + 8 + 8 + 8;

/// Cuts the frames of one stream.
#[derive(Debug)]
pub struct Frames {
    whole_bytes_max: usize,
    /// What has not been cut of a message that comes in pieces, in bytes.
    large_left: usize,
}

impl Frames {
    /// At the start of a stream. A frame of more than `whole_bytes_max` bytes comes in pieces.
    #[must_use]
    pub fn new(whole_bytes_max: usize) -> Self {
        Self { whole_bytes_max, large_left: 0 }
    }

    /// Cuts the next frame out of `buffer`; `None` when more bytes are needed. The buffer never needs to hold more than a
    /// whole frame.
    ///
    /// # Errors
    /// [`FrameError`] for a message that does not belong into the stream.
    pub fn cut(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        loop {
            if self.large_left > 0 {
                return Ok(self.piece(buffer));
            }
            let Some((&tag, length)) = buffer.split_first() else { return Ok(None) };
            let Some(length) = length.first_chunk::<4>().map(|length| u32::from_be_bytes(*length)) else {
                return Ok(None);
            };
            let total = (length as usize).saturating_add(1).max(HEADER_BYTES);
            if total > self.whole_bytes_max {
                return self.begin_large(tag, total, buffer);
            }
            if buffer.len() < total {
                return Ok(None);
            }
            let mut body = buffer.split_to(total).freeze();
            body.advance(HEADER_BYTES);
            match tag {
                b'd' => return copy_data(body).map(Some).ok_or(FrameError::Unknown { tag: 'd' }),
                b'c' | b'C' | b'Z' => return Ok(Some(Frame::Done)),
                b'E' => return Ok(Some(Frame::Error(body))),
                // Notices and changed parameters say nothing about the stream.
                b'N' | b'S' | b'A' => {}
                other => return Err(FrameError::Unknown { tag: char::from(other) }),
            }
        }
    }

    fn begin_large(
        &mut self,
        tag: u8,
        total: usize,
        buffer: &mut BytesMut,
    ) -> Result<Option<Frame>, FrameError> {
        let refused = FrameError::Large { tag: char::from(tag), bytes: total };
        let head = HEADER_BYTES + XLOG_DATA_BYTES;
        if tag != b'd' || total <= head {
            return Err(refused);
        }
        if buffer.len() < head {
            return Ok(None);
        }
        let mut begin = buffer.split_to(head).freeze();
        begin.advance(HEADER_BYTES);
        match copy_data(begin) {
            Some(Frame::XLogData { start, .. }) => {
                self.large_left = total - head;
                Ok(Some(Frame::LargeXLogData { start, payload_bytes: self.large_left }))
            }
            _ => Err(refused),
        }
    }

    fn piece(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        let piece = buffer.split_to(self.large_left.min(buffer.len())).freeze();
        self.large_left -= piece.len();
        (!piece.is_empty()).then_some(Frame::Piece(piece))
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
        let whole_bytes_max = bytes.len();

        for split in 0..bytes.len() {
            // when they come in two pieces
            let (first, second) = bytes.split_at(split);
            let mut buffer = BytesMut::from(first);
            let mut cutter = Frames::new(whole_bytes_max);
            let mut frames = Vec::new();
            while let Ok(Some(frame)) = cutter.cut(&mut buffer) {
                frames.push(frame);
            }
            buffer.extend_from_slice(second);
            while let Ok(Some(frame)) = cutter.cut(&mut buffer) {
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
        assert_eq!(Frames::new(1024).cut(&mut buffer), Err(FrameError::Unknown { tag: 'D' }));
    }

    #[test]
    fn a_large_message_comes_in_pieces_and_what_follows_is_whole() {
        // given a message larger than what is taken whole, and a small one behind it
        let message = |payload: &[u8]| wire(b'd', &[&[b'w'][..], &[0; 24], payload].concat());
        let (large, small) = ([7; 100], b"small");
        let bytes = [message(&large), message(small)].concat();

        // when it comes byte by byte
        let mut frames = Frames::new(64);
        let (mut buffer, mut pieces, mut others) = (BytesMut::new(), Vec::new(), Vec::new());
        for byte in bytes {
            buffer.extend_from_slice(&[byte]);
            while let Ok(Some(frame)) = frames.cut(&mut buffer) {
                match frame {
                    Frame::Piece(piece) => pieces.extend_from_slice(&piece),
                    other => others.push(other),
                }
            }
            // then never more than a whole frame is held
            assert!(buffer.len() <= 64, "{}", buffer.len());
        }
        assert_eq!(pieces, large);
        let payload = Bytes::from_static(small);
        assert_eq!(
            others,
            [
                Frame::LargeXLogData { start: Lsn(0), payload_bytes: 100 },
                Frame::XLogData { start: Lsn(0), payload }
            ]
        );
    }

    #[test]
    fn only_a_pgoutput_message_may_be_large() {
        for (tag, body) in [(b'E', vec![0; 100]), (b'N', vec![0; 100]), (b'd', vec![b'k'; 100])] {
            let mut buffer = BytesMut::from(&wire(tag, &body)[..]);
            let cut = Frames::new(64).cut(&mut buffer);
            assert_eq!(cut, Err(FrameError::Large { tag: char::from(tag), bytes: 105 }));
        }
    }
}
