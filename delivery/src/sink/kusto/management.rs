//! Control commands, by Kusto's REST API
//! (<https://learn.microsoft.com/kusto/api/rest/request>).

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use twinroute_common::causes::Causes;

use super::failure::Failure;
use crate::sink::identity::TokenCache;

/// Sends control commands.
#[derive(Debug)]
pub(super) struct Management {
    http: Client,
    tokens: Option<TokenCache>,
    deadline: Duration,
}

#[derive(Serialize)]
struct Request<'a> {
    db: &'a str,
    csl: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    tables: Vec<AnswerTable>,
}

/// The first table of an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AnswerTable {
    columns: Vec<AnswerColumn>,
    rows: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerColumn {
    column_name: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalError,
}

#[derive(Deserialize)]
struct RefusalError {
    code: Option<String>,
    #[serde(rename = "@message")]
    details: Option<String>,
    message: Option<String>,
}

impl AnswerTable {
    /// The values of a column, one for each row.
    pub(super) fn texts<'a>(&'a self, column: &str) -> impl Iterator<Item = &'a str> {
        let index = self.columns.iter().position(|known| known.column_name == column);
        self.rows.iter().filter_map(move |row| row.get(index?)?.as_str())
    }
}

impl Management {
    pub(super) fn new(http: Client, tokens: Option<TokenCache>, deadline: Duration) -> Self {
        Self { http, tokens, deadline }
    }

    /// Runs a command at the endpoint, in the context of a database.
    ///
    /// # Errors
    /// When there is no answer in time, or it is a refusal.
    pub(super) async fn run(
        &self,
        endpoint: &Url,
        database: &str,
        command: &str,
    ) -> Result<AnswerTable, Failure> {
        let what = command.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let mut url = endpoint.clone();
        url.set_path("/v1/rest/mgmt");
        let mut request =
            self.http.post(url).timeout(self.deadline).json(&Request { db: database, csl: command });
        if let Some(tokens) = &self.tokens {
            request = request.bearer_auth(tokens.token().await?.secret.expose_secret());
        }
        let response = request
            .send()
            .await
            .map_err(|error| Failure::unreachable(&what, Causes(&error.without_url())))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        let body = response
            .bytes()
            .await
            .map_err(|error| Failure::unreachable(&what, Causes(&error.without_url())))?;
        if !status.is_success() {
            return Err(Failure::refused(&what, status.as_u16(), &reason(&body), retry_after.as_deref()));
        }
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|error| Failure::unusable(&what, error))?;
        answer.tables.into_iter().next().ok_or_else(|| Failure::unusable(&what, "the answer has no table"))
    }
}

/// The server's words, in Microsoft's form of errors or as they are, cut to a readable length.
fn reason(body: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 300;
    let text = match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error }) => {
            let words = error.details.or(error.message).unwrap_or_default();
            format!("{} {words}", error.code.unwrap_or_default())
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.trim().chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_the_names_of_its_columns() {
        let body = r#"{"Tables":[{"TableName":"Table_0",
            "Columns":[{"ColumnName":"A","DataType":"String"},{"ColumnName":"B","DataType":"String"}],
            "Rows":[["a1","b1"],["a2",null],["a3","b3"]]}]}"#;
        let answer: Answer = serde_json::from_str(body).unwrap();
        let table = answer.tables.first().unwrap();
        assert_eq!(table.texts("B").collect::<Vec<_>>(), ["b1", "b3"]);
        assert_eq!(table.texts("C").count(), 0);
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"error":{"code":"BadRequest_EntityNotFound","message":"General","@message":"Entity 'T' of kind 'Table'"}}"#;
        assert_eq!(reason(body), "BadRequest_EntityNotFound Entity 'T' of kind 'Table'");
        assert_eq!(reason(b"<html>"), "<html>");
        assert_eq!(reason("é".repeat(1000).as_bytes()).chars().count(), 300);
    }
}
