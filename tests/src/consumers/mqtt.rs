//! Subscribes at an MQTT 5 broker: `CloudEvents` in structured content mode
//! (CloudEvents MQTT protocol binding 1.0.2, section 3.3).

use anyhow::{Context as _, Result, ensure};
use rumqttc_v5::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SessionMode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{CONNECT_DEADLINE, Consumer, Inbox, PAUSE_AFTER_ERROR, Received, Sink, deliver};

/// The media type of a `CloudEvent` as JSON.
const CONTENT_TYPE: &str = "application/cloudevents+json";

/// How long the broker may leave the connection silent.
const KEEP_ALIVE_S: u16 = 10;

/// How many messages may be on their way to us without acknowledgement.
const RECEIVE_MAXIMUM: u16 = 1_000;

/// Subscribes to `filter` with QoS 1 and a session that outlives the connection, so that nothing
/// is missed while it is cut. The subscription stands when this returns.
///
/// # Errors
/// When the broker does not answer in time.
pub async fn consume(host: &str, port: u16, filter: &str) -> Result<Consumer> {
    let client_id = format!("twinroute-tests-{}", uuid::Uuid::new_v4());
    let mut options = MqttOptions::new(client_id, (host, port));
    options
        .set_keep_alive(KEEP_ALIVE_S)
        .set_session_mode(SessionMode::Persistent)
        .set_receive_maximum(Some(RECEIVE_MAXIMUM))
        .set_unlimited_incoming_packet_size();
    let (client, events) = AsyncClient::builder(options).capacity(10).build();
    let (subscribed, mut until_subscribed) = watch::channel(false);
    let inbox = Inbox::default();
    let work = receive(client, events, filter.to_owned(), inbox.clone(), subscribed);
    let consumer = Consumer::run(&inbox, work);
    tokio::time::timeout(CONNECT_DEADLINE, until_subscribed.wait_for(|done| *done))
        .await
        .with_context(|| format!("the MQTT broker on port {port} does not answer"))?
        .context("the MQTT client ended")?;
    Ok(consumer)
}

async fn receive(
    client: AsyncClient,
    mut events: EventLoop,
    filter: String,
    inbox: Inbox,
    subscribed: watch::Sender<bool>,
) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(accepted))) if !accepted.session_present => {
                // Also when the broker has lost our session: in a crash it may.
                if let Err(e) = client.try_subscribe(filter.as_str(), QoS::AtLeastOnce) {
                    inbox.fault(format!("cannot subscribe: {e}"));
                }
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                subscribed.send_replace(true);
            }
            Ok(Event::Incoming(Packet::Publish(message))) => deliver(&inbox, read(&message)),
            Ok(_) => {}
            // The next poll connects again.
            Err(_) => tokio::time::sleep(PAUSE_AFTER_ERROR).await,
        }
    }
}

/// A `CloudEvent` in the JSON event format.
#[derive(Deserialize)]
struct CloudEvent {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    type_: String,
    subject: String,
    time: jiff::Timestamp,
    datacontenttype: String,
    sequence: String,
    partitionkey: String,
    data: Box<RawValue>,
}

fn read(message: &Publish) -> Result<Received> {
    let received_at = jiff::Timestamp::now();
    let properties = message.properties.as_ref();
    let content_type = properties.and_then(|p| p.content_type.as_deref());
    ensure!(content_type == Some(CONTENT_TYPE), "content type is {content_type:?} instead of {CONTENT_TYPE}");
    let event: CloudEvent = serde_json::from_slice(&message.payload).with_context(|| {
        let text = String::from_utf8_lossy(&message.payload);
        format!("not a CloudEvent: {text}")
    })?;
    ensure!(event.specversion == "1.0", "specversion is {}", event.specversion);
    ensure!(event.datacontenttype == "application/json", "datacontenttype is {}", event.datacontenttype);
    let format = properties.and_then(|p| p.payload_format_indicator).unwrap_or_default();
    let payload = str::from_utf8(&message.payload)?;
    let wire = format!("content-type: {CONTENT_TYPE}\npayload-format-indicator: {format}\n\n{payload}");
    Ok(Received {
        sink: Sink::Mqtt,
        id: event.id,
        source: event.source,
        type_: event.type_,
        subject: event.subject,
        key: event.partitionkey,
        sequence: event.sequence,
        time: event.time,
        data: event.data,
        wire: wire.into(),
        received_at,
    })
}
