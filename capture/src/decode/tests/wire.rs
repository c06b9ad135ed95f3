//! Writes pgoutput messages as PostgreSQL does, and decodes them.

use bytes::{BufMut as _, Bytes, BytesMut};
use twinroute_common::event::Item;
use twinroute_common::lsn::Lsn;

use super::super::{Decoded, Decoder};
use crate::graphs::Graphs;
use crate::selection::Selection;

const TABLE: u32 = 16_400;
const AGTYPE: u32 = 16_300;
/// Bytes between two messages.
const STEP: u64 = 0x40;

/// A transaction on the table `graph.Twin`, in the making.
pub(super) struct Wal {
    decoder: Decoder,
    lsn: u64,
    items: Vec<Item>,
    /// Rows come in pieces of so many bytes.
    piece_bytes: Option<usize>,
}

impl Wal {
    pub(super) fn new() -> Self {
        let mut wal =
            Self { decoder: Decoder::new(1, 16 << 20), lsn: 0x1000, items: Vec::new(), piece_bytes: None };
        wal.begin();
        wal
    }

    pub(super) fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.decoder = Decoder::new(1, bytes);
        self.begin();
        self
    }

    /// Rows are taken in pieces from now on, as if they were large.
    pub(super) fn in_pieces(mut self, bytes: usize) -> Self {
        self.piece_bytes = Some(bytes);
        self
    }

    pub(super) fn only(mut self, graph: &str) -> Self {
        self.decoder = Decoder::new(1, 16 << 20).only(Graphs::new(&[graph.to_owned()]));
        self.begin();
        self
    }

    pub(super) fn selecting(mut self, selection: Selection) -> Self {
        self.decoder = Decoder::new(1, 16 << 20).selecting(selection);
        self.begin();
        self
    }

    /// The next row has the LSN of the one before.
    pub(super) fn same_lsn(mut self) -> Self {
        self.lsn -= STEP;
        self
    }

    pub(super) fn insert(mut self, id: &str, document: &str) -> Self {
        let mut message = head(b'I');
        message.put_u8(b'N');
        tuple(&mut message, id, Some(Some(document)));
        self.decode(message);
        self
    }

    pub(super) fn update(self, id: &str, old: Option<&str>, new: &str) -> Self {
        self.update_to(id, old, Some(new))
    }

    pub(super) fn update_unchanged(self, id: &str, old: Option<&str>) -> Self {
        self.update_to(id, old, None)
    }

    fn update_to(mut self, id: &str, old: Option<&str>, new: Option<&str>) -> Self {
        let mut message = head(b'U');
        if let Some(old) = old {
            message.put_u8(b'O');
            tuple(&mut message, id, Some(Some(old)));
        }
        message.put_u8(b'N');
        tuple(&mut message, id, Some(new));
        self.decode(message);
        self
    }

    /// Without a document only the key was logged.
    pub(super) fn delete(mut self, id: &str, old: Option<&str>) -> Self {
        let mut message = head(b'D');
        message.put_u8(if old.is_some() { b'O' } else { b'K' });
        tuple(&mut message, id, old.map(Some));
        self.decode(message);
        self
    }

    pub(super) fn truncate(mut self) -> Self {
        let mut message = BytesMut::from(&b"T"[..]);
        message.put_u32(1);
        message.put_u8(0);
        message.put_u32(TABLE);
        self.decode(message);
        self
    }

    /// Somebody leaves word in the transaction.
    pub(super) fn word(mut self, prefix: &str, content: &str) -> Self {
        let mut message = BytesMut::from(&b"M\x01"[..]);
        message.put_u64(self.lsn);
        message.extend_from_slice(prefix.as_bytes());
        message.put_u8(0);
        text_of(&mut message, content.as_bytes());
        self.decode(message);
        self
    }

    pub(super) fn commit(mut self) -> Vec<Item> {
        let mut message = BytesMut::from(&b"C\0"[..]);
        message.put_bytes(0, 24);
        self.decode(message);
        self.items
    }

    fn begin(&mut self) {
        let mut begin = BytesMut::from(&b"B"[..]);
        begin.put_u64(0x9000);
        begin.put_i64(0);
        begin.put_u32(7);
        self.decode(begin);
        let mut type_name = BytesMut::from(&b"Y"[..]);
        type_name.put_u32(AGTYPE);
        type_name.extend_from_slice(b"ag_catalog\0agtype\0");
        self.decode(type_name);
        let mut relation = BytesMut::from(&b"R"[..]);
        relation.put_u32(TABLE);
        relation.extend_from_slice(b"graph\0Twin\0f");
        relation.put_u16(2);
        for (name, type_oid) in [("id", 20), ("properties", AGTYPE)] {
            relation.put_u8(0);
            relation.extend_from_slice(name.as_bytes());
            relation.put_u8(0);
            relation.put_u32(type_oid);
            relation.put_i32(-1);
        }
        self.decode(relation);
    }

    fn decode(&mut self, message: BytesMut) {
        self.lsn += STEP;
        let (start, mut message) = (Lsn(self.lsn), message.freeze());
        let is_row = matches!(message.first(), Some(b'I' | b'U' | b'D'));
        let Some(piece_bytes) = self.piece_bytes.filter(|_| is_row) else {
            let decoded = self.decoder.message(start, message).unwrap();
            return self.keep(decoded);
        };
        self.decoder.large_message(start, message.len());
        while !message.is_empty() {
            let piece = message.split_to(piece_bytes.min(message.len()));
            let decoded = self.decoder.piece(piece).unwrap();
            self.keep(decoded);
        }
    }

    fn keep(&mut self, decoded: Decoded) {
        match decoded {
            Decoded::Items(items) | Decoded::Committed { items, .. } => self.items.extend(items),
            Decoded::Nothing | Decoded::Table { .. } => {}
        }
    }
}

fn head(kind: u8) -> BytesMut {
    let mut message = BytesMut::new();
    message.put_u8(kind);
    message.put_u32(TABLE);
    message
}

/// `None`: not part of the key; `Some(None)`: unchanged and not sent.
fn tuple(message: &mut BytesMut, id: &str, document: Option<Option<&str>>) {
    message.put_u16(2);
    text(message, &Bytes::copy_from_slice(id.as_bytes()));
    match document {
        None => message.put_u8(b'n'),
        Some(None) => message.put_u8(b'u'),
        Some(Some(document)) => text(message, document.as_bytes()),
    }
}

fn text(message: &mut BytesMut, value: &[u8]) {
    message.put_u8(b't');
    text_of(message, value);
}

fn text_of(message: &mut BytesMut, value: &[u8]) {
    message.put_u32(u32::try_from(value.len()).unwrap());
    message.extend_from_slice(value);
}
