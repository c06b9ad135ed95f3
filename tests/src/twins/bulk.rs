//! Many twins at once, for load: plain SQL on the label's table, one statement per transaction,
//! with the ledger in the same one.

use anyhow::Result;

use super::graph::Graph;

/// A document of about 400 bytes, as agtype text; `s.marker` numbers the change.
const DOCUMENT: &str = r#"format(
    '{"$dtId": "%s", "$etag": "W/\"%s\"", "marker": %s, "Temperature": %s, "padding": "%s", '
    '"$metadata": {"$model": "dtmi:example:Machine;1", "$lastUpdateTime": "%s", '
    '"marker": {"lastUpdateTime": "%s"}, "Temperature": {"lastUpdateTime": "%s"}}}',
    s.key, s.marker, s.marker, 20 + s.marker % 100 / 10.0, repeat('x', 80), s.now, s.now, s.now
)::ag_catalog.agtype"#;

/// The smallest document that shows its change.
const SMALL_DOCUMENT: &str = r#"format('{"$dtId": "%s", "marker": %s}', s.key, s.marker)::ag_catalog.agtype"#;

/// Enters the changes of `$2` twins from number `$1` on, named `$3-<number>`, into the ledger.
const ENTRIES: &str = r#"WITH entered AS (
    INSERT INTO ledger.changes (key)
    SELECT $3::text || '-' || n FROM generate_series($1::int, $1::int + $2::int - 1) n
    RETURNING key, marker
), s AS (
    SELECT key, marker, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now
    FROM entered
)"#;

/// Where the rows of the twins are: AGE makes no index by which to find a twin.
const PLACES: &str = "CREATE TABLE IF NOT EXISTS ledger.places (
    graph text, key text, id ag_catalog.graphid NOT NULL, PRIMARY KEY (graph, key)
)";

/// Twins of one graph, named `<prefix>-<number>`.
#[derive(Debug)]
pub struct Bulk {
    graph: Graph,
    /// The table of the twins, quoted.
    table: String,
    prefix: String,
}

impl Bulk {
    /// Writes over the session of `graph`. Writers side by side must have different prefixes.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn new(graph: Graph, prefix: &str) -> Result<Self> {
        let table = format!("\"{}\".\"Twin\"", graph.name().replace('"', "\"\""));
        let index = format!("CREATE INDEX IF NOT EXISTS twin_id ON {table} (id)");
        graph.client().batch_execute(&format!("{PLACES}; {index}")).await?;
        Ok(Self { graph, table, prefix: prefix.to_owned() })
    }

    /// Creates the twins numbered `from` to `from + count - 1` in one transaction.
    ///
    /// # Errors
    /// When one of them is there or the server refuses.
    pub async fn create(&self, from: i32, count: i32) -> Result<()> {
        self.insert(DOCUMENT, from, count).await
    }

    /// The same with documents as small as they can be, for very many of them.
    ///
    /// # Errors
    /// When one of them is there or the server refuses.
    pub async fn create_small(&self, from: i32, count: i32) -> Result<()> {
        self.insert(SMALL_DOCUMENT, from, count).await
    }

    /// The same with documents of so many bytes and a few more.
    ///
    /// # Errors
    /// When one of them is there or the server refuses.
    pub async fn create_large(&self, from: i32, count: i32, bytes: usize) -> Result<()> {
        let document = format!(
            r#"format('{{"$dtId": "%s", "marker": %s, "padding": "%s"}}', s.key, s.marker, repeat('x', {bytes}))::ag_catalog.agtype"#
        );
        self.insert(&document, from, count).await
    }

    async fn insert(&self, document: &str, from: i32, count: i32) -> Result<()> {
        let Self { table, prefix, graph } = self;
        let sql = format!(
            "{ENTRIES}, placed AS (
                INSERT INTO ledger.places (graph, key, id)
                SELECT $4::text, key, ag_catalog._graphid(
                    ag_catalog._label_id($4::text::name, 'Twin'::name)::int, nextval($5::text::regclass))
                FROM s RETURNING key, id
            )
            INSERT INTO {table} (id, properties)
            SELECT placed.id, {document} FROM s JOIN placed USING (key) ORDER BY s.marker"
        );
        let sequence = format!("\"{}\".\"Twin_id_seq\"", graph.name().replace('"', "\"\""));
        graph.client().execute(&sql, &[&from, &count, prefix, &graph.name(), &sequence]).await?;
        Ok(())
    }

    /// Updates the twins numbered `from` to `from + count - 1` in one transaction: property, marker
    /// and the bookkeeping of both.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn update(&self, from: i32, count: i32) -> Result<()> {
        let Self { table, prefix, graph } = self;
        let sql = format!(
            "{ENTRIES}
            UPDATE {table} t SET properties = {DOCUMENT}
            FROM s JOIN ledger.places p ON p.graph = $4::text AND p.key = s.key
            WHERE t.id = p.id"
        );
        let updated = graph.client().execute(&sql, &[&from, &count, prefix, &graph.name()]).await?;
        anyhow::ensure!(
            i32::try_from(updated) == Ok(count),
            "{updated} of {count} twins are there, and the ledger has them all: create them first"
        );
        Ok(())
    }
}
