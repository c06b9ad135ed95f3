//! Reads an Event Hubs connection string
//! (<https://learn.microsoft.com/azure/event-hubs/event-hubs-get-connection-string>).

use secrecy::{ExposeSecret as _, SecretString};

use crate::sink::SinkError;

/// The port of Event Hubs' Kafka endpoint.
const PORT: u16 = 9093;

/// What a connection string names, the keys aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventHub {
    /// `host:port` of the namespace.
    pub(super) broker: String,
    /// Name of the event hub, when the string is for one alone.
    pub(super) entity_path: Option<String>,
}

/// Reads `Endpoint=sb://<namespace>/;SharedAccessKeyName=…;SharedAccessKey=…[;EntityPath=…]`.
///
/// # Errors
/// `INVALID_CONNECTION_STRING` when there is no endpoint. The error does not repeat the string.
pub(super) fn parse(text: &SecretString) -> Result<EventHub, SinkError> {
    let member = |name: &str| {
        text.expose_secret().split(';').find_map(|member| {
            let (key, value) = member.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    };
    let host = member("Endpoint")
        .and_then(|endpoint| endpoint.split_once("://"))
        .map(|(_, host)| host.trim_end_matches('/'))
        .filter(|host| !host.is_empty());
    let Some(host) = host else {
        let message = "the Event Hubs connection string has no Endpoint=sb://<namespace>/";
        return Err(SinkError::about_connection("INVALID_CONNECTION_STRING", message));
    };
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let broker = if has_port { host.to_owned() } else { format!("{host}:{PORT}") };
    Ok(EventHub { broker, entity_path: member("EntityPath").map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespaces_string_names_its_broker() {
        let text = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=a=b=";
        let hub = parse(&text.into()).unwrap();
        assert_eq!(hub.broker, "ns.servicebus.windows.net:9093");
        assert_eq!(hub.entity_path, None);
    }

    #[test]
    fn a_hubs_string_names_the_hub_and_may_name_a_port() {
        let text = "Endpoint=sb://localhost:9094;SharedAccessKey=x;EntityPath=twins";
        let hub = parse(&text.into()).unwrap();
        assert_eq!(hub.broker, "localhost:9094");
        assert_eq!(hub.entity_path.as_deref(), Some("twins"));
    }

    #[test]
    fn a_string_without_endpoint_is_refused_without_repeating_it() {
        let error = parse(&"SharedAccessKey=hunter2".into()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
