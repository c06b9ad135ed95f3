//! Everything together: the servers, the three services, and the routes between them.

pub mod down;
pub mod environment;
pub mod routes;

use std::{path::Path, time::Instant};

use anyhow::Result;
use serde_json::json;

use crate::{
    servers::{azurite::Azurite, kafka::Kafka, kusto::Kusto, mosquitto::Mosquitto, postgres::Postgres},
    services::{Program, Service},
    twins::Graph,
};

/// Name of the graph.
pub const GRAPH: &str = "digitaltwins";
/// Kafka topic of the events.
pub const KAFKA_TOPIC: &str = "digital-twins";
/// MQTT topic of the events.
pub const MQTT_TOPIC: &str = "digital-twins/events";
/// Kusto database of the history.
pub const KUSTO_DATABASE: &str = "twins";
/// CloudEvents `source` of the instance.
pub const SOURCE: &str = "https://graph.example.com/";
/// The database that holds the twins and the routes.
const DATABASE: &str = "postgres";
/// Sooner than by default: the stand-in ingests at once, and is waited for.
const KUSTO_BLOB_AGE_MS: u64 = 1_000;

/// The servers.
#[derive(Debug)]
pub struct Servers {
    /// PostgreSQL with AGE.
    pub postgres: Postgres,
    /// Apache Kafka.
    pub kafka: Kafka,
    /// The MQTT broker.
    pub mosquitto: Mosquitto,
    /// Blob and queue storage.
    pub azurite: Azurite,
    /// The Kusto stand-in.
    pub kusto: Kusto,
}

/// The servers and the services.
#[derive(Debug)]
pub struct Stack {
    /// The servers.
    pub servers: Servers,
    /// The capture service.
    pub capture: Service,
    /// The control plane.
    pub routes_api: Service,
    /// The delivery workers.
    pub workers: Vec<Service>,
    dir: std::path::PathBuf,
    workers_started: usize,
}

/// Says what is done, with the seconds since the start.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    start: Instant,
    told: bool,
}

impl Steps {
    /// Steps that are printed.
    #[must_use]
    pub fn told() -> Self {
        Self { start: Instant::now(), told: true }
    }

    /// Steps that nobody reads.
    #[must_use]
    pub fn silent() -> Self {
        Self { start: Instant::now(), told: false }
    }

    /// A step is done.
    #[expect(clippy::print_stdout, reason = "progress is the output of the commands")]
    pub fn done(&self, what: &str) {
        if self.told {
            println!("[{:6.1} s] {what}", self.start.elapsed().as_secs_f64());
        }
    }
}

impl Servers {
    /// Starts all of them with their data in `dir`.
    ///
    /// # Errors
    /// When one is not installed or does not start.
    pub async fn start(dir: &Path, steps: &Steps) -> Result<Self> {
        let (postgres_dir, kafka_dir) = (dir.join("postgres"), dir.join("kafka"));
        let (mosquitto_dir, azurite_dir) = (dir.join("mosquitto"), dir.join("azurite"));
        let (postgres, kafka, mosquitto, azurite) = tokio::try_join!(
            said(steps, "PostgreSQL 17 with AGE is up", Postgres::start(&postgres_dir)),
            said(steps, "Apache Kafka is up", Kafka::start(&kafka_dir)),
            said(steps, "Mosquitto is up", Mosquitto::start(&mosquitto_dir)),
            said(steps, "Azurite (blobs and queues) is up", Azurite::start(&azurite_dir)),
        )?;
        let kusto_dir = dir.join("kusto");
        let kusto = said(steps, "the Kusto stand-in is up", Kusto::start(&kusto_dir, &azurite)).await?;
        Ok(Self { postgres, kafka, mosquitto, azurite, kusto })
    }

    /// The URL of the database that holds the twins, as its superuser.
    #[must_use]
    pub fn database(&self) -> String {
        self.postgres.url(DATABASE)
    }
}

async fn said<T>(steps: &Steps, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = work.await?;
    steps.done(what);
    Ok(done)
}

impl Stack {
    /// Starts everything with data and logs in `dir`, and waits until all is ready and the routes are in force.
    ///
    /// # Errors
    /// When a server or a service does not start.
    pub async fn start(dir: &Path, workers: usize, steps: &Steps) -> Result<Self> {
        let servers = Servers::start(dir, steps).await?;
        Graph::create(&servers.database(), GRAPH).await?;
        steps.done(&format!("the graph {GRAPH} is made"));
        let capture = Service::start(Program::Capture, "capture", capture_settings(&servers), dir)?;
        let settings = json!({ "postgres": { "url": servers.database() }, "trial": { "source": SOURCE } });
        let routes_api = Service::start(Program::RoutesApi, "routes-api", settings, dir)?;
        let mut stack = Self {
            servers,
            capture,
            routes_api,
            workers: Vec::new(),
            dir: dir.to_owned(),
            workers_started: 0,
        };
        stack.capture.until_ready().await?;
        stack.routes_api.until_ready().await?;
        steps.done("capture and routes-api are ready");
        for _ in 0..workers {
            stack.add_worker()?;
        }
        for worker in &mut stack.workers {
            worker.until_ready().await?;
        }
        steps.done(&format!("{workers} delivery workers are ready"));
        routes::create_default(&stack).await?;
        routes::until_applied(&stack).await?;
        steps.done("the routes to Kafka, MQTT and Kusto are in force");
        Ok(stack)
    }

    /// Starts one more worker; it need not be ready yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn add_worker(&mut self) -> Result<()> {
        let (name, settings) = self.next_worker();
        self.workers.push(Service::start(Program::Delivery, &name, settings, &self.dir)?);
        Ok(())
    }

    /// Starts a worker that the caller keeps, with its backlog on a disk of so many bytes that is its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_worker_on_small_disk(&mut self, bytes: u64) -> Result<Service> {
        let (name, settings) = self.next_worker();
        Service::start_on_small_disk(&name, settings, &self.dir, bytes)
    }

    fn next_worker(&mut self) -> (String, serde_json::Value) {
        self.workers_started += 1;
        let name = format!("delivery-{}", self.workers_started);
        let settings = json!({
            "worker": { "id": name, "source": SOURCE },
            "capture": { "addresses": format!("http://{}", self.capture.grpc()) },
            "routes_api": { "addresses": format!("http://{}", self.routes_api.grpc()) },
            "sink": { "kusto": { "blob_age_ms": KUSTO_BLOB_AGE_MS } },
        });
        (name, settings)
    }

    /// Asks the services to drain and waits for their end. Capture first: it has the workers settle all that it has read,
    /// to the end of a transaction. Workers that leave first would leave it with parts of one, to be sent again.
    ///
    /// # Errors
    /// When one does not end in time, or not with 0.
    pub async fn drain(&mut self) -> Result<()> {
        let services =
            std::iter::once(&mut self.capture).chain(&mut self.workers).chain([&mut self.routes_api]);
        for service in services {
            let ended = service.terminate().await?;
            anyhow::ensure!(ended.success(), "{} ended with {ended}", service.log().display());
        }
        Ok(())
    }
}

fn capture_settings(servers: &Servers) -> serde_json::Value {
    json!({ "postgres": { "url": servers.database() }, "source": { "graphs": [GRAPH] } })
}
