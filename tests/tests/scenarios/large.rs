//! A twin whose document is as large as wanted: it says one letter over and over, which PostgreSQL keeps small.

use anyhow::Result;
use tokio_postgres::Client;
use twinroute_tests::stack::GRAPH;

/// Its `$dtId`.
pub(crate) const ID: &str = "large";

/// Begin of its document; keys are in the order in which AGE keeps them.
pub(crate) const BEGIN: &str = r#"{"$dtId": "large", "payload": ""#;

/// End of its document.
pub(crate) const END: &str = r#"", "$metadata": {"$model": "dtmi:large;1"}}"#;

/// The twin, written over a session of its own.
pub(crate) struct Large {
    client: Client,
}

impl Large {
    /// A twin that does not exist yet.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates it with so many letters.
    pub(crate) async fn create(&self, letters: usize) -> Result<()> {
        let (id, document) = (row(1), document(letters));
        self.run(&format!("INSERT INTO {GRAPH}.\"Twin\" (id, properties) VALUES ({id}, {document})")).await
    }

    /// Writes another document.
    pub(crate) async fn update(&self, letters: usize) -> Result<()> {
        let (id, document) = (row(1), document(letters));
        self.run(&format!(
            "UPDATE {GRAPH}.\"Twin\" SET properties = {document} WHERE id OPERATOR(ag_catalog.=) {id}"
        ))
        .await
    }

    /// Writes the row and not the document, which PostgreSQL then sends as the old one only.
    pub(crate) async fn touch(&self) -> Result<()> {
        let (id, other) = (row(1), row(2));
        self.run(&format!("UPDATE {GRAPH}.\"Twin\" SET id = {other} WHERE id OPERATOR(ag_catalog.=) {id}"))
            .await
    }

    /// Deletes it after [`Self::touch`].
    pub(crate) async fn delete(&self) -> Result<()> {
        let id = row(2);
        self.run(&format!("DELETE FROM {GRAPH}.\"Twin\" WHERE id OPERATOR(ag_catalog.=) {id}")).await
    }

    async fn run(&self, statement: &str) -> Result<()> {
        Ok(self.client.batch_execute(statement).await?)
    }
}

/// Size of a document in bytes.
pub(crate) fn size(letters: usize) -> usize {
    BEGIN.len() + letters + END.len()
}

fn document(letters: usize) -> String {
    format!("('{BEGIN}' || repeat('x', {letters}) || '{END}')::ag_catalog.agtype")
}

/// An `id` that no other twin has.
fn row(number: u64) -> String {
    let row = 1_000_000_000 + number;
    format!("ag_catalog._graphid(ag_catalog._label_id('{GRAPH}'::name, 'Twin'::name)::int, {row})")
}
