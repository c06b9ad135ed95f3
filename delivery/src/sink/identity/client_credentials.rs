//! Tokens of an OAuth 2 client with a secret (RFC 6749, section 4.4).

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use twinroute_common::causes::Causes;

use super::{AccessToken, unavailable};
use crate::sink::SinkError;

/// How long a token is taken to be good when the server does not say (RFC 6749 leaves it open).
const UNSTATED_LIFETIME: Duration = Duration::from_secs(300);

/// A client, and the token endpoint that knows it.
#[derive(Debug)]
pub(crate) struct ClientCredentials {
    http: reqwest::Client,
    endpoint: reqwest::Url,
    client_id: String,
    client_secret: SecretString,
    scope: String,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Lifetime in seconds.
    expires_in: Option<u64>,
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

impl ClientCredentials {
    pub(super) fn new(
        endpoint: &str,
        client_id: &str,
        client_secret: SecretString,
        scope: String,
        deadline: Duration,
    ) -> Result<Self, SinkError> {
        let endpoint = reqwest::Url::parse(endpoint)
            .map_err(|error| unavailable(format_args!("the token endpoint is no URL: {error}")))?;
        // A redirect would carry the secret to another place.
        let http = reqwest::Client::builder()
            .timeout(deadline)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| unavailable(Causes(&error)))?;
        Ok(Self { http, endpoint, client_id: client_id.to_owned(), client_secret, scope })
    }

    pub(super) async fn token(&self) -> Result<AccessToken, SinkError> {
        let got = SystemTime::now();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
            ("scope", &self.scope),
        ];
        let form = form.into_iter().filter(|(_, value)| !value.is_empty());
        let response = self
            .http
            .post(self.endpoint.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encode(form))
            .send()
            .await
            .map_err(|error| unavailable(Causes(&error)))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| unavailable(Causes(&error)))?;
        if !status.is_success() {
            return Err(unavailable(refusal(status.as_u16(), &body)));
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| unavailable(format_args!("the server's answer is no token: {error}")))?;
        let lifetime = answer.expires_in.map_or(UNSTATED_LIFETIME, Duration::from_secs);
        Ok(AccessToken { secret: answer.access_token.into(), got, expires: got + lifetime })
    }
}

fn refusal(status: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error, error_description }) => {
            format!("the token server refuses: {error} {}", error_description.unwrap_or_default())
        }
        Err(_) => format!("the token server answers with status {status}"),
    }
}

/// `application/x-www-form-urlencoded` (WHATWG URL, section 5.2).
fn encode<'a>(form: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = reqwest::Url::parse("form:").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(form);
    }
    url.as_ref().and_then(|url| url.query()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_escaped() {
        let form = [("client_secret", "a+b&c=d é"), ("scope", "https://x/.default")];
        assert_eq!(
            encode(form.into_iter()),
            "client_secret=a%2Bb%26c%3Dd+%C3%A9&scope=https%3A%2F%2Fx%2F.default"
        );
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"error":"invalid_client","error_description":"unknown client"}"#;
        assert_eq!(refusal(401, body), "the token server refuses: invalid_client unknown client");
        assert_eq!(refusal(502, b"<html>"), "the token server answers with status 502");
    }
}
