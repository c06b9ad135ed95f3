//! Options of MQTT endpoints on the wire.

use twinroute_proto::routes::v1 as proto;

use super::{non_empty, secret};
use crate::route::mqtt::{MqttLogin, MqttOptions, MqttQos, MqttTls, MqttVersion};
use crate::route::violation::Reading;

/// Placeholders that a topic may hold.
const PLACEHOLDERS: [&str; 3] = ["subject", "type", "twinId"];

pub(super) fn read(reading: &mut Reading, options: proto::MqttOptions) -> Option<MqttOptions> {
    let broker = broker(reading, options.broker);
    let port = port(reading, options.port, options.tls);
    topic(reading, &options.topic);
    let ca_file = non_empty(options.ca_file);
    if ca_file.is_some() && !options.tls {
        reading.refuse("ca_file", "needs `tls`");
    }
    let login = login(reading, options.username, options.password);
    let qos = qos(reading, options.qos);
    let version =
        reading.choice("protocol_version", &options.protocol_version, &MqttVersion::ALL, MqttVersion::name);
    Some(MqttOptions {
        broker,
        port: port?,
        tls: options.tls.then_some(MqttTls { ca_file }),
        topic: options.topic,
        client_id: non_empty(options.client_id),
        login,
        qos: qos?,
        retain: options.retain,
        version: version.unwrap_or_default(),
    })
}

fn broker(reading: &mut Reading, broker: String) -> String {
    if broker.contains("://") || broker.contains('/') || broker.contains(char::is_whitespace) {
        reading.refuse(
            "broker",
            "must be a host name or address alone; `port` and `tls` are fields of their own",
        );
    }
    reading.required("broker", broker)
}

fn port(reading: &mut Reading, port: u32, tls: bool) -> Option<u16> {
    let default = if tls { 8883 } else { 1883 };
    let port = u16::try_from(port).map(|port| if port == 0 { default } else { port });
    if port.is_err() {
        reading.refuse("port", "must be at most 65535");
    }
    port.ok()
}

fn topic(reading: &mut Reading, topic: &str) {
    if topic.is_empty() {
        reading.refuse("topic", "is required");
    }
    if topic.contains(['+', '#', '\0']) {
        reading.refuse("topic", "must not hold the wildcards `+` and `#`: it is published to");
    }
    let mut rest = topic;
    while let Some((_, after)) = rest.split_once('{') {
        let (placeholder, tail) = after.split_once('}').unwrap_or((after, ""));
        if !PLACEHOLDERS.contains(&placeholder) {
            let known = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", ");
            reading.refuse("topic", format!("has `{{{placeholder}}}`; the placeholders are {known}"));
        }
        rest = tail;
    }
}

fn login(reading: &mut Reading, username: String, password: Option<proto::Secret>) -> Option<MqttLogin> {
    let password = secret::read(reading, "password", password);
    if username.is_empty() {
        if password.is_some() {
            reading.refuse("username", "is required with `password`");
        }
        return None;
    }
    Some(MqttLogin { username, password })
}

fn qos(reading: &mut Reading, qos: Option<u32>) -> Option<MqttQos> {
    let Some(number) = qos else { return Some(MqttQos::default()) };
    let known = MqttQos::ALL.into_iter().find(|&qos| qos as u32 == number);
    if known.is_none() {
        reading.refuse("qos", format!("is {number}; it must be 0, 1 or 2"));
    }
    known
}

pub(super) fn write(options: &MqttOptions) -> proto::MqttOptions {
    let login = options.login.as_ref();
    proto::MqttOptions {
        broker: options.broker.clone(),
        port: options.port.into(),
        tls: options.tls.is_some(),
        topic: options.topic.clone(),
        client_id: options.client_id.clone().unwrap_or_default(),
        username: login.map(|login| login.username.clone()).unwrap_or_default(),
        password: login.and_then(|login| login.password.as_ref()).map(secret::write),
        qos: Some(options.qos as u32),
        retain: options.retain,
        protocol_version: options.version.name().to_owned(),
        ca_file: options.tls.as_ref().and_then(|tls| tls.ca_file.clone()).unwrap_or_default(),
    }
}
