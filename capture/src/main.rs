//! The capture service.

use std::process::ExitCode;

use twinroute_common::service::{self, Service};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let service = Service {
        name: "capture",
        about: "Streams the committed changes of digital twins from PostgreSQL to consumers over gRPC",
        version: env!("CARGO_PKG_VERSION"),
    };
    service::main(&service, twinroute_capture::run)
}
