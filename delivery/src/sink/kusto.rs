//! Azure Data Explorer: data history as rows of three tables, by queued ingestion.
//!
//! Rows are gathered in blobs, which are uploaded to Kusto's own temporary storage and announced in its queue. An event
//! counts as delivered when the queue has the message of its blob. Blobs are shipped one after the other, so that none
//! overtakes one that failed. Each is kept in the store of the parked backlog before it is sent: one that may have arrived
//! is sent again as it was, under the same tag, by which Kusto takes it once.

mod blob;
mod connection;
mod failure;
mod journal;
mod kept;
mod ledger;
mod management;
mod message;
mod row;
mod run;
mod shipment;
mod tables;

use std::sync::Arc;

use twinroute_common::route::KustoOptions;

use super::{InFlight, Sink, SinkContext, SinkError, port};
use connection::Connection;
pub use journal::Journal;
pub use row::push_row;
use shipment::Shipper;
pub use tables::Table;

/// Starts a sink that ingests into a database; `name` is the endpoint's. Without a journal no blob is kept, and after a
/// failure its events are sent in another one.
///
/// # Errors
/// When the ingestion URI is no URL, a secret cannot be resolved, or an identity may not be used there. A cluster that
/// cannot be reached is no error; [`Sink::reachability`] tells.
pub fn start(
    name: &str,
    options: &KustoOptions,
    context: SinkContext,
    journal: Option<Journal>,
) -> Result<Sink, SinkError> {
    let limits = context.limits.kusto.clone();
    let events_max = limits.in_flight_events_max;
    let connection = Arc::new(Connection::new(name, options.clone(), &context)?);
    let in_flight = InFlight { events_max, events_per_key_max: events_max };
    Ok(port::spawn(in_flight, |port| run::run(port, Shipper { connection, journal }, limits)))
}

#[cfg(test)]
mod tests;
