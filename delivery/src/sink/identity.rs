//! Access tokens for a destination: from Azure, or from any OAuth 2 server.

mod azure;
mod cache;
mod client_credentials;

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use twinroute_common::route::{TokenIdentity, TokenServer};

use super::{SinkContext, SinkError};
use azure::AzureIdentity;
use client_credentials::ClientCredentials;

pub(crate) use cache::TokenCache;

/// An access token.
#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    /// The token itself.
    pub(crate) secret: SecretString,
    /// When it was got.
    pub(crate) got: SystemTime,
    /// When it stops to be good.
    pub(crate) expires: SystemTime,
}

/// Whom tokens are for.
#[derive(Clone, Debug)]
pub(crate) struct Audience {
    /// Scope to ask for when the identity names none.
    pub(crate) scope: String,
    /// Hosts that tokens are sent to.
    pub(crate) hosts: Vec<String>,
}

/// Where tokens come from.
#[derive(Debug)]
pub(crate) enum TokenSource {
    /// Azure.
    Azure(AzureIdentity),
    /// Any other OAuth 2 server.
    Server(ClientCredentials),
}

impl TokenSource {
    /// The source that an identity names.
    ///
    /// # Errors
    /// When a secret cannot be resolved, or the worker's own identity would go to a host that it may not go to.
    pub(crate) fn new(
        identity: &TokenIdentity,
        audience: Audience,
        context: &SinkContext,
    ) -> Result<Self, SinkError> {
        let limits = &context.limits.identity;
        let deadline = Duration::from_millis(limits.token_deadline_ms);
        match identity {
            TokenIdentity::Azure { client_id } => {
                allowed(&audience.hosts, &limits.azure_host_suffixes)?;
                AzureIdentity::of_worker(client_id.as_deref(), audience.scope, deadline).map(Self::Azure)
            }
            TokenIdentity::ClientSecret(client) => {
                let scope = client.scope.clone().unwrap_or(audience.scope);
                let secret = context.secret(&client.client_secret)?;
                match &client.server {
                    TokenServer::AzureTenant(tenant) => {
                        AzureIdentity::of_client(tenant, &client.client_id, &secret, scope, deadline)
                            .map(Self::Azure)
                    }
                    TokenServer::TokenEndpoint(url) => {
                        ClientCredentials::new(url, &client.client_id, secret, scope, deadline)
                            .map(Self::Server)
                    }
                }
            }
        }
    }

    async fn token(&self) -> Result<AccessToken, SinkError> {
        match self {
            Self::Azure(azure) => azure.token().await,
            Self::Server(server) => server.token().await,
        }
    }
}

/// Refuses to send tokens of the worker's own identity to hosts outside of the suffixes.
fn allowed(hosts: &[String], suffixes: &[String]) -> Result<(), SinkError> {
    let known = |host: &String| {
        let host = host.to_ascii_lowercase();
        suffixes.iter().any(|suffix| host.ends_with(suffix.as_str()))
    };
    match hosts.iter().find(|host| !known(host)) {
        None => Ok(()),
        Some(host) => Err(SinkError::about_connection(
            "IDENTITY_NOT_ALLOWED",
            format!(
                "the worker's Azure identity may not go to {host}; add its domain to \
                 sink.identity.azure_host_suffixes if it should"
            ),
        )),
    }
}

fn unavailable(why: impl std::fmt::Display) -> SinkError {
    SinkError::about_connection("TOKEN_UNAVAILABLE", format!("no access token: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_identity_goes_to_known_domains_only() {
        let suffixes = [".servicebus.windows.net".to_owned()];
        let cases = [
            ("ns.servicebus.windows.net", true),
            ("NS.ServiceBus.Windows.Net", true),
            ("servicebus.windows.net.example.com", false),
            ("evilservicebus.windows.net", false),
            ("example.com", false),
        ];
        for (host, expected) in cases {
            assert_eq!(allowed(&[host.to_owned()], &suffixes).is_ok(), expected, "{host}");
        }
    }
}
