//! Streams the committed changes of digital twins from a replication slot, in the order the data flows.

pub mod config;
pub mod metrics;
pub mod state;

pub mod forecast;
pub mod gap;
pub mod graphs;
pub mod retention;
pub mod selection;

pub mod catalog;
pub mod pipeline;
pub mod postgres;
pub mod replication;
pub mod unpublished;

pub mod decode;
pub mod hub;
pub mod subscription;

pub mod live;
pub mod pressure;

pub mod service;
pub mod wire;

mod clock;
mod run;

pub use run::{RunError, run};
