//! gRPC at both ends: a server with health and reflection, and a client that tries several addresses.

mod client;
mod server;

pub use client::{ClientSettings, ConnectError, connect};
pub use server::{GrpcServer, ServeError, ServerSettings};

/// The largest HTTP/2 frame that either end takes, in bytes: a message of the usual size in one frame. The standard's
/// default, 16 KiB, costs CPU.
const FRAME_BYTES: u32 = 64 * 1024;

#[cfg(test)]
mod tests;
