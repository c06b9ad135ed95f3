//! Capture's connections to PostgreSQL: each `sslmode` is taken or refused as libpq would, by both alike.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_capture::{
    config::PostgresSettings,
    postgres::{ConnectionString, Control},
    replication::Connection,
};
use twinroute_tests::{
    servers::postgres::Shutdown,
    services::{Program, Service},
    stack::GRAPH,
    twins::{Graph, bulk::Bulk},
};

use crate::{
    authority::Authority,
    raw::RawConsumer,
    scene::{self, DEADLINE},
    secured::Secured,
};

/// What the server says of a connection: whether it is encrypted, and who the client's certificate is for.
type Protection = (bool, String);

/// What the server says of both connections, the control connection first.
async fn connect(url: &str) -> Result<[Protection; 2]> {
    let settings = PostgresSettings { url: url.to_owned(), ..PostgresSettings::default() };
    let connection_string = ConnectionString::new(&settings)?;
    let names = ["control", "replication"].map(|name| format!("{name} {}", uuid::Uuid::new_v4()));
    let [of_control, of_replication] = &names;
    let control = Control::open(&connection_string, of_control, DEADLINE).await?;
    let server = control.server();
    let mut replication = Connection::open(&connection_string, server, of_replication, DEADLINE).await?;
    replication.server().await?;
    let query = "SELECT s.ssl, coalesce(s.client_dn, '') FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                 WHERE a.application_name = ANY ($1) ORDER BY a.application_name";
    let rows = control.rows(query, &[&names.as_slice()]).await?;
    let protections: Vec<Protection> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    protections.try_into().map_err(|found| anyhow::anyhow!("{found:?} instead of two connections"))
}

/// Both connections are there, encrypted or not.
async fn is_taken(url: &str, encrypted: bool) -> Result<()> {
    let protections = connect(url).await.with_context(|| format!("{url} is refused"))?;
    ensure!(protections.iter().all(|(ssl, _)| *ssl == encrypted), "{url}: {protections:?}");
    Ok(())
}

/// There is no connection, for this reason.
async fn is_refused(url: &str, reason: &str) -> Result<()> {
    let error = connect(url).await.err().with_context(|| format!("{url} is taken"))?;
    let text = format!("{error:#}");
    ensure!(text.contains(reason), "{url} is not refused for `{reason}`: {text}");
    Ok(())
}

fn p256(name: &str) -> Result<Authority> {
    Authority::new(name, &rcgen::PKCS_ECDSA_P256_SHA256)
}

#[test]
fn each_sslmode_takes_and_refuses_the_servers_that_libpq_would() -> Result<()> {
    scene::run(async {
        // Given a server whose certificate is for `localhost` and of one authority, and another authority
        let (ours, other) = (p256("ours")?, p256("other")?);
        let mut server = Secured::start("tls-modes", &ours).await?;
        let (ours, other) = (server.file("ours.pem", &ours.pem())?, server.file("other.pem", &other.pem())?);
        let url = |host: &str, parameters: &str| server.url("postgres", host, parameters);
        // Then the mode decides whether there is TLS
        is_taken(&url("127.0.0.1", ""), true).await?;
        is_taken(&url("127.0.0.1", "sslmode=disable"), false).await?;
        is_taken(&url("127.0.0.1", "sslmode=require"), true).await?;
        // And the authority counts where one is named
        let unknown = "UnknownIssuer";
        for mode in ["require", "verify-ca"] {
            is_taken(&url("127.0.0.1", &format!("sslmode={mode}&sslrootcert={ours}")), true).await?;
            is_refused(&url("127.0.0.1", &format!("sslmode={mode}&sslrootcert={other}")), unknown).await?;
        }
        is_taken(&url("127.0.0.1", &format!("sslmode=prefer&sslrootcert={other}")), false).await?;
        // And the name counts for verify-full alone
        let (full, full_other) = (
            format!("sslmode=verify-full&sslrootcert={ours}"),
            format!("sslmode=verify-full&sslrootcert={other}"),
        );
        is_taken(&url("localhost", &full), true).await?;
        is_taken(&url("localhost", &format!("{full}&hostaddr=127.0.0.1")), true).await?;
        is_refused(&url("127.0.0.1", &full), "not valid for name").await?;
        is_refused(&url("localhost", &full_other), unknown).await?;
        // And a file that is missing is named
        is_refused(&url("localhost", "sslmode=verify-full&sslrootcert=/nowhere.pem"), "/nowhere.pem").await?;
        // When the server has no TLS
        server.give_up_tls().await?;
        // Then prefer goes without, and the others do not
        let url = |parameters: &str| server.url("postgres", "localhost", parameters);
        is_taken(&url("sslmode=prefer"), false).await?;
        is_refused(&url("sslmode=require"), "does not offer TLS").await?;
        is_refused(&url(&full), "does not offer TLS").await
    })
}

