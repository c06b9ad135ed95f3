//! Tokens of an Azure identity: the worker's own, or a client's of a tenant.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure_core::credentials::{Secret, TokenCredential};
use azure_identity::{
    ClientSecretCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use secrecy::{ExposeSecret as _, SecretString};
use twinroute_common::causes::Causes;

use super::{AccessToken, unavailable};
use crate::sink::SinkError;

/// Where Kubernetes puts the path of a workload identity's token; when it is absent, the machine's managed identity
/// is meant.
const FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// An Azure identity and the scope that it asks for.
pub(crate) struct AzureIdentity {
    credential: Arc<dyn TokenCredential>,
    scope: String,
    deadline: Duration,
}

impl fmt::Debug for AzureIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureIdentity").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl AzureIdentity {
    /// The worker's workload identity or managed identity.
    pub(super) fn of_worker(
        client_id: Option<&str>,
        scope: String,
        deadline: Duration,
    ) -> Result<Self, SinkError> {
        let federated = std::env::var_os(FEDERATED_TOKEN_FILE).filter(|path| Path::new(path).is_absolute());
        let credential: azure_core::Result<Arc<dyn TokenCredential>> = if federated.is_some() {
            let options = WorkloadIdentityCredentialOptions {
                client_id: client_id.map(str::to_owned),
                ..Default::default()
            };
            WorkloadIdentityCredential::new(Some(options)).map(|credential| credential as _)
        } else {
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: client_id.map(|id| UserAssignedId::ClientId(id.to_owned())),
                ..Default::default()
            };
            ManagedIdentityCredential::new(Some(options)).map(|credential| credential as _)
        };
        Self::new(credential, scope, deadline)
    }

    /// A client of a tenant, by its secret.
    pub(super) fn of_client(
        tenant: &str,
        client_id: &str,
        secret: &SecretString,
        scope: String,
        deadline: Duration,
    ) -> Result<Self, SinkError> {
        let secret = Secret::new(secret.expose_secret().to_owned());
        let credential = ClientSecretCredential::new(tenant, client_id.to_owned(), secret, None);
        Self::new(credential.map(|credential| credential as _), scope, deadline)
    }

    fn new(
        credential: azure_core::Result<Arc<dyn TokenCredential>>,
        scope: String,
        deadline: Duration,
    ) -> Result<Self, SinkError> {
        let credential = credential.map_err(|error| unavailable(Causes(&error)))?;
        Ok(Self { credential, scope, deadline })
    }

    pub(super) async fn token(&self) -> Result<AccessToken, SinkError> {
        let scopes = [self.scope.as_str()];
        let asked = self.credential.get_token(&scopes, None);
        let token = tokio::time::timeout(self.deadline, asked)
            .await
            .map_err(|_| unavailable("Azure did not answer in time"))?
            .map_err(|error| unavailable(Causes(&error)))?;
        Ok(AccessToken {
            secret: SecretString::from(token.token.secret()),
            got: SystemTime::now(),
            expires: token.expires_on.into(),
        })
    }
}
