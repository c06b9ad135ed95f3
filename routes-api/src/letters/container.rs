//! An endpoint's container is opened for reading, or the call says which field it lacks.

use twinroute_common::dead_letter::Container;
use twinroute_common::route::Endpoint;
use twinroute_common::secret::Secret;

use crate::refusal::Refusal;

/// Opens the container of an endpoint's dead letters, to list, read and delete.
///
/// # Errors
/// When the endpoint has none, or no credential that routes-api can use.
pub fn open(endpoint: &Endpoint) -> Result<Container, Refusal> {
    let lacks = |field: &str, why: &str| {
        Refusal::Precondition(format!(
            "the endpoint `{}` {why}: set `{field}` with UpdateEndpoint",
            endpoint.name
        ))
    };
    let container = endpoint
        .dead_letter
        .as_ref()
        .ok_or_else(|| lacks("dead_letter", "has no container for dead letters"))?;
    let sas = match &container.read_sas {
        Some(Secret::Value(sas)) => sas,
        Some(Secret::Reference(_)) => {
            // The key that secrets are sealed with is a secret of this process: who may write endpoints must not be able
            // to have it sent to a container of their own.
            let why = "gives its read credential as a reference, which only workers resolve: give the value";
            return Err(lacks("dead_letter.read_sas", why));
        }
        None => {
            let why =
                "has no credential to read its dead letters: a SAS with read, list and delete permission";
            return Err(lacks("dead_letter.read_sas", why));
        }
    };
    Container::open(&container.url, Some(sas)).map_err(|error| lacks("dead_letter", &error.to_string()))
}

#[cfg(test)]
mod tests {
    use twinroute_common::route::{
        DeadLetterContainer, DeliveryPolicy, Destination, KustoOptions, KustoTables,
    };

    use super::*;

    fn endpoint(dead_letter: Option<DeadLetterContainer>) -> Endpoint {
        let options = KustoOptions {
            ingestion_uri: "https://ingest.example.com".to_owned(),
            database: "twins".to_owned(),
            tables: KustoTables::default(),
            create_tables: true,
            identity: None,
        };
        Endpoint {
            name: "history".to_owned(),
            destination: Destination::Kusto(options),
            policy: DeliveryPolicy::default(),
            dead_letter,
        }
    }

    #[test]
    fn what_is_missing_is_named_by_its_field() {
        let container = |read_sas: Option<&str>| DeadLetterContainer {
            url: "https://plant.blob.core.windows.net/letters".to_owned(),
            sas: Some(Secret::new("sp=w&sig=x")),
            read_sas: read_sas.map(Secret::new),
        };
        for (dead_letter, field) in [
            (None, "`dead_letter`"),
            (Some(container(None)), "`dead_letter.read_sas`"),
            (Some(container(Some("env:TWINROUTE_SECRET_SAS"))), "`dead_letter.read_sas`"),
            (Some(container(Some("no signature"))), "`dead_letter`"),
        ] {
            let refusal = open(&endpoint(dead_letter)).map(|_| ()).unwrap_err().to_string();
            assert!(refusal.contains("`history`") && refusal.contains(field), "{refusal}");
            assert!(!refusal.contains("no signature"), "{refusal}");
        }
        assert!(open(&endpoint(Some(container(Some("sp=rld&sig=x"))))).is_ok());
    }
}
