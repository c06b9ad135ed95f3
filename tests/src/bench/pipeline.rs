//! Capture and one delivery worker that work off a copy of the backlog, as routes of their own tell.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::{Run, Source, capture};
use crate::services::{Program, Service};
use crate::stack::SOURCE;
use crate::usage::{self, Usage};

/// Services at work.
#[derive(Debug)]
pub(super) struct Pipeline {
    subscription: String,
    started: Instant,
    capture: Service,
    delivery: Service,
    routes_api: Service,
}

impl Pipeline {
    /// Starts capture and the worker. `routes_api` has the routes.
    pub(super) async fn start(source: &Source<'_>, subscription: &str, routes_api: Service) -> Result<Self> {
        // Capture's ports are known once it is started, and the time runs from then on.
        let started = Instant::now();
        let capture = capture::start(source, subscription).await?;
        let settings = json!({
            "worker": { "id": subscription, "source": SOURCE },
            "capture": { "addresses": format!("http://{}", capture.grpc()) },
            "stream": { "subscription": subscription },
            "routes_api": { "addresses": format!("http://{}", routes_api.grpc()) },
        });
        let name = format!("delivery-{subscription}");
        let delivery = Service::start(Program::Delivery, &name, settings, source.dir)?;
        Ok(Self { subscription: subscription.to_owned(), started, capture, delivery, routes_api })
    }

    /// What it took from the start until now.
    pub(super) fn taken(&mut self, name: &'static str) -> Result<Run> {
        let seconds = self.started.elapsed().as_secs_f64();
        let (captured, delivered) = (usage::of(self.capture.process().pid())?, self.delivered()?);
        Ok(Run {
            name,
            seconds,
            cpu_s: vec![("capture", captured.cpu_s), ("delivery", delivered.cpu_s)],
            peak_rss_mib: vec![("capture", captured.peak_rss_mib), ("delivery", delivered.peak_rss_mib)],
        })
    }

    /// What the worker has used.
    pub(super) fn delivered(&mut self) -> Result<Usage> {
        usage::of(self.delivery.process().pid())
    }

    /// Ends the services, and the slot.
    pub(super) async fn end(mut self, source: &Source<'_>) -> Result<()> {
        for service in [&mut self.delivery, &mut self.capture, &mut self.routes_api] {
            service.terminate().await?;
        }
        source.workload.drop_slot(&format!("twinroute_{}", self.subscription)).await
    }
}
