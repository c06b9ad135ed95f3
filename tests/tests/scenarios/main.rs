//! Scenarios of the whole event router on real servers: what is promised, seen from outside.
//!
//! Themes that only look share one stack (`plain`); those that break things have stacks of their
//! own. Heavy ones run one at a time.

mod scene;

mod exact;
mod plain;

mod backlog_store;
mod holders;
mod judgement;
mod load;
mod side;
mod steady;
mod unsettled;

mod raw;
mod source;
mod crowd;
mod undelivered;
mod letters;
mod raw_worker;
mod stranded;

mod administration;
mod alone;
mod decision;

mod ordeal;
mod recorder;
mod slot_watch;
mod writer;

mod labels;
mod privileges;
mod publication;
mod models;
mod refusing;
mod relationships;
mod transactions;
mod twins;

mod blocked;
mod bound;
mod capture_kills;
mod changes;
mod crowds;
mod dead_letters;
mod forgotten;
mod full_catalog;
mod full_disk;
mod gaps;
mod group;
mod handover;
mod kept_table;
mod kills;
mod lost_slot;
mod outage;
mod parked;
mod phases;
mod rebalance;
mod redrive;
mod redrive_jobs;
mod scaling;
mod server_faults;
mod shortage;
mod slow_answers;
mod stopping;
mod stores;
mod topic;
mod worker_kills;
mod worker_memory;
mod zombie;

mod authority;
mod secured;
mod hosts;
mod tls;

mod configuration;
mod consumers;
mod ddl;
mod failover;
mod filters;
mod frames;
mod idle;
mod large;
mod live;
mod memory;
mod readme;
mod routes;
mod start;
mod status;
mod stranger;
mod stream;
mod subscriptions;
mod takeover;
mod versions;
