//! A blob as it is kept in the store of the parked backlog while it is on its way: a line with a checksum, a line that says
//! what it is, then its content.
//!
//! ```text
//! twinroute-shipment 1 sha256=8c1f…
//! {"target":"51ab…","table":"property","rawBytes":812,"partitions":[3,17]}
//! <gzip>
//! ```
//!
//! The checksum is over everything behind the first line.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};

use bytes::Bytes;
use flate2::read::GzDecoder;
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use twinroute_common::route::KustoOptions;
use uuid::Uuid;

use super::tables::Table;
use crate::backlog::checksum::checksum;

const MAGIC: &str = "twinroute-shipment 1 sha256=";

/// So many bytes hold the two lines, with every partition there can be.
pub(super) const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// What is said of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    /// Where it goes: see [`target`].
    pub(super) target: String,
    /// The table of its rows.
    pub(super) table: Table,
    /// Bytes before compression.
    pub(super) raw_bytes: usize,
    /// The partitions of its events.
    pub(super) partitions: BTreeSet<u32>,
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

/// Names where an endpoint's blobs go. What went elsewhere, before the endpoint was changed, has not arrived there.
pub(super) fn target(options: &KustoOptions) -> String {
    let KustoOptions { ingestion_uri, database, tables, .. } = options;
    let tables = Table::ALL.map(|table| table.name(tables));
    checksum(format!("{ingestion_uri}\n{database}\n{}", tables.join("\n")).as_bytes())
}

/// A blob as it is kept.
pub(super) fn encode(head: &Head, content: &[u8]) -> Bytes {
    // Numbers and texts are always JSON.
    let mut body = serde_json::to_vec(head).unwrap_or_default();
    body.push(b'\n');
    body.extend_from_slice(content);
    let mut kept = format!("{MAGIC}{}\n", checksum(&body)).into_bytes();
    kept.append(&mut body);
    kept.into()
}

/// The head of what is kept, of which this is the start.
pub(super) fn head(kept: &[u8]) -> Result<Head, Unreadable> {
    let (_, body) = line(kept)?;
    let (head, _) = line(body)?;
    serde_json::from_slice(head).map_err(|_| Unreadable)
}

/// The head and the blob.
pub(super) fn decode(kept: &Bytes) -> Result<(Head, Bytes), Unreadable> {
    let (first, body) = line(kept)?;
    let (second, content) = line(body)?;
    if first.strip_prefix(MAGIC.as_bytes()) != Some(checksum(body).as_bytes()) {
        return Err(Unreadable);
    }
    let head = serde_json::from_slice(second).map_err(|_| Unreadable)?;
    Ok((head, kept.slice_ref(content)))
}

/// The ids of the events in a blob.
pub(super) fn events(content: &[u8]) -> Result<HashSet<Uuid>, Unreadable> {
    let lines = BufReader::new(GzDecoder::new(content)).split(b'\n');
    let id = |line: Vec<u8>| serde_json::from_slice::<Row>(&line).map(|row| row.event_id);
    lines.map(|line| id(line.map_err(|_| Unreadable)?).map_err(|_| Unreadable)).collect()
}

/// The first line, and what is behind it.
fn line(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(Unreadable)?;
    let (line, rest) = bytes.split_at(end);
    Ok((line, rest.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use twinroute_common::cloud_event::EventType;

    use super::super::blob::{Batch, Blob};
    use super::*;
    use crate::sink::Submission;
    use crate::sink::test_events::event;

    /// A blob with three events, its head, and how it is kept.
    fn kept() -> (Blob, Head, Bytes) {
        let mut batch = Batch::default();
        for (number, partition) in [(1, 5), (2, 3), (3, 5)] {
            let mut event = event(EventType::PropertyEvent, "a", "{\"text\":\"line\\n\"}");
            event.id = Uuid::from_u128(number);
            let submission = Submission { token: 0, partition, event: event.into() };
            batch.push(&submission, tokio::time::Instant::now()).unwrap();
        }
        let blob = batch.finish().pop().unwrap();
        let Blob { table, raw_bytes, ref partitions, ref content, .. } = blob;
        let head = Head { target: "there".to_owned(), table, raw_bytes, partitions: partitions.clone() };
        let kept = encode(&head, content.as_ref().unwrap());
        (blob, head, kept)
    }

    #[test]
    fn a_blob_comes_back_as_it_was() {
        // given a blob that is kept
        let (blob, head_before, kept) = kept();

        // then it is read as it was, with the events in it
        let (read, content) = decode(&kept).unwrap();
        assert_eq!(read, head_before);
        assert_eq!(content, blob.content.unwrap());
        assert_eq!(events(&content).unwrap(), blob.events.into_iter().collect());
        assert_eq!(read.partitions, BTreeSet::from([3, 5]));

        // and its start says what its head does
        assert_eq!(head(kept.get(..250).unwrap()), Ok(read));
    }

    #[test]
    fn any_change_is_noticed() {
        let (_, _, kept) = kept();
        for length in 0..kept.len() {
            assert!(decode(&kept.slice(..length)).is_err(), "torn at {length}");
        }
        for index in 0..kept.len() {
            let mut changed = kept.to_vec();
            *changed.get_mut(index).unwrap() ^= 1;
            assert_eq!(decode(&changed.into()), Err(Unreadable), "changed at {index}");
        }
    }
}
