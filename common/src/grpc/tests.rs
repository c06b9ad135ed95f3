//! A server and a client of ours over a socket.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::health::Health;

const DEADLINE: Duration = Duration::from_secs(10);

async fn start(
    health: &Health,
    shutdown: &CancellationToken,
) -> (SocketAddr, JoinHandle<Result<(), ServeError>>) {
    let server = GrpcServer::bind("grpc.listen", &ServerSettings::default()).await.unwrap();
    let address = server.address();
    (address, tokio::spawn(server.serve(health.clone(), shutdown.clone())))
}

#[tokio::test]
async fn grpc_health_follows_readiness() {
    let health = Health::new(DEADLINE);
    let database = health.condition("database");
    let shutdown = CancellationToken::new();
    let (address, _) = start(&health, &shutdown).await;
    let mut client = HealthClient::new(connect(&ClientSettings::to(&address.to_string())).await.unwrap());
    let watched = client.watch(HealthCheckRequest { service: String::new() }).await.unwrap();
    let mut statuses = watched.into_inner();
    let mut until = async |wanted: ServingStatus| {
        while statuses.message().await.unwrap().unwrap().status() != wanted {}
    };
    tokio::time::timeout(DEADLINE, async {
        until(ServingStatus::NotServing).await;
        database.ok();
        until(ServingStatus::Serving).await;
        database.failing("gone");
        until(ServingStatus::NotServing).await;
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_first_address_that_answers_is_taken() {
    let health = Health::new(DEADLINE);
    let (address, _) = start(&health, &CancellationToken::new()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = ClientSettings::to(&format!("http://{closed}, {address}"));
    assert!(connect(&settings).await.is_ok());
}

#[tokio::test]
async fn when_none_answers_each_is_named_with_its_reason() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = connect(&ClientSettings::to(&format!("{closed},{closed}"))).await.unwrap_err().to_string();
    assert_eq!(error.matches(&closed.to_string()).count(), 2, "{error}");
    assert!(error.contains("refused"), "{error}");
    assert_eq!(
        connect(&ClientSettings::default()).await.unwrap_err().to_string(),
        "no address is configured"
    );
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = ClientSettings {
        connect_timeout_ms: 200,
        keepalive_interval_ms: 200,
        keepalive_timeout_ms: 200,
        ..ClientSettings::to(&silent.local_addr().unwrap().to_string())
    };
    let attempt = async {
        let channel = connect(&settings).await.map_err(|error| error.to_string())?;
        let check = HealthCheckRequest { service: String::new() };
        HealthClient::new(channel).check(check).await.map_err(|error| error.to_string())
    };
    assert!(tokio::time::timeout(DEADLINE, attempt).await.unwrap().is_err());
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_lets_health_watchers_go() {
    let (health, shutdown) = (Health::new(DEADLINE), CancellationToken::new());
    health.condition("database").ok();
    let (address, served) = start(&health, &shutdown).await;
    let mut client = HealthClient::new(connect(&ClientSettings::to(&address.to_string())).await.unwrap());
    let watched = client.watch(HealthCheckRequest { service: String::new() }).await.unwrap();
    let mut statuses = watched.into_inner();
    statuses.message().await.unwrap();
    shutdown.cancel();
    let mut last = None;
    while let Some(status) = statuses.message().await.unwrap() {
        last = Some(status.status());
    }
    assert_eq!(last, Some(ServingStatus::NotServing));
    drop(client);
    tokio::time::timeout(DEADLINE, served).await.unwrap().unwrap().unwrap();
}
