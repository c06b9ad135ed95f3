//! From pgoutput messages to items: what every committed transaction did to twins, relationships and models.
//!
//! Pure: takes messages, returns items. Decoding the same WAL twice gives the same items with the same positions.

mod agtype;
pub mod document;
mod json_string;
mod large;
pub mod logical;
pub mod pgoutput;
mod poison;
pub mod row;
pub mod table;
pub mod window;

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use twinroute_common::event::{Discontinuity, Item};
use twinroute_common::lsn::Lsn;
use twinroute_common::position::Position;

pub use self::agtype::Unreadable;
use self::document::Document;
use self::large::LargeMessage;
use self::logical::Logical;
use self::pgoutput::{Begin, FormatError, Message, Relation};
use self::poison::Poison;
use self::row::{Change, Text, Value};
use self::table::{DocumentColumns, Table};
use self::window::{Before, RowChange, Window};
use crate::graphs::Graphs;
use crate::selection::Selection;
use crate::unpublished::{self, Unpublished};

/// Largest message that is taken whole, in bytes. A larger one comes in pieces, so that what is received need not be held
/// before it is known what of it is wanted. Above any usual row, which is so a slice of what was received, and above any
/// description of a table (1,600 columns with names of 63 bytes).
pub const WHOLE_BYTES_MAX: usize = 128 << 10;

/// A stream that cannot be decoded on.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A message follows another format.
    #[error("the server sent a message that is not of pgoutput's protocol version 1")]
    Format(#[from] FormatError),
    /// A row came outside of a transaction, or of a table that was not described.
    #[error("pgoutput sent {what} out of order")]
    OutOfOrder {
        /// What came.
        what: &'static str,
    },
}

/// What a message led to.
#[derive(Debug)]
pub enum Decoded {
    /// Nothing yet.
    Nothing,
    /// A transaction is so large that a part of it comes before its end.
    Items(Vec<Item>),
    /// A transaction is complete.
    Committed {
        /// Its items that were not given out yet, in position order.
        items: Vec<Item>,
        /// What may be confirmed once they are settled.
        end_lsn: Lsn,
    },
    /// A table was described.
    Table {
        /// The table.
        relation: Relation,
    },
}

/// Decodes one stream of pgoutput messages.
#[derive(Debug)]
pub struct Decoder {
    incarnation: u64,
    event_bytes_max: usize,
    graphs: Option<Graphs>,
    selection: Selection,
    types: HashMap<u32, String>,
    tables: HashMap<u32, Arc<Table>>,
    transaction: Option<Transaction>,
    large: Option<LargeMessage>,
    rows_skipped: u64,
}

#[derive(Debug)]
struct Transaction {
    begin: Begin,
    window: Window,
    change_lsn: Lsn,
    /// Rows seen at `change_lsn`.
    rows_here: u32,
}

impl Decoder {
    /// A decoder at the start of a stream. A document above `event_bytes_max` bytes becomes a poison event.
    #[must_use]
    pub fn new(incarnation: u64, event_bytes_max: usize) -> Self {
        Self {
            incarnation,
            event_bytes_max,
            graphs: None,
            selection: Selection::default(),
            types: HashMap::new(),
            tables: HashMap::new(),
            transaction: None,
            large: None,
            rows_skipped: 0,
        }
    }

    /// Decodes only what is in `graphs`: a publication may have more than is configured.
    #[must_use]
    pub fn only(mut self, graphs: Graphs) -> Self {
        self.graphs = Some(graphs);
        self
    }

    /// The same, for a part of the entities only. Rows of other tables are not read.
    #[must_use]
    pub fn selecting(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Rows that belong to no entity, since the start.
    #[must_use]
    pub fn rows_skipped(&self) -> u64 {
        self.rows_skipped
    }

    /// A transaction has begun and not ended.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// What of a transaction is held and not given out yet, about, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        let window = self.transaction.as_ref().map_or(0, |transaction| transaction.window.held_bytes());
        window + self.large.as_ref().map_or(0, LargeMessage::held_bytes_max)
    }