#[test]
fn roles_log_in_by_scram_with_channel_binding_by_certificate_or_without_tls() -> Result<()> {
    scene::run(async {
        // Given roles of different kinds, and certificates of the right and of another authority
        let (ours, other) = (p256("ours")?, p256("other")?);
        let server = Secured::start("tls-logins", &ours).await?;
        let client = |authority: &Authority, name: &str| -> Result<String> {
            let issued = authority.client("certified")?;
            let certificate = server.file(&format!("{name}.crt"), &issued.certificate)?;
            let key = server.file(&format!("{name}.key"), &issued.key)?;
            Ok(format!("sslmode=require&sslcert={certificate}&sslkey={key}"))
        };
        let (known, stranger) = (client(&ours, "known")?, client(&other, "stranger")?);
        let url = |role: &str, parameters: &str| server.url(role, "127.0.0.1", parameters);
        // Then SCRAM works, bound to the TLS session or not
        for binding in ["require", "prefer", "disable"] {
            is_taken(&url("scrammed", &format!("sslmode=require&channel_binding={binding}")), true).await?;
        }
        // And what cannot be bound is refused where that is required
        is_refused(&url("unsecured", "channel_binding=require"), "channel binding").await?;
        is_refused(&url("cleartext", "channel_binding=require"), "channel binding").await?;
        is_taken(&url("cleartext", "sslmode=require"), true).await?;
        // And pg_hba.conf decides whether prefer goes without TLS
        is_refused(&url("scrammed", "sslmode=disable"), "no pg_hba.conf entry").await?;
        is_taken(&url("unsecured", ""), false).await?;
        is_refused(&url("unsecured", "sslmode=require"), "no pg_hba.conf entry").await?;
        // And a certificate logs its role in, if it is of the right authority
        let protections = connect(&url("certified", &known)).await?;
        assert_eq!(protections, ["/CN=certified"; 2].map(|name| (true, name.to_owned())));
        is_refused(&url("certified", "sslmode=require"), "valid client certificate").await?;
        is_refused(&url("certified", &stranger), "login failed").await?;
        // And a wrong password is told, and not tried without TLS
        let wrong = url("scrammed", "").replace("w0rd", "guess");
        let error = connect(&wrong).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert_eq!(error.matches("password authentication failed").count(), 1, "{error}");
        Ok(())
    })
}

#[test]
fn channel_binding_follows_the_algorithm_of_the_certificate() -> Result<()> {
    scene::run(async {
        let mut server = Secured::start("tls-binding", &p256("first")?).await?;
        for (algorithm, parameters) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "channel_binding=require"),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "channel_binding=require"),
            (&rcgen::PKCS_RSA_SHA256, "channel_binding=require"),
            (&rcgen::PKCS_RSA_SHA512, "channel_binding=require"),
        ] {
            // Given a certificate that is signed so
            let authority = Authority::new("signs", algorithm)?;
            server.certify(&authority.server("localhost")?, &authority).await?;
            // Then the login is bound to it
            is_taken(&server.url("scrammed", "127.0.0.1", parameters), true).await?;
        }
        Ok(())
    })
}

