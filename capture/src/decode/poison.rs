//! What is handed on of a row that cannot be read.

use bytes::Bytes;
use twinroute_common::event::PoisonEvent;
use twinroute_common::position::Position;

use super::agtype::Unreadable;
use super::document::Mark;
use super::json_string;
use super::pgoutput::Begin;
use super::row::{Change, Text};
use super::table::{DocumentColumns, Table};

/// What a poison event keeps of a row, in bytes: enough to see what it was, small enough to be handed on.
pub(super) const PREFIX_BYTES_MAX: usize = 64 << 10;

/// Why a row cannot be read.
#[derive(Debug)]
pub(super) struct Poison {
    /// The text of its document.
    raw: Text,
    reason: String,
    /// The `$dtId`, if one can be found.
    twin_id: Option<String>,
}

impl Poison {
    /// The document is larger than an event may be. What names its twin is looked for only in what is kept of every such
    /// document, so that it makes no difference how it was received.
    pub(super) fn too_large(document: &Text, event_bytes_max: usize) -> Self {
        let size = document.size_bytes;
        let reason = format!("the document has {size} bytes, and event_bytes_max is {event_bytes_max}");
        let kept = document.kept.slice(..document.kept.len().min(PREFIX_BYTES_MAX));
        Self { twin_id: find_twin_id(&kept), raw: Text { kept, size_bytes: size }, reason }
    }

    /// The document is none.
    pub(super) fn unreadable(document: &Text, unreadable: &Unreadable) -> Self {
        let twin_id = unreadable.marks.twin_id.as_ref().and_then(Mark::as_str).map(str::to_owned);
        let twin_id = twin_id.or_else(|| find_twin_id(&document.kept));
        Self { raw: document.clone(), reason: unreadable.to_string(), twin_id }
    }

    pub(super) fn into_event(
        self,
        table: &Table,
        columns: DocumentColumns,
        change: &Change,
        position: Position,
        begin: &Begin,
    ) -> PoisonEvent {
        let tuple = change.new_tuple().or(change.old_tuple());
        let row_id = || {
            let id = tuple.and_then(|tuple| columns.row_id(tuple));
            id.map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default()
        };
        let ordering_key = self.twin_id.unwrap_or_else(row_id);
        let prefix = self.raw.kept.get(..PREFIX_BYTES_MAX).unwrap_or(&self.raw.kept);
        PoisonEvent {
            position,
            graph: table.graph.to_string(),
            label: table.label.to_string(),
            ordering_key,
            reason: self.reason,
            raw_size_bytes: self.raw.size_bytes as u64,
            // A copy, so that the row itself is not held on to.
            raw: Bytes::copy_from_slice(prefix),
            commit_time_us: begin.commit_time_us,
            xid: begin.xid,
        }
    }
}

/// Looks for the first `"$dtId": "…"` in a text that is no document.
fn find_twin_id(raw: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"$dtId\"";
    let found = raw.windows(NAME.len()).position(|window| window == NAME)?;
    let rest = raw.get(found + NAME.len()..)?.trim_ascii_start();
    let content = rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let (end, _) = json_string::end(content, 0).ok()?;
    json_string::unescape(content.get(..end)?)
}
