//! The publication follows the graphs, and every label's table gets REPLICA IDENTITY FULL, without which updates carry no
//! old row and deletes leave no trace.

use tracing::info;

use super::control::{Control, ControlError};
use super::sql::identifier;
use crate::config::SourceSettings;

/// What could not be done, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// Statements that somebody with more rights should run.
    pub required_statements: Vec<String>,
    /// Graphs that do not exist yet.
    pub missing_graphs: Vec<String>,
    /// Tables that were locked by others; tried again soon.
    pub locked_tables: Vec<String>,
}

impl Shortfall {
    /// All is as it should be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// What is missing, in one sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut parts = Vec::new();
        if !self.required_statements.is_empty() {
            parts.push(format!("somebody with the right must run: {}", self.required_statements.join("; ")));
        }
        if !self.missing_graphs.is_empty() {
            parts
                .push(format!("source.graphs names what does not exist: {}", self.missing_graphs.join(", ")));
        }
        if !self.locked_tables.is_empty() {
            parts.push(format!("waiting for locks on {}", self.locked_tables.join(", ")));
        }
        parts.join("; ")
    }

    /// Runs a statement; one that the role has no right to becomes a required one.
    async fn attempt(
        &mut self,
        control: &Control,
        statement: String,
        table: &str,
    ) -> Result<bool, ControlError> {
        match control.run(&statement).await {
            Ok(()) => {
                info!(statement, "changed PostgreSQL");
                Ok(true)
            }
            Err(error) if error.is_privilege() => {
                self.required_statements.push(statement);
                Ok(false)
            }
            Err(error) if error.is_lock_timeout() => {
                self.locked_tables.push(table.to_owned());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// A label's table.
#[derive(Debug)]
struct Label {
    schema: String,
    table: String,
    identity_full: bool,
    published: bool,
}

/// Makes the publication if it is missing, takes all graphs' tables into it, and gives them REPLICA IDENTITY FULL.
///
/// # Errors
/// [`ControlError`]; what the role has no right to is no error but part of the [`Shortfall`].
pub async fn follow(control: &Control, source: &SourceSettings) -> Result<Shortfall, ControlError> {
    let mut shortfall = Shortfall::default();
    control.run(&format!("SET lock_timeout = {}", source.lock_timeout_ms)).await?;
    let publication = identifier(&source.publication);
    let known = "SELECT 1 FROM pg_publication WHERE pubname = $1";
    let mut exists = !control.rows(known, &[&source.publication]).await?.is_empty();
    if !exists {
        let statement = format!("CREATE PUBLICATION {publication}");
        exists = shortfall.attempt(control, statement, &source.publication).await?;
    }
    let superuser = control.rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", &[]).await?;
    if exists && superuser.first().is_some_and(|row| row.get(0)) {
        publish_schemas(control, source, &publication, &mut shortfall).await?;
    }
    for label in labels(control, source).await? {
        let name = format!("{}.{}", identifier(&label.schema), identifier(&label.table));
        if !label.identity_full {
            let statement = format!("ALTER TABLE {name} REPLICA IDENTITY FULL");
            shortfall.attempt(control, statement, &name).await?;
        }
        if !label.published {
            // ONLY: AGE's labels inherit from one another, and a parent would bring its children along.
            let statement = format!("ALTER PUBLICATION {publication} ADD TABLE ONLY {name}");
            if exists {
                shortfall.attempt(control, statement, &name).await?;
            } else {
                shortfall.required_statements.push(statement);
            }
        }
    }
    let existing = "SELECT nspname FROM pg_namespace WHERE nspname = ANY($1)";
    let existing = control.rows(existing, &[&source.graphs]).await?;
    let is_there = |graph: &&String| existing.iter().any(|row| row.get::<_, &str>(0) == graph.as_str());
    shortfall.missing_graphs = source.graphs.iter().filter(|graph| !is_there(graph)).cloned().collect();
    Ok(shortfall)
}

/// Publishes whole schemas, so that a label that is created later is in from its first row.
async fn publish_schemas(
    control: &Control,
    source: &SourceSettings,
    publication: &str,
    shortfall: &mut Shortfall,
) -> Result<(), ControlError> {
    let missing = control
        .rows(
            "SELECT n.nspname FROM pg_namespace n WHERE n.nspname = ANY($1) AND NOT EXISTS (
                 SELECT 1 FROM pg_publication_namespace pn JOIN pg_publication p ON p.oid = pn.pnpubid
                 WHERE pn.pnnspid = n.oid AND p.pubname = $2)",
            &[&source.graphs, &source.publication],
        )
        .await?;
    for row in missing {
        let schema = identifier(row.get(0));
        let statement = format!("ALTER PUBLICATION {publication} ADD TABLES IN SCHEMA {schema}");
        shortfall.attempt(control, statement, &schema).await?;
    }
    Ok(())
}

/// The tables of the graphs that hold documents.
async fn labels(control: &Control, source: &SourceSettings) -> Result<Vec<Label>, ControlError> {
    let rows = control
        .rows(
            "SELECT n.nspname, c.relname, c.relreplident = 'f',
                    EXISTS (SELECT 1 FROM pg_publication_tables t
                            WHERE t.pubname = $2 AND t.schemaname = n.nspname AND t.tablename = c.relname)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = ANY($1) AND c.relkind = 'r' AND c.relpersistence = 'p' AND EXISTS (
                 SELECT 1 FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attname = 'properties' AND NOT a.attisdropped)
             ORDER BY c.oid",
            &[&source.graphs, &source.publication],
        )
        .await?;
    let label = |row: &tokio_postgres::Row| Label {
        schema: row.get(0),
        table: row.get(1),
        identity_full: row.get(2),
        published: row.get(3),
    };
    Ok(rows.iter().map(label).collect())
}
