//! The stand-in's HTTP face: Kusto's management endpoint, and a page with rows for consumers.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{command::Command, error::Refusal, management::execute, resources::Resources, store::Store};

/// How many rows one answer has at most: enough to be quick, little enough to be cheap.
const ROWS_MAX: usize = 10_000;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) resources: Resources,
}

pub(super) fn router(shared: Shared) -> Router {
    Router::new().route("/v1/rest/mgmt", post(manage)).route("/rows", get(rows)).with_state(shared)
}

/// The body of a management request.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    db: String,
    csl: String,
}

async fn manage(State(shared): State<Shared>, body: String) -> Result<Response, Refusal> {
    let request: Request = serde_json::from_str(&body)
        .map_err(|e| Refusal::syntax(format!("the body is not a request: {e}")))?;
    let command = Command::parse(&request.csl)?;
    let mut store = shared.store.lock().unwrap_or_else(PoisonError::into_inner);
    let reply = execute(&mut store, &shared.resources, &request.db, command)?;
    let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    Ok((json, reply.body().to_string()).into_response())
}

/// `GET /rows?table=T[&database=D][&from=N]`: the rows of a table from the N-th on, one JSON object
/// per line, in the order in which they were ingested. The database may be left out when only one
/// has such a table.
async fn rows(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<String, Refusal> {
    let query = query.unwrap_or_default();
    let given = |name: &str| {
        reqwest::Url::parse(&format!("http://rows/?{query}")).ok().and_then(|url| {
            let mut pairs = url.query_pairs();
            pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        })
    };
    let table = given("table").ok_or_else(|| Refusal::invalid("which table?"))?;
    let from = given("from").unwrap_or_else(|| "0".to_owned());
    let from: usize = from.parse().map_err(|_| Refusal::invalid(format!("{from} is not a number")))?;
    let store = shared.store.lock().unwrap_or_else(PoisonError::into_inner);
    let database = match given("database") {
        Some(database) => database,
        None => {
            let mut databases = store.databases_with(&table);
            match (databases.next(), databases.next()) {
                (Some(one), None) => one.to_owned(),
                (None, _) => return Err(Refusal::not_found("Table", &table)),
                _ => return Err(Refusal::invalid("several databases have it: which one?")),
            }
        }
    };
    let rows = store.table(&database, &table)?.rows();
    let mut text = String::new();
    for row in rows.iter().skip(from).take(ROWS_MAX) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{row}");
    }
    Ok(text)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
        (StatusCode::BAD_REQUEST, json, self.body().to_string()).into_response()
    }
}
