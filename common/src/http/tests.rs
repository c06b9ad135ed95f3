//! The listener as a prober sees it: bytes over a socket.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

struct Probe {
    address: SocketAddr,
    health: Health,
    registry: SharedRegistry,
}

async fn start(settings: HttpSettings) -> Probe {
    let server = HttpServer::bind(&settings).await.unwrap();
    let probe = Probe {
        address: server.address(),
        health: Health::new(Duration::from_secs(10)),
        registry: SharedRegistry::default(),
    };
    tokio::spawn(server.serve(probe.health.clone(), Arc::clone(&probe.registry)));
    probe
}

impl Probe {
    /// Status line and body.
    async fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }
}

#[tokio::test]
async fn readyz_gives_the_reasons_until_every_condition_holds() {
    let probe = start(HttpSettings::default()).await;
    let database = probe.health.condition("database");
    database.failing("connection refused");
    let (status, body) = probe.get("/readyz").await;
    assert_eq!(
        (status.as_str(), body.as_str()),
        ("HTTP/1.1 503 Service Unavailable", "database: connection refused\n")
    );
    assert_eq!(probe.get("/livez").await.0, "HTTP/1.1 200 OK");
    database.ok();
    assert_eq!(probe.get("/readyz").await, ("HTTP/1.1 200 OK".to_owned(), "ready\n".to_owned()));
}

#[tokio::test]
async fn metrics_are_open_metrics_text() {
    let probe = start(HttpSettings::default()).await;
    let events = Counter::<u64>::default();
    events.inc_by(3);
    probe.registry.lock().unwrap().register("twinroute_events", "Events", events);
    let (status, body) = probe.get("/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.contains("twinroute_events_total 3\n") && body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn silent_clients_are_cut_off_and_do_not_keep_others_out() {
    let settings = HttpSettings { connections_max: 2, request_timeout_ms: 200, ..HttpSettings::default() };
    let probe = start(settings).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(probe.address).await.unwrap());
    }
    let answered = tokio::time::timeout(Duration::from_secs(10), probe.get("/livez")).await.unwrap();
    assert_eq!(answered.0, "HTTP/1.1 200 OK");
}
