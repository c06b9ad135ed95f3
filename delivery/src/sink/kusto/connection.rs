//! A cluster: its two endpoints, what it hands out for ingestion, and the tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azure_core::http::{ClientOptions, RetryOptions, Transport};
use reqwest::{Client, Url};
use tokio::time::Instant;
use twinroute_common::causes::Causes;
use twinroute_common::route::KustoOptions;

use super::failure::Failure;
use super::kept;
use super::management::Management;
use super::tables::{Table, read_schema};
use crate::config::sinks::KustoLimits;
use crate::sink::identity::{Audience, TokenCache, TokenSource};
use crate::sink::{SinkContext, SinkError};

/// The database that commands about ingestion itself are sent to.
const NO_DATABASE: &str = "NetDefaultDB";

/// A cluster's ingestion endpoint has this before the name of the cluster itself.
const INGESTION_PREFIX: &str = "ingest-";

/// What a table that does not exist is answered with.
const NOT_FOUND: [u16; 2] = [400, 404];

/// A cluster and the endpoint's options for it.
#[derive(Debug)]
pub(super) struct Connection {
    /// The endpoint's options.
    pub(super) options: KustoOptions,
    /// Names where its blobs go.
    pub(super) target: String,
    /// Limits.
    pub(super) limits: KustoLimits,
    management: Management,
    ingestion: Url,
    engine: Url,
    http: Client,
    /// Counts what was handed out of the resources, so that all are used in turn.
    turn: AtomicUsize,
}

/// What the cluster hands out for ingestion.
#[derive(Debug)]
pub(super) struct Resources {
    containers: Vec<Url>,
    queues: Vec<Url>,
    /// Shows to ingestion that a message's sender has talked to the cluster.
    pub(super) identity_token: String,
    got: Instant,
}

impl Resources {
    /// Whether they were got longer ago than this.
    pub(super) fn are_older_than(&self, age: Duration) -> bool {
        self.got.elapsed() > age
    }
}

impl Connection {
    pub(super) fn new(name: &str, options: KustoOptions, context: &SinkContext) -> Result<Self, SinkError> {
        let limits = context.limits.kusto.clone();
        let unusable = |why: String| SinkError::about_connection("INGESTION_URI_INVALID", why);
        let ingestion = Url::parse(&options.ingestion_uri)
            .map_err(|error| unusable(format!("the ingestion URI is no URL: {error}")))?;
        let host = ingestion.host_str().unwrap_or_default().to_owned();
        let engine = engine(&ingestion).map_err(unusable)?;
        let engine_host = engine.host_str().unwrap_or_default().to_owned();
        let tokens = options.identity.as_ref().map(|identity| {
            if ingestion.scheme() != "https" {
                return Err(unusable(
                    "an identity needs https, or its token could be read on the way".to_owned(),
                ));
            }
            let scope = format!("https://{engine_host}/.default");
            let audience = Audience { scope, hosts: vec![host, engine_host.clone()] };
            TokenSource::new(identity, audience, context).map(TokenCache::new)
        });
        let http = Client::builder()
            .user_agent(format!("twinroute/{name}"))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| SinkError::about_connection("CLIENT_NOT_CREATED", Causes(&error).to_string()))?;
        let deadline = Duration::from_millis(limits.management_deadline_ms);
        Ok(Self {
            management: Management::new(http.clone(), tokens.transpose()?, deadline),
            target: kept::target(&options),
            options,
            limits,
            ingestion,
            engine,
            http,
            turn: AtomicUsize::new(0),
        })
    }

    /// Options of the storage clients. They do not try again by themselves: the endpoint decides.
    pub(super) fn storage_options(&self) -> ClientOptions {
        ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(self.http.clone()))),
            ..ClientOptions::default()
        }
    }

    /// Asks for containers, queues and the identity token.
    pub(super) async fn resources(&self) -> Result<Resources, Failure> {
        let ask = |command| self.management.run(&self.ingestion, NO_DATABASE, command);
        let resources = ask(".get ingestion resources").await?;
        let token = ask(".get kusto identity token").await?;
        let named = |wanted: &str| -> Vec<Url> {
            let names = resources.texts("ResourceTypeName");
            let roots = names.zip(resources.texts("StorageRoot")).filter(|(name, _)| *name == wanted);
            roots.filter_map(|(_, root)| Url::parse(root).ok()).collect()
        };
        let (containers, queues) = (named("TempStorage"), named("SecuredReadyForAggregationQueue"));
        let identity_token = token.texts("AuthorizationContext").next().map(str::to_owned);
        match identity_token {
            Some(identity_token) if !containers.is_empty() && !queues.is_empty() => {
                Ok(Resources { containers, queues, identity_token, got: Instant::now() })
            }
            _ => {
                Err(Failure::unusable("ingestion resources", "a container, a queue or the token is missing"))
            }
        }
    }

    /// The container and the queue whose turn it is.
    pub(super) fn next<'a>(&self, resources: &'a Resources) -> Option<(&'a Url, &'a Url)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let container = resources.containers.get(turn % resources.containers.len().max(1))?;
        let queue = resources.queues.get(turn % resources.queues.len().max(1))?;
        Some((container, queue))
    }

    /// Creates the tables that are missing, and the mappings for the columns that they have.
    pub(super) async fn prepare_tables(&self) -> Result<(), Failure> {
        for table in Table::ALL {
            let name = table.name(&self.options.tables);
            let columns = match self.columns(name).await {
                Ok(columns) => columns,
                Err(failure) if failure.status.is_some_and(|status| NOT_FOUND.contains(&status)) => {
                    self.create(table, name, failure).await?
                }
                Err(failure) => return Err(failure),
            };
            self.run_in_database(&table.mapping_command(name, &columns)).await?;
        }
        Ok(())
    }

    async fn columns(&self, name: &str) -> Result<Vec<String>, Failure> {
        let shown = self.run_in_database(&Table::show_command(name)).await?;
        let schema = shown.texts("Schema").next();
        schema.map(read_schema).ok_or_else(|| Failure::unusable("table schema", "it is missing"))
    }

    async fn create(&self, table: Table, name: &str, missing: Failure) -> Result<Vec<String>, Failure> {
        if !self.options.create_tables {
            return Err(missing);
        }
        self.run_in_database(&table.create_command(name)).await?;
        Ok(table.created_columns())
    }

    async fn run_in_database(&self, command: &str) -> Result<super::management::AnswerTable, Failure> {
        self.management.run(&self.engine, &self.options.database, command).await
    }
}

