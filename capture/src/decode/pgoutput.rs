//! Messages of the pgoutput plug-in, protocol version 1 (PostgreSQL manual, section "Logical Replication Message Formats").
//!
//! Column values are slices of the received buffer; nothing is copied.

use bytes::{Buf, Bytes};
use twinroute_common::lsn::Lsn;

use super::row::{Change, OldTuple, Text, Tuple, Value};

/// Seconds between 1970-01-01 and PostgreSQL's epoch, 2000-01-01.
const POSTGRES_EPOCH_S: i64 = 946_684_800;

/// A message that follows another format. The stream cannot be read on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormatError {
    /// The message is shorter than its format says.
    #[error("a pgoutput message of type `{message_type}` ends early")]
    Short {
        /// The message's type byte.
        message_type: char,
    },
    /// A message type, tuple or column kind that protocol version 1 does not have.
    #[error("pgoutput sent `{found}` where {expected} was expected")]
    Unexpected {
        /// What was found.
        found: char,
        /// What the format allows there.
        expected: &'static str,
    },
    /// A name is not UTF-8.
    #[error("pgoutput sent a name that is not UTF-8")]
    Name,
    /// Only rows may be larger than what is taken whole.
    #[error("pgoutput sent a message of type `{message_type}` with {bytes} bytes")]
    Large {
        /// The message's type byte.
        message_type: char,
        /// Its size in bytes.
        bytes: usize,
    },
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// A committed transaction starts.
    Begin(Begin),
    /// A transaction ends.
    Commit(Commit),
    /// Describes a table; comes before its first row and after each change of it.
    Relation(Relation),
    /// Names a type that is not built in.
    Type {
        /// OID of the type.
        oid: u32,
        /// Name of the type.
        name: String,
    },
    /// A row changed.
    Row {
        /// OID of the table.
        relation: u32,
        /// How.
        change: Change,
    },
    /// Tables were emptied.
    Truncate {
        /// OIDs of the tables.
        relations: Vec<u32>,
    },
    /// Somebody left word in the WAL.
    Logical(super::logical::Logical),
    /// Origin messages, which say nothing about twins.
    Ignored,
}

/// A committed transaction starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// LSN of the commit record.
    pub commit_lsn: Lsn,
    /// Commit time in microseconds since 1970-01-01T00:00:00Z.
    pub commit_time_us: i64,
    /// Transaction id.
    pub xid: u32,
}

/// A transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// LSN behind the commit record; what may be confirmed once the transaction is settled.
    pub end_lsn: Lsn,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// OID of the table.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Table.
    pub table: String,
    /// Replica identity as in `pg_class.relreplident`: `d`, `n`, `f` or `i`.
    pub replica_identity: u8,
    /// Columns in order.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// OID of its type.
    pub type_oid: u32,
}

impl Message {
    /// Decodes one message, the payload of an `XLogData`.
    ///
    /// # Errors
    /// [`FormatError`] when the message is not of protocol version 1.
    pub fn decode(payload: Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader { message_type: '?', rest: payload };
        let message_type = reader.u8()?;
        reader.message_type = char::from(message_type);
        match message_type {
            b'B' => reader.begin().map(Self::Begin),
            b'C' => reader.commit().map(Self::Commit),
            b'R' => reader.relation().map(Self::Relation),
            b'Y' => reader.type_name(),
            b'I' => reader.insert(),
            b'U' => reader.update(),
            b'D' => reader.delete(),
            b'T' => reader.truncate(),
            b'M' => super::logical::read(reader.rest).map(Self::Logical),
            b'O' => Ok(Self::Ignored),
            other => Err(unexpected(other, "a message of protocol version 1")),
        }
    }
}

struct Reader {
    message_type: char,
    rest: Bytes,
}

impl Reader {
    fn begin(&mut self) -> Result<Begin, FormatError> {
        let commit_lsn = Lsn(self.u64()?);
        let commit_time_us = self.u64()?.cast_signed().saturating_add(POSTGRES_EPOCH_S * 1_000_000);
        Ok(Begin { commit_lsn, commit_time_us, xid: self.u32()? })
    }

    fn commit(&mut self) -> Result<Commit, FormatError> {
        let _flags = self.u8()?;
        let _commit_lsn = self.u64()?;
        Ok(Commit { end_lsn: Lsn(self.u64()?) })
    }

