//! Kafka and Event Hubs: CloudEvents in binary content mode, one record each, from an idempotent producer.
//!
//! The order of a key holds through failures because librdkafka is told to stop at the first batch that a broker does not
//! take (`enable.gapless.guarantee`): nothing behind it is written. Then every event that is open is answered, and a new
//! producer takes over.

mod answer;
mod connection_string;
mod generation;
mod login;
mod readiness;
mod record;
mod reports;
mod run;
mod settings;

use twinroute_common::route::KafkaOptions;

use super::{InFlight, Sink, SinkContext, SinkError, port};
pub use record::record;
use run::Target;

/// Starts a sink that writes to a topic; `name` is the endpoint's.
///
/// # Errors
/// When the options name a secret that cannot be resolved, or an identity that may not be used. Brokers that cannot be
/// reached are no error; [`Sink::reachability`] tells.
pub fn start(name: &str, options: &KafkaOptions, context: SinkContext) -> Result<Sink, SinkError> {
    let events_max = context.limits.kafka.queue_events_max;
    let target = Target::new(name, options.clone(), context)?;
    let in_flight = InFlight { events_max, events_per_key_max: events_max };
    Ok(port::spawn(in_flight, |port| run::run(port, target)))
}

#[cfg(test)]
mod tests;
