//! The harness of the scenario tests and of the demo: real servers, real consumers, and the oracle
//! that compares what was committed with what arrived.
//!
//! In reading order: where things are, how to wait, processes and ports, the servers, what is
//! written to PostgreSQL, what arrives at the sinks, and the verdict.

pub mod checkout;
pub mod soak;
pub mod usage;
pub mod wait;

pub mod ports;
pub mod process;
pub mod proxy;

pub mod servers;
pub mod services;
pub mod stack;

pub mod kusto_stand_in;

pub mod twins;

pub mod consumers;

pub mod oracle;

pub mod bench;

pub mod demo;

pub mod fixtures;

pub mod fuzz;
