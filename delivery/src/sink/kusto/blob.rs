//! Rows on their way to a table, compressed as they come.

use std::collections::BTreeSet;
use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::Instant;
use uuid::Uuid;

use super::row::push_row;
use super::tables::Table;
use crate::sink::{SinkError, Submission};

/// The rows of one table.
#[derive(Debug)]
pub(super) struct Filling {
    table: Table,
    tokens: Vec<u64>,
    events: Vec<Uuid>,
    partitions: BTreeSet<u32>,
    raw_bytes: usize,
    gzip: GzEncoder<Vec<u8>>,
}

/// A blob that is complete.
#[derive(Debug)]
pub(super) struct Blob {
    /// Names it, and is the tag of its rows.
    pub(super) id: Uuid,
    /// Where its rows go.
    pub(super) table: Table,
    /// The submissions in it.
    pub(super) tokens: Vec<u64>,
    /// The ids of their events.
    pub(super) events: Vec<Uuid>,
    /// The partitions of their events.
    pub(super) partitions: BTreeSet<u32>,
    /// Bytes before compression.
    pub(super) raw_bytes: usize,
    /// The rows, as gzip, unless they could not be compressed.
    pub(super) content: io::Result<Bytes>,
}

impl Filling {
    fn new(table: Table) -> Self {
        let gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let (tokens, events, partitions) = Default::default();
        Self { table, tokens, events, partitions, raw_bytes: 0, gzip }
    }

    fn push(&mut self, submission: &Submission, line: &[u8]) -> io::Result<()> {
        self.gzip.write_all(line)?;
        self.raw_bytes += line.len();
        self.tokens.push(submission.token);
        self.events.push(submission.event.id);
        self.partitions.insert(submission.partition);
        Ok(())
    }

    fn finish(self) -> Blob {
        let Self { table, tokens, events, partitions, raw_bytes, gzip } = self;
        let content = gzip.finish().map(Bytes::from);
        Blob { id: Uuid::new_v4(), table, tokens, events, partitions, raw_bytes, content }
    }
}

/// The blobs that are being filled.
#[derive(Debug, Default)]
pub(super) struct Batch {
    fillings: Vec<Filling>,
    events: usize,
    largest_bytes: usize,
    began: Option<Instant>,
    line: Vec<u8>,
}

impl Batch {
    /// Adds an event.
    ///
    /// # Errors
    /// When it is none that a table can take; about the event.
    pub(super) fn push(&mut self, submission: &Submission, now: Instant) -> Result<(), SinkError> {
        let event = &*submission.event;
        let Some(table) = Table::of(event.default_type) else {
            let message =
                format!("{} is no data history, and Kusto takes nothing else", event.default_type.name());
            return Err(SinkError::about_event("NOT_DATA_HISTORY", message));
        };
        self.line.clear();
        push_row(event, &mut self.line)?;
        let known = self.fillings.iter().position(|filling| filling.table == table);
        let index = known.unwrap_or_else(|| {
            self.fillings.push(Filling::new(table));
            self.fillings.len() - 1
        });
        if let Some(filling) = self.fillings.get_mut(index) {
            let pushed = filling.push(submission, &self.line);
            pushed.map_err(|error| SinkError::about_event("NOT_COMPRESSED", error.to_string()))?;
            self.largest_bytes = self.largest_bytes.max(filling.raw_bytes);
        }
        self.events += 1;
        self.began.get_or_insert(now);
        Ok(())
    }

    /// Number of events.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// Bytes of the largest blob, before compression.
    pub(super) fn largest_bytes(&self) -> usize {
        self.largest_bytes
    }

    /// When the first event came.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// The blobs, complete.
    pub(super) fn finish(self) -> Vec<Blob> {
        self.fillings.into_iter().map(Filling::finish).collect()
    }

    /// The submissions, in the order they came.
    pub(super) fn into_tokens(self) -> Vec<u64> {
        let mut tokens: Vec<u64> = self.fillings.into_iter().flat_map(|filling| filling.tokens).collect();
        tokens.sort_unstable();
        tokens
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use twinroute_common::cloud_event::EventType;

    use super::*;
    use crate::sink::test_events::event;

    fn submission(token: u64, kind: EventType, data: &str) -> Submission {
        Submission { token, partition: 0, event: event(kind, "a", data).into() }
    }

    #[test]
    fn rows_are_gathered_by_table() {
        // given events of two tables
        let mut batch = Batch::default();
        let now = Instant::now();
        batch.push(&submission(1, EventType::PropertyEvent, r#"{"n":1}"#), now).unwrap();
        batch.push(&submission(2, EventType::TwinLifecycle, r#"{"n":2}"#), now).unwrap();
        batch.push(&submission(3, EventType::PropertyEvent, r#"{"n":3}"#), now).unwrap();
        assert_eq!((batch.events(), batch.began()), (3, Some(now)));

        // when the blobs are complete
        let blobs = batch.finish();

        // then there is one for each table, with its rows in order
        let [properties, lifecycle] = &blobs[..] else { panic!("two blobs") };
        assert_eq!((properties.table, &properties.tokens[..]), (Table::Property, &[1, 3][..]));
        assert_eq!((lifecycle.table, &lifecycle.tokens[..]), (Table::TwinLifeCycle, &[2][..]));
        let mut rows = String::new();
        GzDecoder::new(&properties.content.as_ref().unwrap()[..]).read_to_string(&mut rows).unwrap();
        assert_eq!(rows.len(), properties.raw_bytes);
        let starts: Vec<&str> = rows.lines().filter_map(|row| row.get(..6)).collect();
        assert_eq!(starts, [r#"{"n":1"#, r#"{"n":3"#]);
    }

    #[test]
    fn an_event_notification_is_refused_for_good() {
        let mut batch = Batch::default();
        let error = batch.push(&submission(1, EventType::TwinUpdate, "{}"), Instant::now()).unwrap_err();
        assert_eq!((error.code, error.about_event), ("NOT_DATA_HISTORY", true));
        assert_eq!(batch.events(), 0);
    }

    #[test]
    fn submissions_come_back_in_their_order() {
        let mut batch = Batch::default();
        let now = Instant::now();
        for (token, kind) in
            [(1, EventType::PropertyEvent), (2, EventType::TwinLifecycle), (3, EventType::PropertyEvent)]
        {
            batch.push(&submission(token, kind, "{}"), now).unwrap();
        }
        assert_eq!(batch.into_tokens(), [1, 2, 3]);
    }
}