    /// Takes the payload of the `XLogData` that starts at `start`.
    ///
    /// # Errors
    /// [`DecodeError`] when the stream is not what protocol version 1 allows; it cannot be read on.
    pub fn message(&mut self, start: Lsn, payload: Bytes) -> Result<Decoded, DecodeError> {
        self.take(start, Message::decode(payload)?)
    }

    /// A message of so many bytes, too large to be taken whole, begins at `start`; it comes in pieces.
    pub fn large_message(&mut self, start: Lsn, bytes: usize) {
        self.large = Some(LargeMessage::new(start, bytes, self.event_bytes_max));
    }

    /// Takes the next piece of that message. It leads to something when it is the last one.
    ///
    /// # Errors
    /// [`DecodeError`] when the stream cannot be read on.
    pub fn piece(&mut self, piece: Bytes) -> Result<Decoded, DecodeError> {
        let mut large = self.large.take().ok_or(DecodeError::OutOfOrder { what: "a piece of no message" })?;
        large.take(piece, |relation| self.tables.get(&relation)?.documents)?;
        if large.is_whole() {
            return self.take(large.start(), large.finish()?);
        }
        self.large = Some(large);
        Ok(Decoded::Nothing)
    }

    fn take(&mut self, start: Lsn, message: Message) -> Result<Decoded, DecodeError> {
        match message {
            Message::Begin(begin) => {
                self.transaction = Some(Transaction::new(begin));
                Ok(Decoded::Nothing)
            }
            Message::Commit(commit) => {
                let transaction = self.transaction.take();
                let mut transaction = transaction.ok_or(DecodeError::OutOfOrder { what: "Commit" })?;
                let items = self.close(&mut transaction, true);
                Ok(Decoded::Committed { items, end_lsn: commit.end_lsn })
            }
            Message::Relation(relation) => {
                let type_name = |oid| self.types.get(&oid).map(String::as_str);
                let mut table = Table::new(&relation, &self.selection, type_name);
                table.documents = table.documents.filter(|_| self.captures(&relation.schema));
                self.tables.insert(relation.oid, Arc::new(table));
                Ok(Decoded::Table { relation })
            }
            Message::Type { oid, name } => {
                self.types.insert(oid, name);
                Ok(Decoded::Nothing)
            }
            Message::Row { relation, change } => self.row(start, relation, &change),
            Message::Truncate { relations } => self.truncate(start, &relations),
            Message::Logical(message) => self.logical(start, &message),
            Message::Ignored => Ok(Decoded::Nothing),
        }
    }

    fn row(&mut self, start: Lsn, relation: u32, change: &Change) -> Result<Decoded, DecodeError> {
        let table = self.tables.get(&relation).cloned();
        let table = table.ok_or(DecodeError::OutOfOrder { what: "a row before its Relation" })?;
        let transaction = self.transaction.take();
        let mut transaction =
            transaction.ok_or(DecodeError::OutOfOrder { what: "a row outside of a transaction" })?;
        let position = transaction.next_position(self.incarnation, start);
        transaction.window.count_row(change.column_bytes());
        match table.documents {
            None => transaction.window.count_skipped(),
            Some(_) if !table.is_selected => {}
            Some(columns) => {
                let row = RowChange::new(relation, &table, columns, change, position);
                if let Err(poison) = self.apply(&mut transaction.window, row, columns, change) {
                    let poison = poison.into_event(&table, columns, change, position, &transaction.begin);
                    transaction.window.push_other(Item::Poison(poison));
                }
            }
        }
        let decoded = if transaction.window.is_full() {
            Decoded::Items(self.close(&mut transaction, false))
        } else {
            Decoded::Nothing
        };
        self.transaction = Some(transaction);
        Ok(decoded)
    }

