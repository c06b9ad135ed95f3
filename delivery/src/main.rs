//! The delivery worker's process.

use std::process::ExitCode;

use twinroute_common::service::{self, Service};
use twinroute_delivery::worker;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SERVICE: Service = Service {
    name: "delivery",
    about: "Delivers twin changes as CloudEvents to Kafka, MQTT and Azure Data Explorer",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    service::main(&SERVICE, worker::run)
}
