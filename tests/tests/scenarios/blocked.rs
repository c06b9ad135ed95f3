//! Events that cannot be delivered: they stay, and block what is behind them, visibly.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_proto::{
    capture::v1::{
        GetCaptureStatusRequest, SubscriptionStatus, capture_service_client::CaptureServiceClient,
    },
    routes::v1::GetEndpointRequest,
};
use twinroute_tests::{
    services::{Program, Service},
    stack::{KAFKA_TOPIC, SOURCE, routes},
    twins::{Twin, ledger},
    wait,
};

use crate::{load::load, scene::DEADLINE, source::source};

/// More than a Kafka broker takes by default.
const TOO_LARGE_BYTES: usize = 2_000_000;

#[test]
fn an_event_too_large_for_kafka_blocks_its_partition_until_the_topic_takes_it() -> Result<()> {
    load(async |load| {
        // Given a twin whose document is larger than the broker takes
        let mut graph = load.graph().await?;
        let change = graph.change().await?;
        let mark = change.mark("too-large").await?;
        let properties = json!({ ledger::MARKER: mark, "text": "x".repeat(TOO_LARGE_BYTES) });
        change.put_twin(&Twin::new("too-large", "dtmi:example:Room;1", properties)).await?;
        change.commit().await?;
        let written = load.stack.servers.postgres.wal_end().await?;
        // Then the endpoint says so, and the worker's log does
        let client = routes::client(&load.stack).await?;
        wait::until(DEADLINE, "the endpoint to tell", async || {
            let request = GetEndpointRequest { name: "kafka".to_owned() };
            let endpoint = client.clone().get_endpoint(request).await?.into_inner().endpoint;
            let state = endpoint.and_then(|endpoint| endpoint.state).context("no state")?;
            ensure!(state.backlog_events > 0 && !state.last_error.is_empty(), "{state:?}");
            Ok(())
        })
        .await?;
        let logs = load.stack.workers.iter().map(|worker| std::fs::read_to_string(worker.log()));
        let logs = logs.collect::<std::io::Result<String>>()?;
        let lines: Vec<_> = logs.lines().filter(|line| line.contains("refused for good")).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        // And events of other partitions arrive, and the slot moves on: what is blocked is parked
        load.create("beside", 500).await?;
        load.until_arrived("beside", 400).await?;
        load.until_confirmed(written).await?;
        // When the topic takes larger ones
        load.stack.servers.kafka.limit_records(KAFKA_TOPIC, 10_000_000).await?;
        // Then all arrives
        load.settles("too-large").await?;
        load.settles("beside").await?;
        Ok(())
    })
}

#[test]
fn a_row_that_cannot_be_read_blocks_its_partition_and_says_so() -> Result<()> {
    source("poison", json!({}), async |source| {
        // Given a worker without any route
        let settings = json!({ "postgres": { "url": source.url() } });
        let mut routes = Service::start(Program::RoutesApi, "routes-api", settings, source.dir())?;
        let settings = json!({
            "worker": { "source": SOURCE },
            "stream": { "subscription": source.subscription() },
            "capture": { "addresses": format!("http://{}", source.capture.grpc()) },
            "routes_api": { "addresses": format!("http://{}", routes.grpc()) },
        });
        let mut worker = Service::start(Program::Delivery, "delivery", settings, source.dir())?;
        routes.until_ready().await?;
        worker.until_ready().await?;
        // When a twin is nested deeper than can be read, and others are written
        let graph = source.graph().await?;
        let deep = "INSERT INTO digitaltwins.\"Twin\" (id, properties)
            SELECT ag_catalog._graphid(3, nextval('digitaltwins.\"Twin_id_seq\"')), ('{\"$dtId\": \"deep\", \"a\": '
                || repeat('[', 200) || repeat(']', 200) || '}')::ag_catalog.agtype";
        graph.client().batch_execute(deep).await?;
        let written = source.postgres.wal_end().await?;
        source.create("other", 200).await?;
        // Then one partition has un-acknowledged events, the poison first, and the others have none
        let capture = CaptureServiceClient::connect(format!("http://{}", source.capture.grpc())).await?;
        let status = wait::until(DEADLINE, "one partition to be left", async || {
            let answer = capture.clone().get_capture_status(GetCaptureStatusRequest {}).await?.into_inner();
            let status = answer.subscriptions.into_iter().next().context("no subscription")?;
            ensure!(status.poison_events == 1 && waiting(&status) == 1, "{status:?}");
            Ok(status)
        })
        .await?;
        assert!(status.oldest_unacked.is_some_and(|at| at.commit_lsn < written));
        assert_eq!(status.blockers.len(), 1, "{:?}", status.blockers);
        // And the worker says why, once, and is ready
        let log = std::fs::read_to_string(worker.log())?;
        let lines: Vec<_> = log.lines().filter(|line| line.contains("cannot be delivered")).collect();
        assert!(lines.len() == 1 && lines.iter().all(|line| line.contains("`deep`")), "{lines:#?}");
        let counted = |_, text: &str| text.lines().any(|line| line.ends_with("poisoned_partitions 1"));
        worker.until_page(DEADLINE, "/metrics", counted).await?;
        worker.until_page(DEADLINE, "/readyz", |status, _| status == 200).await?;
        // And the slot waits
        let confirmed = source.confirmed().await?;
        assert!(confirmed < written, "{confirmed:X} is beyond {written:X}");
        Ok(())
    })
}

/// Partitions with un-acknowledged events.
fn waiting(status: &SubscriptionStatus) -> usize {
    status.partitions.iter().filter(|partition| partition.unacked_events > 0).count()
}
