//! Graphs that were taken into the publication by schema, as long as a transaction may have made a label in one that nobody
//! else could see then: what it wrote before is not in the stream.

use std::collections::HashSet;

use super::{Label, statement};
use crate::postgres::control::{Control, ControlError};

/// A graph that was taken in.
#[derive(Debug)]
pub(super) struct Taken {
    graph: String,
    /// A transaction that began after it was taken in; older ones may have written before.
    younger: String,
    /// Labels that were seen when it was taken in, or told of since.
    known: HashSet<u32>,
    /// All older transactions had ended at the last look.
    over: bool,
}

impl Taken {
    /// The graph was just taken in, with these labels.
    ///
    /// # Errors
    /// [`ControlError`].
    pub(super) async fn begin<'l>(
        control: &Control,
        graph: &str,
        labels: impl Iterator<Item = &'l Label>,
    ) -> Result<Self, ControlError> {
        let known = labels.map(|label| label.oid).collect();
        let rows = control.rows("SELECT pg_current_xact_id()::text", &[]).await?;
        let younger = rows.first().map_or_else(String::new, |row| row.get(0));
        Ok(Self { graph: graph.to_owned(), younger, known, over: false })
    }

    /// Before labels are listed: whether the list will be the last one in which something may turn up.
    ///
    /// # Errors
    /// [`ControlError`].
    pub(super) async fn look(&mut self, control: &Control) -> Result<(), ControlError> {
        let query = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8";
        let rows = control.rows(query, &[&self.younger]).await?;
        self.over = rows.first().is_some_and(|row| row.get(0));
        Ok(())
    }

    /// Nothing more can turn up.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Leaves word of the labels that have turned up since, and that an older transaction has made.
    ///
    /// # Errors
    /// [`ControlError`].
    pub(super) async fn tell(&mut self, control: &Control, labels: &[Label]) -> Result<(), ControlError> {
        // Of a table's rows in the catalog, those of its columns stay as they were made.
        let older =
            "SELECT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = $1 AND a.attname = 'properties'
            AND age(a.xmin) > age($2::text::xid8::xid))";
        for label in labels.iter().filter(|label| label.schema == self.graph) {
            if !self.known.insert(label.oid) {
                continue;
            }
            let rows = control.rows(older, &[&label.oid, &self.younger]).await?;
            if rows.first().is_some_and(|row| row.get(0)) {
                control.run(&statement::word(label)).await?;
            }
        }
        Ok(())
    }
}
