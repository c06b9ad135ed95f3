//! `postgres.url`: a connection string with libpq's parameters, those of TLS included (PostgreSQL manual, section
//! "Connection Strings").

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio_postgres::config::Host;

use super::tls::{Certificates, ClientCertificate, SslMode, TlsSettings};
use crate::config::PostgresSettings;

/// Parameters that tokio-postgres reads as libpq does.
const SESSION_PARAMETERS: [&str; 15] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "target_session_attrs",
    "channel_binding",
];

/// Parameters that are read here.
const OWN_PARAMETERS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "tcp_user_timeout"];

/// libpq's other parameters. They can be named in a message; anything else may be a piece of a password.
const REFUSED_PARAMETERS: [&str; 23] = [
    "passfile",
    "require_auth",
    "client_encoding",
    "fallback_application_name",
    "replication",
    "gssencmode",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "service",
    "requirepeer",
    "sslnegotiation",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "sslpassword",
    "sslsni",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "load_balance_hosts",
    "requiressl",
];

/// A connection is given up after this many unanswered probes.
const KEEPALIVE_PROBES: u32 = 3;

/// Why `postgres.url` cannot be used. The text repeats no value: it may be a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UrlMistake(String);

impl UrlMistake {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Where PostgreSQL is, who logs in, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct ConnectionString {
    /// All but TLS.
    pub(crate) session: tokio_postgres::Config,
    /// `sslmode` and the files beside it.
    pub(crate) tls: TlsSettings,
}

/// One of the servers, before it is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// The name that a certificate must be for.
    pub(crate) host: String,
    /// Where it is, when that is not to be resolved.
    pub(crate) hostaddr: Option<IpAddr>,
    /// Its port.
    pub(crate) port: u16,
}

impl ConnectionString {
    /// Reads `postgres.url`, with what the settings beside it say where it says nothing.
    ///
    /// # Errors
    /// [`UrlMistake`] with the parameter that is wrong.
    pub fn new(settings: &PostgresSettings) -> Result<Self, UrlMistake> {
        let (base, query) = settings.url.split_once('?').unwrap_or((&settings.url, ""));
        let parameters = parameters(query)?;
        let given =
            |name: &str| parameters.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value);
        let mut session = session(base, &parameters)?;
        if session.get_user().is_none() {
            return Err(UrlMistake::new("names no user; write postgres://user@host:port/database"));
        }
        check_hosts(&session)?;
        if !parameters.iter().any(|(key, _)| key.starts_with("keepalives")) {
            let idle = settings.tcp_keepalive();
            session.keepalives_idle(idle);
            session.keepalives_interval(idle / KEEPALIVE_PROBES);
            session.keepalives_retries(KEEPALIVE_PROBES);
        }
        // Unanswered data is not probed but sent again, for a quarter of an hour unless this bounds it too.
        let user_timeout = match given("tcp_user_timeout") {
            Some(text) => Duration::from_millis(
                text.parse()
                    .map_err(|_| UrlMistake::new("tcp_user_timeout must be a number of milliseconds"))?,
            ),
            None => settings.tcp_keepalive() * 2,
        };
        session.tcp_user_timeout(user_timeout);
        let text = |name: &str| given(name).map(String::as_str).filter(|value| !value.is_empty());
        let tls = tls(text("sslmode"), text("sslrootcert"), text("sslcert"), text("sslkey"))?;
        Ok(Self { session, tls })
    }

    /// The servers, in the order in which they are tried.
    pub(crate) fn servers(&self) -> impl Iterator<Item = HostPort> {
        let (hosts, addresses) = (self.session.get_hosts(), self.session.get_hostaddrs());
        let ports = self.session.get_ports();
        (0..hosts.len().max(addresses.len())).map(move |index| {
            let hostaddr = addresses.get(index).copied();
            let host = match hosts.get(index) {
                Some(Host::Tcp(name)) => name.clone(),
                _ => hostaddr.map(|address| address.to_string()).unwrap_or_default(),
            };
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            HostPort { host, hostaddr, port }
        })
    }

    /// The servers, without user and password.
    #[must_use]
    pub fn place(&self) -> String {
        let names = self.servers().map(|server| format!("{}:{}", server.host, server.port));
        names.collect::<Vec<_>>().join(",")
    }
}

