//! What at least two services of the event router need, in the order the data flows.

pub mod config;
pub mod secret;

pub mod causes;
mod spelling;
pub mod telemetry;
pub mod health;
pub mod listen;
pub mod http;
pub mod service;

pub mod memory;
pub mod backoff;
pub mod outage;
pub mod grpc;

pub mod lsn;
pub mod partition;
pub mod position;

pub mod event;
pub mod wire;

pub mod cloud_event;
pub mod format;
pub mod json;
pub mod render;

pub mod filter;
pub mod matching;
pub mod route;

pub mod object_container;
pub mod dead_letter;
