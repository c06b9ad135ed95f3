//! Identities on the wire.

use twinroute_proto::routes::v1 as proto;

use super::{non_empty, secret, url};
use crate::route::identity::{ClientSecretIdentity, TokenIdentity, TokenServer};
use crate::route::violation::Reading;

pub(super) fn read(reading: &mut Reading, identity: proto::TokenIdentity) -> Option<TokenIdentity> {
    use proto::token_identity::Identity;
    match identity.identity {
        None => {
            reading.refuse("", "must be `azure` or `client_secret`");
            None
        }
        Some(Identity::Azure(azure)) => Some(TokenIdentity::Azure { client_id: non_empty(azure.client_id) }),
        Some(Identity::ClientSecret(identity)) => {
            reading.within("client_secret", |reading| read_client_secret(reading, identity))
        }
    }
}

fn read_client_secret(reading: &mut Reading, identity: proto::ClientSecretIdentity) -> Option<TokenIdentity> {
    let server = match (non_empty(identity.tenant_id), non_empty(identity.token_endpoint)) {
        (Some(tenant), None) => Some(TokenServer::AzureTenant(tenant)),
        (None, Some(endpoint)) => {
            let exposed =
                url::check(reading, "token_endpoint", &endpoint).is_some_and(|uri| url::is_exposed(&uri));
            if exposed {
                reading.refuse("token_endpoint", "must be https: the client secret goes there");
            }
            Some(TokenServer::TokenEndpoint(endpoint))
        }
        (Some(_), Some(_)) => {
            reading.refuse("token_endpoint", "does not go with `tenant_id`: give one of the two");
            None
        }
        (None, None) => {
            reading.refuse("tenant_id", "is required, unless `token_endpoint` names another OAuth 2 server");
            None
        }
    };
    let client_id = reading.required("client_id", identity.client_id);
    let client_secret = secret::required(reading, "client_secret", identity.client_secret);
    Some(TokenIdentity::ClientSecret(ClientSecretIdentity {
        server: server?,
        client_id,
        client_secret: client_secret?,
        scope: non_empty(identity.scope),
    }))
}

pub(super) fn write(identity: &TokenIdentity) -> proto::TokenIdentity {
    use proto::token_identity::Identity;
    let identity = match identity {
        TokenIdentity::Azure { client_id } => {
            Identity::Azure(proto::AzureIdentity { client_id: client_id.clone().unwrap_or_default() })
        }
        TokenIdentity::ClientSecret(identity) => {
            let (tenant_id, token_endpoint) = match &identity.server {
                TokenServer::AzureTenant(tenant) => (tenant.clone(), String::new()),
                TokenServer::TokenEndpoint(endpoint) => (String::new(), endpoint.clone()),
            };
            Identity::ClientSecret(proto::ClientSecretIdentity {
                tenant_id,
                token_endpoint,
                client_id: identity.client_id.clone(),
                client_secret: Some(secret::write(&identity.client_secret)),
                scope: identity.scope.clone().unwrap_or_default(),
            })
        }
    };
    proto::TokenIdentity { identity: Some(identity) }
}