/// The pairs after the question mark, decoded.
fn parameters(query: &str) -> Result<Vec<(&str, String)>, UrlMistake> {
    let mut parameters = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if REFUSED_PARAMETERS.contains(&key) {
            return Err(UrlMistake::new(format!("has the parameter {key}, which is not supported")));
        }
        if !SESSION_PARAMETERS.contains(&key) && !OWN_PARAMETERS.contains(&key) {
            let known = [&SESSION_PARAMETERS[..], &OWN_PARAMETERS].concat().join(", ");
            return Err(UrlMistake::new(format!("has an unknown parameter; known are {known}")));
        }
        let value = percent_decode_str(value).decode_utf8();
        let value = value.map_err(|_| UrlMistake::new(format!("{key} is not UTF-8")))?;
        parameters.push((key, value.into_owned()));
    }
    Ok(parameters)
}

/// What tokio-postgres makes of the part before the parameters, and of those that it knows.
fn session(base: &str, parameters: &[(&str, String)]) -> Result<tokio_postgres::Config, UrlMistake> {
    let parse = |url: &str| url.parse::<tokio_postgres::Config>();
    let mut session = parse(base).map_err(|_| UrlMistake::new("is not a connection string"))?;
    if !session.get_hosts().is_empty() && parameters.iter().any(|(key, _)| *key == "host") {
        return Err(UrlMistake::new("names hosts in two places; leave out one"));
    }
    let mut url = base.to_owned();
    for (key, value) in parameters.iter().filter(|(key, _)| !OWN_PARAMETERS.contains(key)) {
        // tokio-postgres reads a list of hosts in this place as one host, and has one name of its own.
        let values: Vec<&str> = if *key == "host" { value.split(',').collect() } else { vec![value] };
        let name = if *key == "keepalives_count" { "keepalives_retries" } else { key };
        for value in values {
            let separator = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{separator}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        session = parse(&url).map_err(|_| {
            let known = match *key {
                "target_session_attrs" => "any, read-write or read-only",
                "channel_binding" => "disable, prefer or require",
                "hostaddr" => "addresses separated by commas",
                _ => "a number",
            };
            UrlMistake::new(format!("{key} must be {known}"))
        })?;
    }
    Ok(session)
}

fn check_hosts(session: &tokio_postgres::Config) -> Result<(), UrlMistake> {
    let (hosts, addresses) = (session.get_hosts(), session.get_hostaddrs());
    if hosts.iter().any(|host| matches!(host, Host::Unix(_))) {
        return Err(UrlMistake::new("names a Unix socket; name a host, since only TCP is spoken"));
    }
    let servers = hosts.len().max(addresses.len());
    if servers == 0 {
        return Err(UrlMistake::new("names no host"));
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(UrlMistake::new("must have as many of hostaddr as of host"));
    }
    let ports = session.get_ports().len();
    if ports > 1 && ports != servers {
        return Err(UrlMistake::new("must have one port, or as many ports as hosts"));
    }
    Ok(())
}

fn tls(
    mode: Option<&str>,
    roots: Option<&str>,
    certificate: Option<&str>,
    key: Option<&str>,
) -> Result<TlsSettings, UrlMistake> {
    let roots = roots.map(|roots| match roots {
        "system" => Certificates::System,
        file => Certificates::File(file.into()),
    });
    let mode = match mode {
        Some("disable") => SslMode::Disable,
        Some("prefer") => SslMode::Prefer,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        None if roots == Some(Certificates::System) => SslMode::VerifyFull,
        None => SslMode::Prefer,
        Some(_) => {
            let modes = "disable, prefer, require, verify-ca or verify-full";
            return Err(UrlMistake::new(format!("sslmode must be {modes}")));
        }
    };
    match (&roots, mode) {
        (None, SslMode::VerifyCa | SslMode::VerifyFull) => Err(UrlMistake::new(
            "has an sslmode that verifies the server, so it needs sslrootcert: the file of the authorities' \
             certificates, or `system` for those of the operating system",
        )),
        // Anybody can have a certificate of a public authority; only the name tells servers apart.
        (Some(Certificates::System), mode) if mode != SslMode::VerifyFull => {
            Err(UrlMistake::new("sslrootcert=system needs sslmode=verify-full"))
        }
        _ => {
            let client = match (certificate, key) {
                (Some(certificate), Some(key)) => {
                    Some(ClientCertificate { chain: certificate.into(), key: key.into() })
                }
                (None, None) => None,
                _ => return Err(UrlMistake::new("needs both sslcert and sslkey, or neither")),
            };
            Ok(TlsSettings { mode, roots, client })
        }
    }
}