/// The endpoint for commands on tables.
fn engine(ingestion: &Url) -> Result<Url, String> {
    let mut engine = ingestion.clone();
    if let Some(cluster) = ingestion.host_str().and_then(|host| host.strip_prefix(INGESTION_PREFIX)) {
        engine
            .set_host(Some(cluster))
            .map_err(|error| format!("the ingestion URI names no cluster: {error}"))?;
    }
    Ok(engine)
}

#[cfg(test)]
mod tests {
    use twinroute_common::route::TokenIdentity;

    use super::*;

    fn context() -> SinkContext {
        SinkContext { worker_id: "worker".to_owned(), limits: Arc::default(), secrets: Arc::default() }
    }

    fn options(uri: &str, identity: Option<TokenIdentity>) -> KustoOptions {
        KustoOptions {
            ingestion_uri: uri.to_owned(),
            database: "twins".to_owned(),
            tables: twinroute_common::route::KustoTables::default(),
            create_tables: true,
            identity,
        }
    }

    #[test]
    fn commands_on_tables_go_to_the_cluster_itself() {
        let cases = [
            ("https://ingest-c.westeurope.kusto.windows.net", "https://c.westeurope.kusto.windows.net/"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ];
        for (ingestion, expected) in cases {
            assert_eq!(engine(&Url::parse(ingestion).unwrap()).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn an_identity_goes_to_known_hosts_over_https_only() {
        let identity = || Some(TokenIdentity::Azure { client_id: None });
        let start = |uri, identity| Connection::new("history", options(uri, identity), &context());
        assert!(start("http://127.0.0.1:8080", None).is_ok());
        let plain = start("http://ingest-c.kusto.windows.net", identity()).unwrap_err();
        assert_eq!(plain.code, "INGESTION_URI_INVALID");
        let elsewhere = start("https://ingest-c.example.com", identity()).unwrap_err();
        assert_eq!(elsewhere.code, "IDENTITY_NOT_ALLOWED");
        assert_eq!(start("nowhere", None).unwrap_err().code, "INGESTION_URI_INVALID");
    }
}
