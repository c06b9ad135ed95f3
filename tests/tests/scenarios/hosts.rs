//! Several servers in `postgres.url`: both connections end on the one that can be written to.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_tests::{
    ports,
    servers::postgres::Postgres,
    services::{Program, Service},
    stack::GRAPH,
    twins::{Graph, bulk::Bulk},
};

use crate::{
    raw::RawConsumer,
    scene::{self, DEADLINE},
};

/// A hot standby of `primary`, whose folder is `dir`.
pub(crate) async fn standby(primary: &Postgres, dir: &Path, of: &Path) -> Result<Postgres> {
    let output = primary
        .tool("pg_basebackup")
        .args(["--pgdata=/mnt/standby", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
        .args(["--dbname", &primary.url("postgres")])
        .output()?;
    ensure!(output.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::create_dir_all(dir)?;
    std::fs::rename(of.join("standby"), dir.join("data"))?;
    Postgres::start(dir).await
}

/// Names of the walsenders that stream a logical slot.
async fn captures(server: &Postgres) -> Result<Vec<String>> {
    let client = server.connect("postgres").await?;
    let query = "SELECT a.application_name FROM pg_stat_activity a WHERE a.application_name LIKE 'twinroute-capture %' \
                 ORDER BY 1";
    Ok(client.query(query, &[]).await?.iter().map(|row| row.get(0)).collect())
}

#[test]
fn with_a_dead_host_and_a_standby_before_it_both_connections_find_the_primary() -> Result<()> {
    scene::run(async {
        // Given a primary, its standby, and a port on which nobody listens
        let dir = scene::dir("hosts")?;
        let primary = Postgres::start(&dir.join("primary")).await?;
        Graph::create(&primary.url("postgres"), GRAPH).await?;
        let standby = standby(&primary, &dir.join("standby"), &dir.join("primary")).await?;
        let ports = [ports::free()?, standby.port(), primary.port()].map(|port| port.to_string());
        // When capture is given all of them, the primary last
        let url = format!(
            "postgresql://postgres@/postgres?host=127.0.0.1,127.0.0.1,127.0.0.1&port={}&\
             target_session_attrs=read-write",
            ports.join(",")
        );
        let settings = json!({ "postgres": { "url": url } });
        let mut capture = Service::start(Program::Capture, "capture", settings, &dir)?;
        capture.until_ready().await?;
        // Then its sessions are on the primary, and none on the standby
        let sessions = captures(&primary).await?;
        for name in ["twinroute-capture delivery", "twinroute-capture delivery control"] {
            assert!(sessions.iter().any(|session| session == name), "{name} is not among {sessions:?}");
        }
        assert_eq!(captures(&standby).await?, [""; 0]);
        // And it streams
        let mut consumer = RawConsumer::connect(&capture.grpc()).await?;
        consumer.hello("delivery", "consumer").await?;
        consumer.keep_leases();
        Bulk::new(Graph::open(&primary.url("postgres"), GRAPH).await?, "twin").await?.create(0, 10).await?;
        consumer.settle().await?.until_seen("twin-9").await
    })
}

#[test]
fn when_no_host_fits_each_is_named_with_its_reason() -> Result<()> {
    scene::run(async {
        // Given a server that cannot be written to, and a port on which nobody listens
        let dir = scene::dir("hosts-unfit")?;
        let server = Postgres::start(&dir.join("postgres")).await?;
        let client = server.connect("postgres").await?;
        client.batch_execute("ALTER DATABASE postgres SET default_transaction_read_only = on").await?;
        let dead = ports::free()?;
        // When capture is given both
        let url = format!(
            "postgresql://postgres@127.0.0.1:{dead},localhost:{}/postgres?target_session_attrs=read-write",
            server.port()
        );
        let settings = json!({ "postgres": { "url": url } });
        let capture = Service::start(Program::Capture, "capture", settings, &dir)?;
        // Then it says of each why it is not used
        let both = |_: u16, text: &str| text.contains("refused") && text.contains("read-only");
        let said = capture.until_page(DEADLINE, "/readyz", both).await?;
        ensure!(said.contains(&format!("127.0.0.1:{dead}: cannot connect")), "{said}");
        // When it can be written to
        client.batch_execute("SET default_transaction_read_only = off").await?;
        client.batch_execute("ALTER DATABASE postgres RESET default_transaction_read_only").await?;
        Graph::create(&server.url("postgres"), GRAPH).await.context("the graph")?;
        // Then capture takes it
        capture.until_page(DEADLINE, "/readyz", |status, _| status == 200).await.map(drop)
    })
}
