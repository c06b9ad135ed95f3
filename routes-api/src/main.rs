//! The `routes-api` binary.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;
use twinroute_common::service::{self, Service};
use twinroute_routes_api::run;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    const SERVICE: Service = Service {
        name: "routes-api",
        about: "Keeps the endpoints and event routes of the event router, and carries them to the workers",
        version: env!("CARGO_PKG_VERSION"),
    };
    service::main(&SERVICE, run::run)
}
