//! An identity at an Azure tenant or another OAuth 2 server.

use crate::secret::Secret;

/// How access tokens are got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenIdentity {
    /// Azure's workload identity or managed identity of the worker.
    Azure {
        /// Client id of a user-assigned identity; `None` for the worker's own.
        client_id: Option<String>,
    },
    /// An OAuth 2 client with a secret.
    ClientSecret(ClientSecretIdentity),
}

/// An OAuth 2 client with a secret (RFC 6749, section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSecretIdentity {
    /// Who hands out the tokens.
    pub server: TokenServer,
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Secret,
    /// Scope to ask for; `None` for the sink's own.
    pub scope: Option<String>,
}

/// Who hands out tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenServer {
    /// An Azure tenant, by its id or domain.
    AzureTenant(String),
    /// The token endpoint (URL) of any OAuth 2 server.
    TokenEndpoint(String),
}