    fn apply(
        &self,
        window: &mut Window,
        row: RowChange,
        columns: DocumentColumns,
        change: &Change,
    ) -> Result<(), Poison> {
        let old = change.full_old_tuple().and_then(|tuple| columns.document(tuple));
        let old_text = old.and_then(Value::text);
        let new = change.new_tuple().map(|tuple| columns.document(tuple).unwrap_or(&Value::Null));
        let new_text = match new {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Unchanged) => match old_text {
                Some(text) => Some(text),
                None => {
                    window.touch(row);
                    return Ok(());
                }
            },
            Some(Value::Null) | None => None,
        };
        let Some(new_text) = new_text else {
            let old = old_text.map(|text| self.read(text, columns)).transpose()?;
            window.delete(row, old);
            return Ok(());
        };
        let after = self.read(new_text, columns)?;
        let before = match (change, old) {
            (Change::Insert(_), _) | (_, Some(Value::Null)) => Before::Absent,
            _ if window.follows(&row) => Before::Unknown,
            (_, Some(Value::Text(text))) => self.read(text, columns).map_or(Before::Unknown, Before::Known),
            (_, Some(Value::Unchanged) | None) => Before::Unknown,
        };
        window.upsert(row, before, after);
        Ok(())
    }

    fn read(&self, text: &Text, columns: DocumentColumns) -> Result<Document, Poison> {
        if text.size_bytes > self.event_bytes_max {
            return Err(Poison::too_large(text, self.event_bytes_max));
        }
        Document::read(&text.kept, columns.notation)
            .map_err(|unreadable| Poison::unreadable(text, &unreadable))
    }

    fn truncate(&mut self, start: Lsn, relations: &[u32]) -> Result<Decoded, DecodeError> {
        let Some(transaction) = &mut self.transaction else {
            return Err(DecodeError::OutOfOrder { what: "Truncate" });
        };
        let position = transaction.next_position(self.incarnation, start);
        let tables = relations.iter().filter_map(|oid| self.tables.get(oid));
        for table in tables.filter(|table| table.documents.is_some() && table.is_selected) {
            transaction.window.push_other(Item::Discontinuity(Discontinuity {
                position,
                last_known: None,
                first_new: Some(position),
                reason: format!("{}.{} was truncated", table.graph, table.label),
            }));
        }
        Ok(Decoded::Nothing)
    }

    /// Word of rows that are not in the stream. What others leave in the WAL says nothing about twins.
    fn logical(&mut self, start: Lsn, message: &Logical) -> Result<Decoded, DecodeError> {
        if message.prefix != unpublished::PREFIX.as_bytes() || !message.is_transactional {
            return Ok(Decoded::Nothing);
        }
        let unpublished = Unpublished::read(&message.content);
        let is_other = |one: &Unpublished| {
            !self.captures(&one.graph) || !self.selection.takes_table(&one.graph, &one.label)
        };
        if unpublished.as_ref().is_some_and(is_other) {
            return Ok(Decoded::Nothing);
        }
        let Some(transaction) = &mut self.transaction else {
            return Err(DecodeError::OutOfOrder { what: "a transactional message" });
        };
        let position = transaction.next_position(self.incarnation, start);
        let gap = unpublished::item(unpublished.as_ref(), position);
        transaction.window.push_other(Item::Discontinuity(gap));
        Ok(Decoded::Nothing)
    }

    fn captures(&self, schema: &str) -> bool {
        self.graphs.as_ref().is_none_or(|graphs| graphs.contain(schema))
    }

    fn close(&mut self, transaction: &mut Transaction, ended: bool) -> Vec<Item> {
        let (items, skipped) = transaction.window.close(&transaction.begin, &self.selection, ended);
        self.rows_skipped += skipped;
        items
    }
}

impl Transaction {
    fn new(begin: Begin) -> Self {
        Self { begin, window: Window::default(), change_lsn: Lsn::ZERO, rows_here: 0 }
    }

    /// The position of the row whose message starts at `start`.
    fn next_position(&mut self, incarnation: u64, start: Lsn) -> Position {
        if start != self.change_lsn {
            self.change_lsn = start;
            self.rows_here = 0;
        }
        let ordinal = self.rows_here.saturating_mul(2);
        self.rows_here = self.rows_here.saturating_add(1);
        Position { incarnation, commit_lsn: self.begin.commit_lsn, change_lsn: start, ordinal }
    }
}

#[cfg(test)]
mod tests;
