//! A graph, and changes of it in transactions.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage, Transaction};

use super::{
    cypher,
    document::{self, Object, Relationship, Twin},
    ledger,
};
use crate::servers::postgres::connect;

/// What every session needs before Cypher.
const SESSION: &str = "LOAD 'age'; SET search_path = ag_catalog, \"$user\", public";

/// The label of twins.
const TWIN: &str = "Twin";

/// The label of models.
const MODEL: &str = "Model";

/// A graph and a session of its own to write to it.
#[derive(Debug)]
pub struct Graph {
    client: Client,
    name: String,
}

impl Graph {
    /// Makes a graph with the labels `Twin` and `Model`, and the ledger when it is missing.
    ///
    /// # Errors
    /// When the database has no AGE or there is such a graph already.
    pub async fn create(url: &str, name: &str) -> Result<Self> {
        let graph = Self::open(url, name).await?;
        ledger::create(&graph.client).await?;
        let quoted = name.replace('\'', "''");
        // Literals: the types of the parameters differ between versions of AGE.
        let sql = format!(
            "SELECT create_graph('{quoted}');
             SELECT create_vlabel('{quoted}', '{TWIN}');
             SELECT create_vlabel('{quoted}', '{MODEL}')"
        );
        graph.client.batch_execute(&sql).await?;
        Ok(graph)
    }

    /// Opens another session on a graph that exists.
    ///
    /// # Errors
    /// When the database cannot be reached or has no AGE.
    pub async fn open(url: &str, name: &str) -> Result<Self> {
        let client = connect(url).await?;
        client.batch_execute(SESSION).await?;
        Ok(Self { client, name: name.to_owned() })
    }

    /// The graph's name: the schema of its tables.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The session, for plain SQL.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Begins a transaction; without [`Change::commit`] it is rolled back.
    ///
    /// # Errors
    /// When the session is lost.
    pub async fn change(&mut self) -> Result<Change<'_>> {
        Ok(Change { transaction: self.client.transaction().await?, graph: &self.name })
    }
}

/// A transaction on a graph.
pub struct Change<'a> {
    transaction: Transaction<'a>,
    graph: &'a str,
}

