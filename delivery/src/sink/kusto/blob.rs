//! Rows on their way to a table, compressed as they come.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::Instant;
use twinroute_common::cloud_event::CloudEvent;

use super::row::push_row;
use super::tables::Table;
use crate::sink::SinkError;

/// The rows of one table.
#[derive(Debug)]
pub(super) struct Filling {
    table: Table,
    tokens: Vec<u64>,
    raw_bytes: usize,
    gzip: GzEncoder<Vec<u8>>,
}

/// A blob that is complete.
#[derive(Debug)]
pub(super) struct Blob {
    /// Where its rows go.
    pub(super) table: Table,
    /// The submissions in it.
    pub(super) tokens: Vec<u64>,
    /// Bytes before compression.
    pub(super) raw_bytes: usize,
    /// The rows, as gzip, unless they could not be compressed.
    pub(super) content: io::Result<Bytes>,
}

impl Filling {
    fn new(table: Table) -> Self {
        let gzip = GzEncoder::new(Vec::new(), Compression::fast());
        Self { table, tokens: Vec::new(), raw_bytes: 0, gzip }
    }

    fn push(&mut self, token: u64, line: &[u8]) -> io::Result<()> {
        self.gzip.write_all(line)?;
        self.raw_bytes += line.len();
        self.tokens.push(token);
        Ok(())
    }

    fn finish(self) -> Blob {
        let content = self.gzip.finish().map(Bytes::from);
        Blob { table: self.table, tokens: self.tokens, raw_bytes: self.raw_bytes, content }
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
    pub(super) fn push(&mut self, token: u64, event: &CloudEvent, now: Instant) -> Result<(), SinkError> {
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
            let pushed = filling.push(token, &self.line);
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

    #[test]
    fn rows_are_gathered_by_table() {
        // given events of two tables
        let mut batch = Batch::default();
        let now = Instant::now();
        batch.push(1, &event(EventType::PropertyEvent, "a", r#"{"n":1}"#), now).unwrap();
        batch.push(2, &event(EventType::TwinLifecycle, "a", r#"{"n":2}"#), now).unwrap();
        batch.push(3, &event(EventType::PropertyEvent, "b", r#"{"n":3}"#), now).unwrap();
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
        let error = batch.push(1, &event(EventType::TwinUpdate, "a", "{}"), Instant::now()).unwrap_err();
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
            batch.push(token, &event(kind, "a", "{}"), now).unwrap();
        }
        assert_eq!(batch.into_tokens(), [1, 2, 3]);
    }
}
