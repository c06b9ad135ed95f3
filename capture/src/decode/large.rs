//! A message that is too large to be taken whole: read piece by piece, wherever the pieces end.
//!
//! Of its columns only the document and the `id` are kept, and of a document that is larger than an event may be, only a
//! prefix. The rest is passed over.

use bytes::{Bytes, BytesMut};
use twinroute_common::lsn::Lsn;

use super::pgoutput::{FormatError, Message, unexpected};
use super::poison::PREFIX_BYTES_MAX;
use super::row::{Change, OldTuple, Text, Tuple, Value};
use super::table::{DocumentColumns, ROW_ID_BYTES_MAX};

/// Longest field of fixed length, in bytes.
const FIELD_BYTES_MAX: usize = 4;

/// A message of which a part has come.
#[derive(Debug)]
pub(super) struct LargeMessage {
    start: Lsn,
    event_bytes_max: usize,
    /// Size of the message, in bytes.
    bytes: usize,
    /// What of it has not come yet.
    left: usize,
    /// The beginning of the field that is read.
    field: Vec<u8>,
    step: Step,
    message_type: u8,
    relation: u32,
    /// Which columns are kept; none of a table without documents.
    columns: Option<DocumentColumns>,
    old: Option<OldTuple>,
    new: Option<Tuple>,
}

/// What is read next.
#[derive(Debug)]
enum Step {
    MessageType,
    Relation,
    TupleKind,
    ColumnCount {
        kind: u8,
    },
    Column(Columns),
    Length(Columns),
    Text(Columns, PartOfText),
    /// Nothing that matters is left.
    Rest,
}

/// The columns of a tuple, as far as they were read.
#[derive(Debug)]
struct Columns {
    kind: u8,
    count: usize,
    tuple: Tuple,
}

/// A column's text, as far as it was read.
#[derive(Debug)]
struct PartOfText {
    kept: BytesMut,
    size_bytes: usize,
    /// What has not come yet, in bytes: to be kept, and to be passed over after that.
    to_keep: usize,
    to_pass: usize,
}

impl LargeMessage {
    /// A message of so many bytes, none of which has come. `start` is that of its `XLogData`.
    pub(super) fn new(start: Lsn, bytes: usize, event_bytes_max: usize) -> Self {
        Self {
            start,
            event_bytes_max,
            bytes,
            left: bytes,
            field: Vec::with_capacity(FIELD_BYTES_MAX),
            step: Step::MessageType,
            message_type: b'?',
            relation: 0,
            columns: None,
            old: None,
            new: None,
        }
    }

    /// What may be kept of it at most, in bytes: its documents before and after.
    pub(super) fn held_bytes_max(&self) -> u64 {
        self.bytes.min(self.event_bytes_max.saturating_mul(2)) as u64
    }

    pub(super) fn start(&self) -> Lsn {
        self.start
    }

    /// All of it has come.
    pub(super) fn is_whole(&self) -> bool {
        self.left == 0
    }

    /// Takes the next piece. `columns` tells where a table has its documents.
    ///
    /// # Errors
    /// [`FormatError`] when it is no row of protocol version 1.
    pub(super) fn take(
        &mut self,
        mut piece: Bytes,
        columns: impl Fn(u32) -> Option<DocumentColumns>,
    ) -> Result<(), FormatError> {
        while !piece.is_empty() {
            let before = piece.len();
            let step = std::mem::replace(&mut self.step, Step::Rest);
            self.step = self.advance(step, &mut piece, &columns)?;
            self.left = self.left.saturating_sub(before - piece.len());
        }
        Ok(())
    }

    /// The message, without what was passed over.
    ///
    /// # Errors
    /// [`FormatError::Short`] when the row is not complete.
    pub(super) fn finish(self) -> Result<Message, FormatError> {
        let short = FormatError::Short { message_type: char::from(self.message_type) };
        let relation = self.relation;
        let change = match (self.message_type, self.old, self.new) {
            (b'O' | b'M', ..) => return Ok(Message::Ignored),
            (b'I', _, Some(new)) => Change::Insert(new),
            (b'U', old, Some(new)) => Change::Update(old, new),
            (b'D', Some(old), _) => Change::Delete(old),
            _ => return Err(short),
        };
        Ok(Message::Row { relation, change })
    }

