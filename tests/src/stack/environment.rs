//! `.run/env`: where everything is, for tools of other people.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context as _, Result};

use super::{GRAPH, KAFKA_TOPIC, KUSTO_DATABASE, MQTT_TOPIC, Stack};
use crate::services::Service;

/// Lets everything run on, and writes where it is and as which processes into `file`, one `KEY=value` a line.
///
/// # Errors
/// When something has ended already, or the file cannot be written.
pub fn detach(stack: Stack, file: &Path) -> Result<String> {
    let mut text = String::new();
    let mut line = |key: &str, value: &dyn std::fmt::Display| writeln!(text, "{key}={value}");
    let http = |workers: &[Service]| workers.iter().map(Service::http).collect::<Vec<_>>().join(",");
    let servers = stack.servers;
    line("PG_URL", &servers.database())?;
    line("GRAPH", &GRAPH)?;
    line("KAFKA_BROKERS", &servers.kafka.brokers())?;
    line("KAFKA_TOPIC", &KAFKA_TOPIC)?;
    line("MQTT_HOST", &"127.0.0.1")?;
    line("MQTT_PORT", &servers.mosquitto.port())?;
    line("MQTT_TOPIC", &MQTT_TOPIC)?;
    line("KUSTO_INGEST_URI", &servers.kusto.uri())?;
    line("KUSTO_DATABASE", &KUSTO_DATABASE)?;
    line("CAPTURE_GRPC", &stack.capture.grpc())?;
    line("ROUTES_GRPC", &stack.routes_api.grpc())?;
    line("CAPTURE_HTTP", &stack.capture.http())?;
    line("ROUTES_HTTP", &stack.routes_api.http())?;
    line("DELIVERY_HTTP", &http(&stack.workers))?;
    line("CAPTURE_PID", &stack.capture.detach()?)?;
    let workers = stack.workers.into_iter().map(Service::detach).collect::<Result<Vec<_>>>()?;
    line("DELIVERY_PIDS", &workers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))?;
    line("ROUTES_PID", &stack.routes_api.detach()?)?;
    line("POSTGRES_PID", &servers.postgres.detach()?)?;
    line("KAFKA_PID", &servers.kafka.detach()?)?;
    line("MQTT_PID", &servers.mosquitto.detach()?)?;
    line("AZURITE_PID", &servers.azurite.detach()?)?;
    line("KUSTO_PID", &servers.kusto.detach()?)?;
    std::fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(text)
}
