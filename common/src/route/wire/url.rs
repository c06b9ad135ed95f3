//! Addresses in options: URLs and `host:port`.

use axum::http::Uri;

use crate::route::violation::Reading;

/// Checks a URL with scheme https or http, host, and nothing secret in it.
pub(super) fn check(reading: &mut Reading, field: &str, text: &str) -> Option<Uri> {
    if text.is_empty() {
        reading.refuse(field, "is required");
        return None;
    }
    let refusal = match text.parse::<Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("https" | "http")) => {
            "must be a URL that begins with https://"
        }
        Ok(uri) if uri.host().is_none_or(str::is_empty) => "must name a host",
        Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            "must hold no user name or password"
        }
        Ok(uri) if uri.query().is_some() => "must hold no query; a SAS or a token has a field of its own",
        Ok(uri) => return Some(uri),
        Err(_) => "is no URL",
    };
    reading.refuse(field, refusal);
    None
}

/// Whether the URL's secrets would go over a network unencrypted.
pub(super) fn is_exposed(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    uri.scheme_str() == Some("http") && !loopback
}

/// `host:port` with the port added where there is none; `None` when it is neither.
pub(super) fn host_and_port(address: &str, default_port: u16) -> Option<String> {
    let address = address.trim();
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    if host.is_empty() || !(bracketed || host.chars().all(allowed)) {
        return None;
    }
    let port = match port {
        Some(port) => port.parse::<u16>().ok().filter(|&port| port > 0)?,
        None => default_port,
    };
    Some(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_where_there_is_none() {
        for (address, expected) in [
            ("broker", Some("broker:9093")),
            ("ns.servicebus.windows.net", Some("ns.servicebus.windows.net:9093")),
            ("127.0.0.1:9092", Some("127.0.0.1:9092")),
            ("[::1]", Some("[::1]:9093")),
            ("[::1]:9092", Some("[::1]:9092")),
            ("::1", None),
            ("broker:0", None),
            ("broker:99999", None),
            ("https://broker", None),
            (":9092", None),
        ] {
            assert_eq!(host_and_port(address, 9093).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn only_plain_http_to_another_machine_is_exposed() {
        for (text, exposed) in [
            ("https://ingest.example.com", false),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("http://ingest.example.com", true),
        ] {
            let uri = check(&mut Reading::default(), "url", text);
            assert_eq!(uri.as_ref().map(is_exposed), Some(exposed), "{text}");
        }
    }
}