#[test]
fn certificates_that_are_no_servers_are_refused_where_authorities_are_verified() -> Result<()> {
    scene::run(async {
        // Given a server that shows its authority's own certificate
        let ours = p256("localhost")?;
        let mut server = Secured::start("tls-certificates", &ours).await?;
        let roots = server.file("ours.pem", &ours.pem())?;
        server.certify(&ours.as_server(), &ours).await?;
        // Then it is taken only where nobody looks at it
        let url = |server: &Secured, parameters: &str| server.url("scrammed", "localhost", parameters);
        let verified = format!("sslmode=verify-ca&sslrootcert={roots}");
        is_taken(&url(&server, "sslmode=require&channel_binding=require"), true).await?;
        is_refused(&url(&server, &verified), "CaUsedAsEndEntity").await?;
        // When it shows one that has the host as its common name alone
        server.certify(&ours.server_by_common_name("localhost")?, &ours).await?;
        // Then its authority is enough for verify-ca, and its name not for verify-full
        is_taken(&url(&server, &verified), true).await?;
        let full = format!("sslmode=verify-full&sslrootcert={roots}");
        is_refused(&url(&server, &full), "not valid for name").await
    })
}

#[test]
fn the_server_notices_a_capture_that_is_lost_within_seconds() -> Result<()> {
    scene::run(async {
        // Given the session that holds the lock, over TLS
        let server = Secured::start("tls-keepalive", &p256("ours")?).await?;
        let url = server.url("scrammed", "localhost", "sslmode=require");
        let connection_string =
            ConnectionString::new(&PostgresSettings { url, ..PostgresSettings::default() })?;
        let control = Control::open(&connection_string, "keepalive", DEADLINE).await?;
        // Then the server's socket has probes and a bound for data that stays unacknowledged
        let query = "SELECT name, setting FROM pg_settings WHERE name LIKE 'tcp\\_%' ORDER BY name";
        let rows = control.rows(query, &[]).await?;
        let settings: Vec<(&str, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let expected = [
            ("tcp_keepalives_count", "3"),
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_user_timeout", "11000"),
        ];
        assert_eq!(settings, expected);
        Ok(())
    })
}

#[test]
fn capture_streams_over_tls_with_password_and_certificate_and_after_a_restart() -> Result<()> {
    scene::run(async {
        // Given a server that wants both, and a capture that verifies the server in full
        let ours = p256("ours")?;
        let mut server = Secured::start("tls-stream", &ours).await?;
        let issued = ours.client("strict")?;
        let (certificate, key) =
            (server.file("strict.crt", &issued.certificate)?, server.file("strict.key", &issued.key)?);
        let roots = server.file("ours.pem", &ours.pem())?;
        let parameters = format!(
            "sslmode=verify-full&sslrootcert={roots}&sslcert={certificate}&sslkey={key}&channel_binding=require"
        );
        let database = server.postgres.url("postgres");
        let bulk = Bulk::new(Graph::create(&database, GRAPH).await?, "before").await?;
        let settings = json!({ "postgres": { "url": server.url("strict", "localhost", &parameters) } });
        let mut capture = Service::start(Program::Capture, "capture", settings, &scene::dir("tls-capture")?)?;
        capture.until_ready().await?;
        // When many twins are written
        let consumer = joined(&capture).await?;
        bulk.create(0, 5_000).await?;
        // Then they come, over connections that are all encrypted and show the certificate
        consumer.settle().await?.until_seen("before-4999").await?;
        let client = server.postgres.connect("postgres").await?;
        let query = "SELECT a.application_name, coalesce(s.client_dn, '') FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                     WHERE s.ssl OR a.application_name LIKE 'twinroute-capture%'";
        let rows = client.query(query, &[]).await?;
        let sessions: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let names = ["twinroute-capture delivery", "twinroute-capture delivery control"];
        for name in names {
            assert!(sessions.iter().any(|(session, _)| session == name), "{name} is not among {sessions:?}");
        }
        assert!(sessions.iter().all(|(_, subject)| subject == "/CN=strict"), "{sessions:?}");
        // When the server is restarted
        server.postgres.restart(Shutdown::Immediate).await?;
        // Then capture streams on
        let bulk = Bulk::new(Graph::open(&database, GRAPH).await?, "after").await?;
        bulk.create(0, 10).await?;
        capture.until_page(DEADLINE, "/readyz", |status, _| status == 200).await?;
        joined(&capture).await?.settle().await?.until_seen("after-9").await
    })
}

async fn joined(capture: &Service) -> Result<RawConsumer> {
    let mut consumer = RawConsumer::connect(&capture.grpc()).await?;
    consumer.hello("delivery", "consumer").await?;
    consumer.keep_leases();
    Ok(consumer)
}
