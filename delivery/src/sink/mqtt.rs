//! MQTT: CloudEvents in structured content mode, one message each.
//!
//! One message per ordering key is in flight, since a broker may refuse one and accept the next. A connection that is lost
//! is thrown away with all its state: what was not acknowledged is answered, and nothing is sent again unasked.

mod bounds;
mod connect_310;
mod protocol;
mod reason;
mod run;
mod session;
mod settings;
mod tls;
mod topic;
mod v4;
mod v5;

use twinroute_common::route::{MqttOptions, MqttVersion};

use super::{InFlight, Sink, SinkContext, SinkError, port};
use settings::Settings;

/// Starts a sink that publishes to a broker; `name` is the endpoint's.
///
/// # Errors
/// When the topic is no topic, a secret cannot be resolved, or a certificate file cannot be read. A broker that cannot be
/// reached is no error; [`Sink::reachability`] tells.
pub fn start(name: &str, options: &MqttOptions, context: SinkContext) -> Result<Sink, SinkError> {
    let settings = Settings::new(name, options, &context)?;
    let events_max = usize::from(context.limits.mqtt.in_flight_events_max);
    let in_flight = InFlight { events_max, events_per_key_max: 1 };
    let version = options.version;
    Ok(port::spawn(in_flight, move |port| async move {
        match version {
            MqttVersion::V500 => run::run::<v5::V5>(port, settings).await,
            MqttVersion::V311 | MqttVersion::V310 => run::run::<v4::V4>(port, settings).await,
        }
    }))
}

#[cfg(test)]
mod tests;