    fn relation(&mut self) -> Result<Relation, FormatError> {
        let oid = self.u32()?;
        let schema = self.name()?;
        let table = self.name()?;
        let replica_identity = self.u8()?;
        let count = self.u16()?;
        let mut columns = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let _flags = self.u8()?;
            let name = self.name()?;
            let type_oid = self.u32()?;
            let _type_modifier = self.u32()?;
            columns.push(Column { name, type_oid });
        }
        Ok(Relation { oid, schema, table, replica_identity, columns })
    }

    fn type_name(&mut self) -> Result<Message, FormatError> {
        let oid = self.u32()?;
        let _schema = self.name()?;
        Ok(Message::Type { oid, name: self.name()? })
    }

    fn insert(&mut self) -> Result<Message, FormatError> {
        let relation = self.u32()?;
        match self.u8()? {
            b'N' => Ok(Message::Row { relation, change: Change::Insert(self.tuple()?) }),
            other => Err(unexpected(other, "`N`")),
        }
    }

    fn update(&mut self) -> Result<Message, FormatError> {
        let relation = self.u32()?;
        let (old, marker) = match self.u8()? {
            b'O' => (Some(OldTuple::Full(self.tuple()?)), self.u8()?),
            b'K' => (Some(OldTuple::Key(self.tuple()?)), self.u8()?),
            marker => (None, marker),
        };
        match marker {
            b'N' => Ok(Message::Row { relation, change: Change::Update(old, self.tuple()?) }),
            other => Err(unexpected(other, "`O`, `K` or `N`")),
        }
    }

    fn delete(&mut self) -> Result<Message, FormatError> {
        let relation = self.u32()?;
        let old = match self.u8()? {
            b'O' => OldTuple::Full(self.tuple()?),
            b'K' => OldTuple::Key(self.tuple()?),
            other => return Err(unexpected(other, "`O` or `K`")),
        };
        Ok(Message::Row { relation, change: Change::Delete(old) })
    }

    fn truncate(&mut self) -> Result<Message, FormatError> {
        let count = self.u32()?;
        let _options = self.u8()?;
        let mut relations = Vec::new();
        for _ in 0..count {
            relations.push(self.u32()?);
        }
        Ok(Message::Truncate { relations })
    }

    fn tuple(&mut self) -> Result<Tuple, FormatError> {
        let count = self.u16()?;
        let mut tuple = Tuple::with_capacity(usize::from(count));
        for _ in 0..count {
            tuple.push(match self.u8()? {
                b'n' => Value::Null,
                b'u' => Value::Unchanged,
                b't' => {
                    let length = self.u32()?;
                    Value::Text(Text::whole(self.take(length as usize)?))
                }
                other => return Err(unexpected(other, "`n`, `u` or `t`")),
            });
        }
        Ok(tuple)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, FormatError> {
        if self.rest.len() < length {
            return Err(self.short());
        }
        Ok(self.rest.split_to(length))
    }

    fn name(&mut self) -> Result<String, FormatError> {
        let length = self.rest.iter().position(|&byte| byte == 0).ok_or_else(|| self.short())?;
        let name = self.take(length)?;
        self.u8()?;
        String::from_utf8(name.into()).map_err(|_| FormatError::Name)
    }

    fn u8(&mut self) -> Result<u8, FormatError> {
        self.rest.try_get_u8().map_err(|_| self.short())
    }

    fn u16(&mut self) -> Result<u16, FormatError> {
        self.rest.try_get_u16().map_err(|_| self.short())
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        self.rest.try_get_u32().map_err(|_| self.short())
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        self.rest.try_get_u64().map_err(|_| self.short())
    }

    fn short(&self) -> FormatError {
        FormatError::Short { message_type: self.message_type }
    }
}

pub(super) fn unexpected(found: u8, expected: &'static str) -> FormatError {
    FormatError::Unexpected { found: char::from(found), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: &[u8] = b"U\x00\x00\x00\x07O\x00\x02t\x00\x00\x00\x011nN\x00\x02t\x00\x00\x00\x011u";

    #[test]
    fn an_update_carries_both_rows() {
        let one = Value::Text(Text::whole(Bytes::from_static(b"1")));
        let decoded = Message::decode(Bytes::from_static(UPDATE));
        assert_eq!(
            decoded,
            Ok(Message::Row {
                relation: 7,
                change: Change::Update(
                    Some(OldTuple::Full(vec![one.clone(), Value::Null])),
                    vec![one, Value::Unchanged],
                ),
            })
        );
    }

    #[test]
    fn a_message_cut_anywhere_is_refused() {
        for length in 0..UPDATE.len() {
            let cut = Message::decode(Bytes::from_static(UPDATE).slice(..length));
            assert!(matches!(cut, Err(FormatError::Short { .. })), "{length}: {cut:?}");
        }
    }

    #[test]
    fn begin_has_unix_time() {
        let mut begin = vec![b'B'];
        begin.extend_from_slice(&0x16_B374_D848_u64.to_be_bytes());
        begin.extend_from_slice(&1_i64.to_be_bytes());
        begin.extend_from_slice(&42_u32.to_be_bytes());
        assert_eq!(
            Message::decode(begin.into()),
            Ok(Message::Begin(Begin {
                commit_lsn: Lsn(0x16_B374_D848),
                commit_time_us: 946_684_800_000_001,
                xid: 42,
            }))
        );
    }
}
