//! How the producer gets in: brokers, and credentials with their secrets resolved.

use std::sync::Arc;

use secrecy::SecretString;
use twinroute_common::route::{ClientSecretIdentity, KafkaAccess, KafkaSasl, TokenIdentity, TokenServer};
use twinroute_common::secret::Secret;

use super::connection_string;
use crate::sink::identity::{Audience, TokenCache, TokenSource};
use crate::sink::{SinkContext, SinkError};

/// The user name that makes Event Hubs read the password as a connection string.
const CONNECTION_STRING_USER: &str = "$ConnectionString";

/// Brokers, and credentials with their secrets resolved.
#[derive(Clone, Debug)]
pub(super) struct Login {
    /// `host:port` each.
    pub(super) brokers: Vec<String>,
    /// Credentials.
    pub(super) credentials: Credentials,
    /// Name of the event hub, when the connection string is for one alone.
    pub(super) entity_path: Option<String>,
}

/// Credentials.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    /// None.
    None,
    /// SASL with a password.
    Password {
        /// SASL mechanism.
        mechanism: &'static str,
        /// User name.
        username: String,
        /// Password.
        password: SecretString,
    },
    /// SASL OAUTHBEARER.
    Token(Arc<TokenCache>),
}

/// Which of two connection strings is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Choice {
    /// The first.
    #[default]
    Primary,
    /// The one to change to when the first is refused.
    Secondary,
}

impl Choice {
    /// The one to use after this one was refused.
    pub(super) fn after_refusal(self, access: &KafkaAccess) -> Self {
        match (self, access) {
            (Self::Primary, KafkaAccess::EventHubs { secondary_connection_string: Some(_), .. }) => {
                Self::Secondary
            }
            _ => Self::Primary,
        }
    }
}

impl Login {
    /// Resolves the secrets. Done for every producer, so that a secret that was changed in its file is found.
    pub(super) fn new(
        access: &KafkaAccess,
        choice: Choice,
        context: &SinkContext,
    ) -> Result<Self, SinkError> {
        match access {
            KafkaAccess::Brokers { brokers, sasl, .. } => Ok(Self {
                brokers: brokers.clone(),
                credentials: match sasl {
                    None => Credentials::None,
                    Some(KafkaSasl::Password { mechanism, username, password }) => Credentials::Password {
                        mechanism: mechanism.name(),
                        username: username.clone(),
                        password: context.secret(password)?,
                    },
                    Some(KafkaSasl::OauthBearer(identity)) => {
                        Credentials::Token(token_cache(identity, brokers, context)?)
                    }
                },
                entity_path: None,
            }),
            KafkaAccess::EventHubs { connection_string, secondary_connection_string } => {
                let chosen = match (choice, secondary_connection_string) {
                    (Choice::Secondary, Some(secondary)) => secondary,
                    _ => connection_string,
                };
                Self::event_hub(chosen, context)
            }
        }
    }

    fn event_hub(secret: &Secret, context: &SinkContext) -> Result<Self, SinkError> {
        let password = context.secret(secret)?;
        let hub = connection_string::parse(&password)?;
        Ok(Self {
            brokers: vec![hub.broker],
            credentials: Credentials::Password {
                mechanism: "PLAIN",
                username: CONNECTION_STRING_USER.to_owned(),
                password,
            },
            entity_path: hub.entity_path,
        })
    }
}

/// Tokens for the brokers. Event Hubs wants the namespace as the scope.
fn token_cache(
    identity: &TokenIdentity,
    brokers: &[String],
    context: &SinkContext,
) -> Result<Arc<TokenCache>, SinkError> {
    let hosts: Vec<String> = brokers.iter().map(|broker| host(broker).to_owned()).collect();
    let scope = match (identity, hosts.first()) {
        (TokenIdentity::ClientSecret(client), _) if !asks_azure(client) => String::new(),
        (_, Some(host)) => format!("https://{host}/.default"),
        (_, None) => String::new(),
    };
    let source = TokenSource::new(identity, Audience { scope, hosts }, context)?;
    Ok(Arc::new(TokenCache::new(source)))
}

fn asks_azure(client: &ClientSecretIdentity) -> bool {
    matches!(client.server, TokenServer::AzureTenant(_))
}

fn host(broker: &str) -> &str {
    broker.rsplit_once(':').map_or(broker, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_hubs(secondary: Option<Secret>) -> KafkaAccess {
        KafkaAccess::EventHubs {
            connection_string: Secret::new("Endpoint=sb://one/"),
            secondary_connection_string: secondary,
        }
    }

    #[test]
    fn a_refused_connection_string_gives_way_to_the_other_and_back() {
        let access = event_hubs(Some(Secret::new("Endpoint=sb://two/")));
        assert_eq!(Choice::Primary.after_refusal(&access), Choice::Secondary);
        assert_eq!(Choice::Secondary.after_refusal(&access), Choice::Primary);
        assert_eq!(Choice::Primary.after_refusal(&event_hubs(None)), Choice::Primary);
    }

    #[test]
    fn a_connection_string_becomes_a_password() {
        let context =
            SinkContext { worker_id: "worker".to_owned(), limits: Arc::default(), secrets: Arc::default() };
        let access = event_hubs(Some(Secret::new("Endpoint=sb://two/")));
        let login = Login::new(&access, Choice::Secondary, &context).unwrap();
        assert_eq!(login.brokers, ["two:9093"]);
        assert!(matches!(
            login.credentials,
            Credentials::Password { mechanism: "PLAIN", username, .. } if username == "$ConnectionString"
        ));
    }
}
