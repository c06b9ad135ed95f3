//! A cluster that is played: it hands out a container and a queue of its own, and takes note of what comes into the queue.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A cluster that is played.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    url: String,
    state: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    blobs: HashMap<String, Bytes>,
    messages: Vec<Message>,
    answers_lost: usize,
}

/// A message that came into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// `Id`.
    pub(super) id: String,
    /// `tags` and `ingestIfNotExists`.
    pub(super) tags: [String; 2],
    /// The ids of the events in its blob.
    pub(super) events: Vec<u128>,
}

#[derive(Deserialize)]
struct Command {
    csl: String,
}

impl Cluster {
    /// Serves until the test ends.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cluster = Self { url, state: Arc::default() };
        let app = Router::new()
            .route("/v1/rest/mgmt", post(manage))
            .route("/container/{blob}", put(upload))
            .route("/queue/messages", post(announce))
            .with_state(cluster.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        cluster
    }

    /// URL of the ingestion endpoint.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The answers to so many messages to come are lost.
    pub(super) fn lose_answers(&self, count: usize) {
        self.state.lock().unwrap().answers_lost = count;
    }

    /// What came into the queue.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.state.lock().unwrap().messages.clone()
    }
}

async fn manage(State(cluster): State<Cluster>, body: String) -> String {
    let Command { csl } = serde_json::from_str(&body).unwrap();
    let rows = match &*csl {
        ".get ingestion resources" => json!([
            ["TempStorage", format!("{}/container", cluster.url)],
            ["SecuredReadyForAggregationQueue", format!("{}/queue", cluster.url)],
        ]),
        ".get kusto identity token" => json!([["token", ""]]),
        show if show.starts_with(".show") => json!([["EventId:string,Sequence:string", ""]]),
        _ => json!([]),
    };
    let columns = match &*csl {
        ".get kusto identity token" => ["AuthorizationContext", "-"],
        show if show.starts_with(".show") => ["Schema", "-"],
        _ => ["ResourceTypeName", "StorageRoot"],
    };
    let columns = columns.map(|name| json!({ "ColumnName": name }));
    json!({ "Tables": [{ "Columns": columns, "Rows": rows }] }).to_string()
}

async fn upload(State(cluster): State<Cluster>, Path(blob): Path<String>, content: Bytes) -> StatusCode {
    cluster.state.lock().unwrap().blobs.insert(blob, content);
    StatusCode::CREATED
}

async fn announce(State(cluster): State<Cluster>, body: String) -> StatusCode {
    let text = body.split_once("<MessageText>").and_then(|(_, rest)| rest.split_once("</MessageText>"));
    let json: Value = serde_json::from_slice(&STANDARD.decode(text.unwrap().0).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let blob = text(&json["BlobPath"]).rsplit('/').next().unwrap().to_owned();
    let mut inner = cluster.state.lock().unwrap();
    let mut rows = String::new();
    GzDecoder::new(&inner.blobs[&blob][..]).read_to_string(&mut rows).unwrap();
    let event = |row: &str| {
        let row: Value = serde_json::from_str(row).unwrap();
        text(&row["EventId"]).parse::<uuid::Uuid>().unwrap().as_u128()
    };
    let properties = &json["AdditionalProperties"];
    inner.messages.push(Message {
        id: text(&json["Id"]),
        tags: ["tags", "ingestIfNotExists"].map(|name| text(&properties[name])),
        events: rows.lines().map(event).collect(),
    });
    let is_lost = inner.answers_lost > 0;
    inner.answers_lost = inner.answers_lost.saturating_sub(1);
    if is_lost { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::CREATED }
}
