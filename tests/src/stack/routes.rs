//! The default endpoints and routes, made through gRPC as any user would.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tonic::transport::Channel;
use twinroute_proto::routes::v1::{
    CreateEndpointRequest, CreateEventRouteRequest, Endpoint, EventFormat, EventRoute, GetEventRouteRequest,
    KafkaOptions, KustoOptions, MqttOptions, endpoint::Destination,
    routes_service_client::RoutesServiceClient,
};

use super::{KAFKA_TOPIC, KUSTO_DATABASE, MQTT_TOPIC, Stack};
use crate::wait;

/// How long a change may take until every worker has applied it.
const APPLIED_DEADLINE: Duration = Duration::from_secs(20);

/// Route, endpoint and format of the default routes.
const ROUTES: [(&str, &str, EventFormat); 3] = [
    ("kafka-events", "kafka", EventFormat::EventNotification),
    ("mqtt-events", "mqtt", EventFormat::EventNotification),
    ("kusto-history", "kusto", EventFormat::DataHistory),
];

/// A client of the stack's routes-api.
///
/// # Errors
/// When it cannot be reached.
pub async fn client(stack: &Stack) -> Result<RoutesServiceClient<Channel>> {
    let address = format!("http://{}", stack.routes_api.grpc());
    RoutesServiceClient::connect(address).await.context("cannot reach routes-api")
}

/// Creates one endpoint and one route per sink, with filter `true`.
///
/// # Errors
/// When routes-api refuses one.
pub async fn create_default(stack: &Stack) -> Result<()> {
    let mut client = client(stack).await?;
    let servers = &stack.servers;
    let destinations = [
        Destination::Kafka(KafkaOptions {
            brokers: vec![servers.kafka.brokers()],
            topic: KAFKA_TOPIC.to_owned(),
            ..KafkaOptions::default()
        }),
        Destination::Mqtt(MqttOptions {
            broker: "127.0.0.1".to_owned(),
            port: servers.mosquitto.port().into(),
            topic: MQTT_TOPIC.to_owned(),
            ..MqttOptions::default()
        }),
        Destination::Kusto(KustoOptions {
            ingestion_uri: servers.kusto.uri(),
            database: KUSTO_DATABASE.to_owned(),
            ..KustoOptions::default()
        }),
    ];
    for ((route, endpoint, format), destination) in ROUTES.into_iter().zip(destinations) {
        let endpoint =
            Endpoint { name: endpoint.to_owned(), destination: Some(destination), ..Endpoint::default() };
        let route = EventRoute {
            name: route.to_owned(),
            endpoint_name: endpoint.name.clone(),
            filter: "true".to_owned(),
            event_format: format.into(),
            ..EventRoute::default()
        };
        client.create_endpoint(CreateEndpointRequest { endpoint: Some(endpoint) }).await?;
        client.create_event_route(CreateEventRouteRequest { event_route: Some(route) }).await?;
    }
    Ok(())
}

/// Makes an endpoint, and a route of the same name by which it gets everything.
///
/// # Errors
/// When routes-api refuses one.
pub async fn add(client: &mut RoutesServiceClient<Channel>, endpoint: Endpoint) -> Result<()> {
    let route = everything(&endpoint.name);
    client.create_endpoint(CreateEndpointRequest { endpoint: Some(endpoint) }).await?;
    client.create_event_route(CreateEventRouteRequest { event_route: Some(route) }).await?;
    Ok(())
}

/// The route by which an endpoint gets everything; they have one name.
#[must_use]
pub fn everything(endpoint: &str) -> EventRoute {
    EventRoute {
        name: endpoint.to_owned(),
        endpoint_name: endpoint.to_owned(),
        filter: "true".to_owned(),
        ..EventRoute::default()
    }
}

/// Waits until every worker has applied every default route.
///
/// # Errors
/// When they do not in time.
pub async fn until_applied(stack: &Stack) -> Result<()> {
    for (name, _, _) in ROUTES {
        until_in_force(stack, name).await?;
    }
    Ok(())
}

/// Waits until every worker has applied a route as it is now.
///
/// # Errors
/// When they do not in time.
pub async fn until_in_force(stack: &Stack, name: &str) -> Result<()> {
    until_applied_by(u32::try_from(stack.workers.len())?, client(stack).await?, name).await
}

/// Waits until so many workers have applied a route as it is now.
///
/// # Errors
/// When they do not in time.
pub async fn until_applied_by(workers: u32, client: RoutesServiceClient<Channel>, name: &str) -> Result<()> {
    wait::until(APPLIED_DEADLINE, "the routes to be in force", async || {
        let request = GetEventRouteRequest { name: name.to_owned() };
        let route = client.clone().get_event_route(request).await?.into_inner().event_route;
        let state = route.and_then(|route| route.state).unwrap_or_default();
        ensure!(state.last_error.is_empty(), "{name}: {}", state.last_error);
        ensure!(state.workers_applied >= workers, "{name}: {} workers", state.workers_applied);
        Ok(())
    })
    .await
}
