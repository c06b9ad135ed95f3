//! routes-api with the largest catalog that it takes.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use serde_json::json;
use tonic::Code;
use twinroute_proto::routes::v1::{
    CreateEndpointRequest, CreateEventRouteRequest, Endpoint, EventRoute, KafkaOptions,
    endpoint::Destination, routes_service_client::RoutesServiceClient,
};
use twinroute_tests::services::{Program, Service};

use crate::{
    memory::{MEMORY_MAX_MIB, peak_mib},
    raw_worker::RawWorker,
    source::source,
};

/// `limits.endpoints_max` and `limits.event_routes_max` by default.
const ENDPOINTS: usize = 200;
const ROUTES: usize = 500;

/// Characters of the longest filter.
const FILTER_CHARACTERS: usize = 4_096;

/// Workers that follow the table.
const WORKERS: usize = 20;

#[test]
fn the_largest_catalog_and_twenty_workers_fit_into_memory() -> Result<()> {
    source("full_catalog", json!({}), async |source| {
        // Given as many endpoints and routes as there may be, with the longest filters
        let settings = json!({ "postgres": { "url": source.url() } });
        let mut service = Service::start(Program::RoutesApi, "routes-api", settings, source.dir())?;
        service.until_ready().await?;
        let mut client = RoutesServiceClient::connect(format!("http://{}", service.grpc())).await?;
        for at in 0..ENDPOINTS {
            let kafka = KafkaOptions {
                brokers: vec!["127.0.0.1:9".to_owned()],
                topic: "t".to_owned(),
                ..KafkaOptions::default()
            };
            let destination = Some(Destination::Kafka(kafka));
            let endpoint = Endpoint { name: format!("endpoint-{at}"), destination, ..Endpoint::default() };
            client.create_endpoint(CreateEndpointRequest { endpoint: Some(endpoint) }).await?;
        }
        for at in 0..ROUTES {
            client.create_event_route(CreateEventRouteRequest { event_route: Some(route(at)) }).await?;
        }
        let refused = client.create_event_route(CreateEventRouteRequest { event_route: Some(route(ROUTES)) });
        ensure!(refused.await.is_err_and(|status| status.code() == Code::ResourceExhausted), "one more");
        // When workers take the table
        let connecting = (0..WORKERS).map(|at| {
            let (service, name) = (&service, format!("worker-{at}"));
            async move { RawWorker::connect(service, &name).await }
        });
        let workers = try_join_all(connecting).await?;
        // Then it has stayed under the limit of the others
        let peak = peak_mib(&mut service)?;
        println!("routes-api has held {peak:.0} MiB, with {} workers", workers.len());
        assert!(peak < MEMORY_MAX_MIB, "routes-api has held {peak:.0} MiB");
        Ok(())
    })
}

fn route(at: usize) -> EventRoute {
    let begin = "$new.name = '";
    let text = "x".repeat(FILTER_CHARACTERS - begin.len() - 1);
    EventRoute {
        name: format!("route-{at}"),
        endpoint_name: format!("endpoint-{}", at % ENDPOINTS),
        filter: format!("{begin}{text}'"),
        ..EventRoute::default()
    }
}