    /// Takes the rest of one step from the piece, as far as it is there, and tells the next one.
    fn advance(
        &mut self,
        step: Step,
        piece: &mut Bytes,
        columns: impl Fn(u32) -> Option<DocumentColumns>,
    ) -> Result<Step, FormatError> {
        Ok(match step {
            Step::MessageType => match self.field(piece) {
                None => Step::MessageType,
                Some([message_type]) => self.begin(message_type)?,
            },
            Step::Relation => match self.field(piece).map(u32::from_be_bytes) {
                None => Step::Relation,
                Some(relation) => {
                    self.relation = relation;
                    self.columns = columns(relation);
                    Step::TupleKind
                }
            },
            Step::TupleKind => match self.field(piece) {
                None => Step::TupleKind,
                Some([kind]) => Step::ColumnCount { kind: self.check_kind(kind)? },
            },
            Step::ColumnCount { kind } => match self.field(piece).map(u16::from_be_bytes) {
                None => Step::ColumnCount { kind },
                Some(count) => {
                    let count = usize::from(count);
                    self.next_column(Columns { kind, count, tuple: Tuple::with_capacity(count) })
                }
            },
            Step::Column(mut columns) => match self.field(piece) {
                None => Step::Column(columns),
                Some([b't']) => Step::Length(columns),
                Some([kind @ (b'n' | b'u')]) => {
                    columns.tuple.push(if kind == b'n' { Value::Null } else { Value::Unchanged });
                    self.next_column(columns)
                }
                Some([other]) => return Err(unexpected(other, "`n`, `u` or `t`")),
            },
            Step::Length(columns) => match self.field(piece).map(u32::from_be_bytes) {
                None => Step::Length(columns),
                Some(length) => self.begin_text(columns, length as usize)?,
            },
            Step::Text(columns, mut text) => {
                text.take(piece);
                self.after_text(columns, text)
            }
            Step::Rest => {
                piece.clear();
                Step::Rest
            }
        })
    }

    /// A field of fixed length; `None` when its end has not come yet.
    fn field<const BYTES: usize>(&mut self, piece: &mut Bytes) -> Option<[u8; BYTES]> {
        let missing = BYTES.saturating_sub(self.field.len());
        self.field.extend_from_slice(&piece.split_to(missing.min(piece.len())));
        let field = self.field.first_chunk::<BYTES>().copied()?;
        self.field.clear();
        Some(field)
    }

    fn begin(&mut self, message_type: u8) -> Result<Step, FormatError> {
        self.message_type = message_type;
        match message_type {
            b'I' | b'U' | b'D' => Ok(Step::Relation),
            b'O' | b'M' => Ok(Step::Rest),
            _ => Err(FormatError::Large { message_type: char::from(message_type), bytes: self.bytes }),
        }
    }

    fn check_kind(&self, kind: u8) -> Result<u8, FormatError> {
        match (self.message_type, &self.old, kind) {
            (b'I', _, b'N') | (b'U', None, b'O' | b'K' | b'N') | (b'U', Some(_), b'N') => Ok(kind),
            (b'D', _, b'O' | b'K') => Ok(kind),
            (b'I', ..) => Err(unexpected(kind, "`N`")),
            (b'U', ..) => Err(unexpected(kind, "`O`, `K` or `N`")),
            _ => Err(unexpected(kind, "`O` or `K`")),
        }
    }

    fn next_column(&mut self, columns: Columns) -> Step {
        if columns.tuple.len() < columns.count {
            return Step::Column(columns);
        }
        match columns.kind {
            b'O' => self.old = Some(OldTuple::Full(columns.tuple)),
            b'K' => self.old = Some(OldTuple::Key(columns.tuple)),
            _ => self.new = Some(columns.tuple),
        }
        if self.message_type == b'U' && self.new.is_none() { Step::TupleKind } else { Step::Rest }
    }

    fn begin_text(&mut self, columns: Columns, size_bytes: usize) -> Result<Step, FormatError> {
        // Room is taken for what will come, not for what a broken message claims.
        if size_bytes > self.left {
            return Err(FormatError::Short { message_type: char::from(self.message_type) });
        }
        let to_keep = size_bytes.min(self.kept_of(columns.tuple.len(), size_bytes));
        let text = PartOfText {
            kept: BytesMut::with_capacity(to_keep),
            size_bytes,
            to_keep,
            to_pass: size_bytes - to_keep,
        };
        Ok(self.after_text(columns, text))
    }

    /// Bytes that are kept of the column with this index, whose text has `size_bytes`.
    fn kept_of(&self, column: usize, size_bytes: usize) -> usize {
        match self.columns {
            Some(columns) if columns.properties == column && size_bytes > self.event_bytes_max => {
                PREFIX_BYTES_MAX
            }
            Some(columns) if columns.properties == column => size_bytes,
            Some(columns) if columns.id == Some(column) => ROW_ID_BYTES_MAX,
            _ => 0,
        }
    }

    fn after_text(&mut self, mut columns: Columns, text: PartOfText) -> Step {
        if text.to_keep + text.to_pass > 0 {
            return Step::Text(columns, text);
        }
        columns.tuple.push(Value::Text(Text { kept: text.kept.freeze(), size_bytes: text.size_bytes }));
        self.next_column(columns)
    }
}

impl PartOfText {
    fn take(&mut self, piece: &mut Bytes) {
        let kept = piece.split_to(self.to_keep.min(piece.len()));
        self.kept.extend_from_slice(&kept);
        self.to_keep -= kept.len();
        let passed = piece.split_to(self.to_pass.min(piece.len()));
        self.to_pass -= passed.len();
    }
}

#[cfg(test)]
mod tests;
