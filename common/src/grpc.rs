//! gRPC at both ends: a server with health and reflection, and a client that tries several addresses.

mod client;
mod server;

pub use client::{ClientSettings, ConnectError, connect};
pub use server::{GrpcServer, ServeError, ServerSettings};

#[cfg(test)]
mod tests;
