//! Services that are started before what they need.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_tests::{
    ports,
    servers::postgres::{Postgres, Shutdown},
    services::{Program, Service},
    stack::{GRAPH, SOURCE},
    twins::Graph,
};

use crate::scene::{self, DEADLINE};

/// How long a service that waits is watched for more lines than one: shorter than the reminder.
const WATCHED: Duration = Duration::from_secs(10);

/// It is not ready and says why, it is live, and it has logged one line about `place`.
async fn waits(service: &Service, reasons: &[&str], place: &str) -> Result<()> {
    let fits = |status: u16, text: &str| status == 503 && reasons.iter().all(|reason| text.contains(reason));
    service.until_page(DEADLINE, "/readyz", fits).await?;
    service.until_page(DEADLINE, "/livez", |status, _| status == 200).await?;
    let lines = lines_about(service, place)?;
    let line = lines.first().with_context(|| format!("no line about {place}"))?;
    ensure!(line.contains("WARN") && line.contains("cannot") && line.contains("trying again"), "{line}");
    Ok(())
}

fn lines_about(service: &Service, place: &str) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(service.log())?;
    let about = |line: &&str| line.contains("cannot") && line.contains(place);
    Ok(log.lines().filter(about).map(str::to_owned).collect())
}

#[test]
fn services_started_in_the_wrong_order_say_what_they_wait_for_and_then_go_to_work() -> Result<()> {
    scene::run(async {
        // Given a database that is down, and nothing else
        let dir = scene::dir("start")?;
        let mut postgres = Postgres::start(&dir.join("postgres")).await?;
        let database = postgres.url("postgres");
        Graph::create(&database, GRAPH).await?;
        postgres.stop(Shutdown::Fast).await?;
        let of_postgres = format!("127.0.0.1:{}", postgres.port());
        // When a worker is started first
        let [of_capture, of_routes] =
            [ports::free()?, ports::free()?].map(|port| format!("127.0.0.1:{port}"));
        let settings = json!({
            "worker": { "source": SOURCE },
            "capture": { "addresses": format!("http://{of_capture}") },
            "routes_api": { "addresses": format!("http://{of_routes}") },
        });
        let mut worker = Service::start(Program::Delivery, "delivery", settings, &dir)?;
        // Then it says that it waits for both
        waits(&worker, &["route table", &of_routes], &of_routes).await?;
        // When capture and routes-api are started
        let settings = json!({ "postgres": { "url": database }, "grpc": { "listen": of_routes } });
        let mut routes = Service::start(Program::RoutesApi, "routes-api", settings, &dir)?;
        let settings = json!({ "postgres": { "url": database }, "grpc": { "listen": of_capture } });
        let mut capture = Service::start(Program::Capture, "capture", settings, &dir)?;
        // Then they say that they wait for the database, in one line each however often they try
        waits(&routes, &[&of_postgres, "refused"], &of_postgres).await?;
        waits(&capture, &["refused"], &of_postgres).await?;
        let nothing = tokio::time::timeout(WATCHED, worker.until_ready()).await;
        ensure!(nothing.is_err(), "the worker is ready with nothing to work on");
        for service in [&routes, &capture] {
            let lines = lines_about(service, &of_postgres)?;
            ensure!(lines.len() == 1, "{lines:#?}");
        }
        // When the database is there
        postgres.start_again().await?;
        // Then all go to work
        for service in [&mut routes, &mut capture, &mut worker] {
            service.until_ready().await?;
        }
        Ok(())
    })
}
