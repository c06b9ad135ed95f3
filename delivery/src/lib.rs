//! The delivery worker: takes changes from capture, and delivers them as CloudEvents to where routes say.
//!
//! The modules stand in the order in which an event goes through them.

pub mod config;
pub mod worker;
pub mod pressure;

pub mod routes;
pub mod routing;

pub mod stream;
pub mod holdings;
pub mod dispatch;
pub mod delivery;
pub mod space;
pub mod endpoint;
pub mod backlog;
pub mod sink;
pub mod letter_box;
pub mod redrive;
pub mod settlement;
mod retry;

pub mod metrics;

#[cfg(test)]
mod test_scene;
