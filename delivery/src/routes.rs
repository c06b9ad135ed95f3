//! The route table: watched at routes-api, kept for times without it, and put in force.

pub mod cache;
mod client;
mod error;
mod registry;
mod status;

pub use client::{RoutesContext, run};
pub use error::RoutesError;
pub use registry::Registry;
