//! routes-api: keeps endpoints and event routes, and carries them to the delivery workers.

pub mod settings;

pub mod bootstrap;
pub mod catalog;
pub mod decide;
pub mod refusal;
pub mod redrive;
pub mod seal;
pub mod store;

pub mod watch;
pub mod workers;

pub mod letters;
pub mod page;
pub mod service;
pub mod show;
pub mod trial;

pub mod metrics;
pub mod run;
