//! What is handed on of a row that cannot be read.

use bytes::Bytes;
use twinroute_common::event::PoisonEvent;
use twinroute_common::position::Position;

use super::json_string;
use super::pgoutput::{Begin, Change};
use super::table::{DocumentColumns, Table};

/// Why a row cannot be read.
#[derive(Debug)]
pub(super) struct Poison {
    /// The text of its document.
    pub(super) raw: Bytes,
    pub(super) reason: String,
    /// The `$dtId`, if reading came that far.
    pub(super) twin_id: Option<String>,
}

impl Poison {
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
        let ordering_key = self.twin_id.or_else(|| find_twin_id(&self.raw)).unwrap_or_else(row_id);
        PoisonEvent {
            position,
            graph: table.graph.to_string(),
            label: table.label.to_string(),
            ordering_key,
            reason: self.reason,
            raw_size_bytes: self.raw.len() as u64,
            raw: self.raw,
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
