//! The publication follows the graphs, and every label's table gets REPLICA IDENTITY FULL, without which updates carry no
//! old row and deletes leave no trace.

mod shortfall;
mod statement;
mod taken;

use std::collections::{HashMap, HashSet};

use twinroute_common::lsn::Lsn;

pub use self::shortfall::Shortfall;
use self::taken::Taken;
use super::control::{Control, ControlError};
use super::sql::identifier;
use crate::config::SourceSettings;
use crate::graphs::Graphs;

/// A label's table.
#[derive(Clone, Debug)]
struct Label {
    oid: u32,
    schema: String,
    table: String,
    identity_full: bool,
    published: bool,
    /// Up to here nothing of it is missing in the stream; `None` when that is not known.
    since: Option<Lsn>,
}

impl Label {
    /// Schema and table, quoted.
    fn name(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.table))
    }
}

/// The publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publication {
    /// There is none.
    Missing,
    /// Every table of the database is in it.
    AllTables,
    /// Whole schemas are in it, or we may take them in.
    Schemas,
    /// Tables are in it one by one.
    List,
}

/// Follows the labels of the graphs, from one look to the next.
#[derive(Debug)]
pub struct Labels {
    graphs: Graphs,
    publication: String,
    lock_timeout_ms: u64,
    before: Option<Look>,
    taken: Vec<Taken>,
    /// What could not be done at the last look.
    pub shortfall: Shortfall,
}

/// What an earlier look left.
#[derive(Debug)]
struct Look {
    /// How far the WAL was.
    at: Lsn,
    /// Labels that were not published, each with the place up to which nothing of it was missing.
    unpublished: HashMap<u32, Option<Lsn>>,
}

impl Labels {
    /// Has not looked yet.
    #[must_use]
    pub fn new(source: &SourceSettings) -> Self {
        Self {
            graphs: Graphs::new(&source.graphs),
            publication: source.publication.clone(),
            lock_timeout_ms: source.lock_timeout_ms,
            before: None,
            taken: Vec::new(),
            shortfall: Shortfall::default(),
        }
    }

    /// Makes the publication if it is missing, takes all graphs' tables into it, and gives them REPLICA IDENTITY FULL.
    ///
    /// # Errors
    /// [`ControlError`]; what the role has no right to is no error but part of the [`Shortfall`].
    pub async fn follow(&mut self, control: &Control) -> Result<(), ControlError> {
        let mut shortfall = Shortfall::default();
        control.run(&format!("SET lock_timeout = {}", self.lock_timeout_ms)).await?;
        let publication = self.publication(control, &mut shortfall).await?;
        // Before the labels are listed: one that is not there yet is written to later than this.
        let at = wal_end(control).await?;
        for taken in &mut self.taken {
            taken.look(control).await?;
        }
        let (schemas, mut missing) = self.schemas(control).await?;
        let mut labels = self.labels(control, &schemas).await?;
        for taken in &mut self.taken {
            taken.tell(control, &labels).await?;
        }
        self.taken.retain(|taken| !taken.is_over());
        if publication == Publication::Schemas {
            self.publish_graphs(control, &schemas, &mut labels, &mut shortfall).await?;
        } else {
            for label in labels.iter_mut().filter(|label| !label.published) {
                let statement = statement::publish_label(&self.publication, label);
                if publication == Publication::Missing {
                    shortfall.required_statements.push(statement);
                } else if shortfall.attempt(control, statement, &label.name()).await? {
                    (label.published, label.identity_full) = (true, true);
                }
            }
        }
        for label in labels.iter_mut().filter(|label| label.published && !label.identity_full) {
            shortfall.attempt(control, statement::identity(label), &label.name()).await?;
        }
        let unpublished = labels.iter().filter(|label| !label.published);
        let unpublished = unpublished.map(|label| (label.oid, label.since)).collect();
        self.before = Some(Look { at, unpublished });
        shortfall.missing_graphs.append(&mut missing);
        self.shortfall = shortfall;
        Ok(())
    }

