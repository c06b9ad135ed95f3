//! A blob as it is kept in the store of the parked backlog while it is on its way: a head line, then its content.
//!
//! ```text
//! twinroute-shipment 1 {"table":"property","rawBytes":812,"partitions":[3,17],"sha256":"8c1f…"}
//! <gzip>
//! ```
//!
//! The checksum is over everything behind the head line.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};

use bytes::Bytes;
use flate2::read::GzDecoder;
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tables::Table;
use crate::backlog::checksum::checksum;

const MAGIC: &str = "twinroute-shipment 1 ";

/// So many bytes hold a head line, with every partition there can be.
pub(super) const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// What the head line says of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    /// Where its rows go.
    pub(super) table: Table,
    /// Bytes before compression.
    pub(super) raw_bytes: usize,
    /// The partitions of its events.
    pub(super) partitions: BTreeSet<u32>,
    sha256: String,
}

/// What is kept cannot be read: it is torn, was changed, or another version wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is kept of a shipment cannot be read: it is torn or was changed")]
pub(super) struct Unreadable;

/// The row of any table, as far as it says which event it is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    event_id: Uuid,
}

/// A blob as it is kept.
pub(super) fn encode(table: Table, raw_bytes: usize, partitions: &BTreeSet<u32>, content: &[u8]) -> Bytes {
    let head = Head { table, raw_bytes, partitions: partitions.clone(), sha256: checksum(content) };
    let mut kept = MAGIC.as_bytes().to_vec();
    // Numbers and texts are always JSON.
    kept.extend(serde_json::to_vec(&head).unwrap_or_default());
    kept.push(b'\n');
    kept.extend_from_slice(content);
    kept.into()
}

/// The head of what is kept, of which this is the start.
pub(super) fn head(kept: &[u8]) -> Result<Head, Unreadable> {
    let end = kept.iter().position(|byte| *byte == b'\n').ok_or(Unreadable)?;
    let line = kept.get(..end).and_then(|line| line.strip_prefix(MAGIC.as_bytes())).ok_or(Unreadable)?;
    serde_json::from_slice(line).map_err(|_| Unreadable)
}

/// The head and the blob.
pub(super) fn decode(kept: &Bytes) -> Result<(Head, Bytes), Unreadable> {
    let head = head(kept)?;
    let begin = kept.iter().position(|byte| *byte == b'\n').ok_or(Unreadable)? + 1;
    let content = kept.slice(begin..);
    if checksum(&content) == head.sha256 { Ok((head, content)) } else { Err(Unreadable) }
}

/// The ids of the events in a blob.
pub(super) fn events(content: &[u8]) -> Result<HashSet<Uuid>, Unreadable> {
    let lines = BufReader::new(GzDecoder::new(content)).split(b'\n');
    let id = |line: Vec<u8>| serde_json::from_slice::<Row>(&line).map(|row| row.event_id);
    lines.map(|line| id(line.map_err(|_| Unreadable)?).map_err(|_| Unreadable)).collect()
}

#[cfg(test)]
mod tests {
    use twinroute_common::cloud_event::EventType;

    use super::super::blob::{Batch, Blob};
    use super::*;
    use crate::sink::Submission;
    use crate::sink::test_events::event;

    fn blob() -> Blob {
        let mut batch = Batch::default();
        for (number, partition) in [(1, 5), (2, 3), (3, 5)] {
            let mut event = event(EventType::PropertyEvent, "a", "{\"text\":\"line\\n\"}");
            event.id = Uuid::from_u128(number);
            let submission = Submission { token: 0, partition, event: event.into() };
            batch.push(&submission, tokio::time::Instant::now()).unwrap();
        }
        batch.finish().pop().unwrap()
    }

    #[test]
    fn a_blob_comes_back_as_it_was() {
        // given a blob that is kept
        let Blob { table, events: ids, partitions, raw_bytes, content, .. } = blob();
        let content = content.unwrap();
        let kept = encode(table, raw_bytes, &partitions, &content);

        // then it is read as it was, with the events in it
        let (read, read_content) = decode(&kept).unwrap();
        assert_eq!((read.table, read.raw_bytes), (Table::Property, raw_bytes));
        assert_eq!(read.partitions, BTreeSet::from([3, 5]));
        assert_eq!(read_content, content);
        assert_eq!(events(&read_content).unwrap(), ids.into_iter().collect());

        // and its start says what its head does
        assert_eq!(head(kept.get(..200).unwrap()), Ok(read));
    }

    #[test]
    fn any_change_is_noticed() {
        let Blob { table, partitions, raw_bytes, content, .. } = blob();
        let kept = encode(table, raw_bytes, &partitions, &content.unwrap());
        for length in 0..kept.len() {
            assert!(decode(&kept.slice(..length)).is_err(), "torn at {length}");
        }
        let begin = kept.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for index in begin..kept.len() {
            let mut changed = kept.to_vec();
            *changed.get_mut(index).unwrap() ^= 1;
            assert_eq!(decode(&changed.into()), Err(Unreadable), "changed at {index}");
        }
    }
}