impl Change<'_> {
    /// Commits all of it.
    ///
    /// # Errors
    /// When the server refuses: then nothing was changed.
    pub async fn commit(self) -> Result<()> {
        Ok(self.transaction.commit().await?)
    }

    /// Takes all of it back.
    ///
    /// # Errors
    /// When the session is lost: then nothing was changed either.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.transaction.rollback().await?)
    }

    /// Enters a change of `key` into the ledger; gives back its marker, for the property
    /// [`ledger::MARKER`] of what is written. Only one session at a time may write to a key, or the
    /// order of the ledger is not that of the commits.
    ///
    /// # Errors
    /// When the session is lost.
    pub async fn mark(&self, key: &str) -> Result<i64> {
        ledger::enter(&self.transaction, key).await
    }

    /// Creates a twin or replaces its document.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn put_twin(&self, twin: &Twin) -> Result<()> {
        self.put_document(&twin.id, &twin.document(jiff::Timestamp::now())).await
    }

    /// Sets properties of a twin, with their metadata and a new etag; `properties` must be a JSON
    /// object.
    ///
    /// # Errors
    /// When there is no such twin or the server refuses.
    pub async fn set(&self, twin: &str, properties: Value) -> Result<()> {
        let mut document = self.twin(twin).await?;
        let properties = document::object(properties);
        document::set(&mut document, &properties, jiff::Timestamp::now());
        self.put_document(twin, &document).await
    }

    /// The document of a twin.
    ///
    /// # Errors
    /// When there is no such twin.
    pub async fn twin(&self, id: &str) -> Result<Object> {
        let query = format!("MATCH (t:{TWIN} {{`$dtId`: {}}}) RETURN properties(t)", cypher::string(id));
        let found = self.cypher(&query).await?;
        let text = found.first().with_context(|| format!("there is no twin {id}"))?;
        serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))
    }

    /// Replaces a twin's document by exactly this one.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn put_document(&self, id: &str, document: &Object) -> Result<()> {
        self.put(TWIN, "$dtId", id, document).await
    }

    /// Creates a model or replaces it; `model` is its DTDL.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn put_model(&self, id: &str, model: &Value) -> Result<()> {
        let document = document::object(serde_json::json!({
            "id": id,
            "model": model,
            "uploadTime": jiff::Timestamp::now(),
            "bases": [],
        }));
        self.put(MODEL, "id", id, &document).await
    }

    /// Creates a relationship between two twins.
    ///
    /// # Errors
    /// When one of them is missing or the server refuses.
    pub async fn relate(&self, relationship: &Relationship) -> Result<()> {
        let (source, target) = (&relationship.source, &relationship.target);
        let created = self
            .cypher(&format!(
                "MATCH (s:{TWIN} {{`$dtId`: {}}}), (t:{TWIN} {{`$dtId`: {}}}) CREATE (s)-[r:{} {}]->(t) RETURN 1",
                cypher::string(source),
                cypher::string(target),
                cypher::name(&relationship.name),
                cypher::map(&relationship.document()),
            ))
            .await?;
        ensure!(created.len() == 1, "there is no twin {source} or no twin {target}");
        Ok(())
    }

    /// Replaces a relationship's properties.
    ///
    /// # Errors
    /// When it is missing or the server refuses.
    pub async fn update_relationship(&self, relationship: &Relationship) -> Result<()> {
        let pattern = edge(&relationship.name, &relationship.id);
        let document = cypher::map(&relationship.document());
        self.one(&format!("MATCH {pattern} SET r = {document} RETURN 1")).await
    }

    /// Deletes a relationship by its name and id.
    ///
    /// # Errors
    /// When it is missing or the server refuses.
    pub async fn delete_relationship(&self, name: &str, id: &str) -> Result<()> {
        self.one(&format!("MATCH {} DELETE r RETURN 1", edge(name, id))).await
    }

    /// Deletes a twin that has no relationships.
    ///
    /// # Errors
    /// When it is missing or has some.
    pub async fn delete_twin(&self, id: &str) -> Result<()> {
        let id = cypher::string(id);
        self.one(&format!("MATCH (t:{TWIN} {{`$dtId`: {id}}}) DELETE t RETURN 1")).await
    }

    /// Deletes a twin with its relationships.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn detach_delete_twin(&self, id: &str) -> Result<()> {
        let id = cypher::string(id);
        self.one(&format!("MATCH (t:{TWIN} {{`$dtId`: {id}}}) DETACH DELETE t RETURN 1")).await
    }

    /// Deletes a model.
    ///
    /// # Errors
    /// When it is missing.
    pub async fn delete_model(&self, id: &str) -> Result<()> {
        let id = cypher::string(id);
        self.one(&format!("MATCH (m:{MODEL} {{id: {id}}}) DELETE m RETURN 1")).await
    }

    /// Runs any Cypher that gives back at most one column; the text of its rows.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn cypher(&self, query: &str) -> Result<Vec<String>> {
        let sql = cypher::statement(self.graph, query);
        let answer = self.transaction.simple_query(&sql).await;
        let answer = answer.with_context(|| format!("the server refuses {query}"))?;
        let rows = answer.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(rows.collect())
    }

    async fn put(&self, label: &str, id_name: &str, id: &str, document: &Object) -> Result<()> {
        let id = format!("{{{}: {}}}", cypher::name(id_name), cypher::string(id));
        let document = cypher::map(document);
        self.cypher(&format!("MERGE (n:{label} {id}) SET n = {document}")).await?;
        Ok(())
    }

    /// Runs a query that must find one thing.
    async fn one(&self, query: &str) -> Result<()> {
        let found = self.cypher(query).await?.len();
        ensure!(found == 1, "{found} instead of one found by {query}");
        Ok(())
    }
}

fn edge(name: &str, id: &str) -> String {
    let (name, id) = (cypher::name(name), cypher::string(id));
    format!("()-[r:{name} {{`$relationshipId`: {id}}}]->()")
}