    async fn publication(
        &self,
        control: &Control,
        shortfall: &mut Shortfall,
    ) -> Result<Publication, ControlError> {
        let query = "SELECT r.rolsuper, p.puballtables,
                EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid)
            FROM pg_roles r LEFT JOIN pg_publication p ON p.pubname = $1 WHERE r.rolname = current_user";
        let rows = control.rows(query, &[&self.publication]).await?;
        let Some(row) = rows.first() else { return Ok(Publication::Missing) };
        let (superuser, schemas): (bool, bool) = (row.get(0), row.get(2));
        let all_tables: Option<bool> = row.get(1);
        if all_tables == Some(true) {
            return Ok(Publication::AllTables);
        }
        if all_tables.is_none() {
            let statement = format!("CREATE PUBLICATION {}", identifier(&self.publication));
            if !shortfall.attempt(control, statement, &self.publication).await? {
                return Ok(Publication::Missing);
            }
        }
        Ok(if superuser || schemas { Publication::Schemas } else { Publication::List })
    }

    /// The schemas that are graphs, and the configured ones that are not there.
    async fn schemas(&self, control: &Control) -> Result<(Vec<String>, Vec<String>), ControlError> {
        let rows = control.rows("SELECT nspname FROM pg_namespace ORDER BY nspname", &[]).await?;
        let mut schemas: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        schemas.retain(|schema| self.graphs.contain(schema));
        let missing = self.graphs.without_schema(&schemas).cloned().collect();
        Ok((schemas, missing))
    }

    /// The tables of the graphs that hold documents.
    async fn labels(&self, control: &Control, schemas: &[String]) -> Result<Vec<Label>, ControlError> {
        let rows = control
            .rows(
                "SELECT c.oid, n.nspname, c.relname, c.relreplident = 'f',
                    EXISTS (SELECT 1 FROM pg_publication_tables t
                            WHERE t.pubname = $2 AND t.schemaname = n.nspname AND t.tablename = c.relname)
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = ANY($1) AND c.relkind = 'r' AND c.relpersistence = 'p' AND EXISTS (
                     SELECT 1 FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attname = 'properties' AND NOT a.attisdropped)
                 ORDER BY c.oid",
                &[&schemas, &self.publication],
            )
            .await?;
        let label = |row: &tokio_postgres::Row| Label {
            oid: row.get(0),
            schema: row.get(1),
            table: row.get(2),
            identity_full: row.get(3),
            published: row.get(4),
            since: self.since(row.get(0)),
        };
        Ok(rows.iter().map(label).collect())
    }

    /// Up to where nothing is missing of a label that is not published: as long as it was not seen so, it was not there,
    /// or it was published.
    fn since(&self, oid: u32) -> Option<Lsn> {
        let before = self.before.as_ref()?;
        before.unpublished.get(&oid).copied().unwrap_or(Some(before.at))
    }

    /// Publishes whole schemas, so that a label that is created later is in from its first row.
    async fn publish_graphs(
        &mut self,
        control: &Control,
        schemas: &[String],
        labels: &mut [Label],
        shortfall: &mut Shortfall,
    ) -> Result<(), ControlError> {
        let query = "SELECT n.nspname FROM pg_publication_namespace pn
            JOIN pg_publication p ON p.oid = pn.pnpubid JOIN pg_namespace n ON n.oid = pn.pnnspid
            WHERE p.pubname = $1";
        let rows = control.rows(query, &[&self.publication]).await?;
        let published: HashSet<&str> = rows.iter().map(|row| row.get(0)).collect();
        for graph in schemas.iter().filter(|schema| !published.contains(schema.as_str())) {
            // One by one, so that never more than one table is kept from its readers.
            for label in labels.iter_mut().filter(|label| label.schema == *graph && !label.identity_full) {
                label.identity_full =
                    shortfall.attempt(control, statement::identity(label), &label.name()).await?;
            }
            let theirs = labels.iter().filter(|label| label.schema == *graph);
            let statement = statement::publish_graph(&self.publication, graph, theirs);
            if shortfall.attempt(control, statement, &identifier(graph)).await? {
                let theirs = labels.iter().filter(|label| label.schema == *graph);
                self.taken.push(Taken::begin(control, graph, theirs).await?);
                for label in labels.iter_mut().filter(|label| label.schema == *graph) {
                    (label.published, label.identity_full) = (true, true);
                }
            }
        }
        Ok(())
    }
}

async fn wal_end(control: &Control) -> Result<Lsn, ControlError> {
    let rows = control.rows("SELECT pg_current_wal_insert_lsn()::text", &[]).await?;
    let end = rows.first().and_then(|row| row.get::<_, String>(0).parse().ok());
    Ok(end.unwrap_or_default())
}
