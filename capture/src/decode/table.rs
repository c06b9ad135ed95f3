//! A table of the stream: which of its columns hold a graph's documents, and which entity a document describes.

use std::sync::Arc;

use twinroute_common::event::EntityKind;

use super::document::{Document, Mark, Notation};
use super::pgoutput::Relation;
use super::row::{Tuple, Value};
use crate::selection::Selection;

/// Labels that AGE-based twins keep for themselves.
const INTERNAL_LABELS: [&str; 2] = ["_extends", "_hasComponent"];
/// Schema of AGE's own tables.
const CATALOG_SCHEMA: &str = "ag_catalog";
/// Longest `id` by which a row is followed, in bytes: a text that is longer is no key (an index takes 2,704 bytes).
pub(super) const ROW_ID_BYTES_MAX: usize = 4 << 10;
/// Label of models.
const MODEL_LABEL: &str = "Model";

/// A table, as the decoder needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Name of the graph, which is the schema.
    pub graph: Arc<str>,
    /// Name of the label, which is the table.
    pub label: Arc<str>,
    /// Where the documents are; `None` for a table that holds none.
    pub documents: Option<DocumentColumns>,
    /// Its rows are wanted.
    pub is_selected: bool,
}

/// Where a table has its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentColumns {
    /// Index of the column `properties`.
    pub properties: usize,
    /// How its text is to be read.
    pub notation: Notation,
    /// Index of the column `id`.
    pub id: Option<usize>,
}

/// The entity that a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entity<'a> {
    /// Twin, relationship or model.
    pub kind: EntityKind,
    /// `$dtId`, `$relationshipId` or DTMI.
    pub id: &'a str,
    /// `$dtId`, `$sourceId` or DTMI.
    pub ordering_key: &'a str,
}

impl Table {
    /// Looks at a table's columns. `type_name` resolves the OID of a type that is not built in.
    pub fn new<'t>(
        relation: &Relation,
        selection: &Selection,
        type_name: impl Fn(u32) -> Option<&'t str>,
    ) -> Self {
        let position = |name: &str| relation.columns.iter().position(|column| column.name == name);
        let internal =
            relation.schema == CATALOG_SCHEMA || INTERNAL_LABELS.contains(&relation.table.as_str());
        let documents = position("properties").filter(|_| !internal).and_then(|properties| {
            let notation = notation(relation.columns.get(properties)?.type_oid, type_name)?;
            Some(DocumentColumns { properties, notation, id: position("id") })
        });
        Self {
            graph: relation.schema.as_str().into(),
            label: relation.table.as_str().into(),
            documents,
            is_selected: selection.takes_table(&relation.schema, &relation.table),
        }
    }

    /// The entity that a document of this table describes; `None` when it describes none.
    #[must_use]
    pub fn entity<'d>(&self, document: &'d Document) -> Option<Entity<'d>> {
        let marks = &document.marks;
        if let Some(relationship_id) = &marks.relationship_id {
            let id = relationship_id.as_str()?;
            let ordering_key = marks.source_id.as_ref().and_then(Mark::as_str)?;
            return Some(Entity { kind: EntityKind::Relationship, id, ordering_key });
        }
        if let Some(twin_id) = &marks.twin_id {
            let id = twin_id.as_str()?;
            return Some(Entity { kind: EntityKind::Twin, id, ordering_key: id });
        }
        let id = marks.id.as_ref().and_then(Mark::as_str)?;
        (&*self.label == MODEL_LABEL && id.starts_with("dtmi:")).then_some(Entity {
            kind: EntityKind::Model,
            id,
            ordering_key: id,
        })
    }
}

impl DocumentColumns {
    /// The text of the document column of a row.
    #[must_use]
    pub fn document<'t>(&self, tuple: &'t Tuple) -> Option<&'t Value> {
        tuple.get(self.properties)
    }

    /// The row's `id` as text; `None` when the table or the row has none that can be a key.
    #[must_use]
    pub fn row_id<'t>(&self, tuple: &'t Tuple) -> Option<&'t bytes::Bytes> {
        let id = tuple.get(self.id?)?.text()?;
        (id.size_bytes <= ROW_ID_BYTES_MAX).then_some(&id.kept)
    }
}

/// The document is what `CREATE` or `MERGE` writes before `SET` fills it in.
#[must_use]
pub fn is_stub(kind: EntityKind, document: &Document) -> bool {
    match kind {
        EntityKind::Twin => !document.marks.has_metadata,
        EntityKind::Relationship => document.marks.source_id.is_none(),
        EntityKind::Model => !document.marks.has_model,
    }
}

/// Built-in types have fixed OIDs (`pg_type.dat`); all others are known by name only.
fn notation<'t>(type_oid: u32, type_name: impl Fn(u32) -> Option<&'t str>) -> Option<Notation> {
    const JSON: u32 = 114;
    const JSONB: u32 = 3802;
    const TEXT: u32 = 25;
    const VARCHAR: u32 = 1043;
    match type_oid {
        JSON | JSONB | TEXT | VARCHAR => Some(Notation::Json),
        other => (type_name(other)? == "agtype").then_some(Notation::Agtype),
    }
}
