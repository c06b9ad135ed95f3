//! Scenarios of the whole event router on real servers: what is promised, seen from outside.
//!
//! Themes that only look share one stack (`plain`); those that break things have stacks of their
//! own. Heavy ones run one at a time.

mod scene;

mod exact;
mod plain;

mod load;

mod raw;
mod source;
mod crowd;

mod alone;
mod decision;

mod labels;
mod models;
mod relationships;
mod transactions;
mod twins;

mod blocked;
mod crowds;
mod forgotten;
mod gaps;
mod group;
mod handover;
mod kills;
mod lost_slot;
mod outage;
mod rebalance;
mod stopping;

mod authority;
mod secured;
mod hosts;
mod tls;

mod configuration;
mod consumers;
mod filters;
mod frames;
mod idle;
mod readme;
mod routes;
mod start;
mod stream;
mod takeover;
