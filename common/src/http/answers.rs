//! What each path of the HTTP listener answers.

use std::sync::PoisonError;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;

use super::SharedRegistry;
use crate::health::Health;

/// Media type of the OpenMetrics text format 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn router(health: Health, registry: SharedRegistry) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(health)
        .merge(Router::new().route("/metrics", get(metrics)).with_state(registry))
}

async fn livez(State(health): State<Health>) -> Response {
    match health.liveness().silent_for() {
        None => (StatusCode::OK, "live\n").into_response(),
        Some(silent) => {
            let text = format!("main loop: no sign of life for {} s\n", silent.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn readyz(State(health): State<Health>) -> Response {
    let readiness = health.readiness().borrow().clone();
    if readiness.is_ready() {
        return (StatusCode::OK, "ready\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, readiness.to_string()).into_response()
}

async fn metrics(State(registry): State<SharedRegistry>) -> Response {
    let mut text = String::new();
    // A part that panicked while it registered a metric must not hide those of the others.
    let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
