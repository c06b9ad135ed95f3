//! An endpoint's options as librdkafka's settings.

use rdkafka::ClientConfig;
use secrecy::ExposeSecret as _;
use twinroute_common::route::{KafkaAccess, KafkaOptions, KafkaTls};

use super::login::{Credentials, Login};
use crate::config::sinks::KafkaLimits;

/// What holds for every endpoint.
///
/// - Idempotent and gapless: no repeats within a producer's life, and nothing is written behind a batch that failed.
/// - `message.timeout.ms=0`: librdkafka never gives up; the endpoint decides when to.
/// - `murmur2_random`: the same key goes to the same partition as with Kafka's Java clients.
/// - `reconnect.backoff.max.ms`: a broker that is back is noticed within two seconds.
/// - `ssl.ca.location=probe`: the system's certificates, also with a linked-in OpenSSL.
const ALWAYS: [(&str, &str); 9] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("enable.gapless.guarantee", "true"),
    ("message.timeout.ms", "0"),
    ("partitioner", "murmur2_random"),
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    ("ssl.ca.location", "probe"),
];

/// What Event Hubs asks of clients: it closes connections that were idle for 240 s
/// (<https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations>).
const EVENT_HUBS: [(&str, &str); 2] =
    [("connections.max.idle.ms", "180000"), ("metadata.max.age.ms", "180000")];

/// The settings of a producer whose batches have at most `batch_bytes`.
pub(super) fn client_config(
    client_id: &str,
    options: &KafkaOptions,
    login: &Login,
    limits: &KafkaLimits,
    batch_bytes: usize,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in ALWAYS {
        config.set(key, value);
    }
    config
        .set("client.id", client_id)
        .set("bootstrap.servers", login.brokers.join(","))
        .set("security.protocol", options.access.security_protocol())
        .set("compression.codec", options.compression.name());
    limit(&mut config, limits, batch_bytes);
    match &login.credentials {
        Credentials::None => {}
        Credentials::Password { mechanism, username, password } => {
            config
                .set("sasl.mechanism", *mechanism)
                .set("sasl.username", username)
                .set("sasl.password", password.expose_secret());
        }
        Credentials::Token(_) => {
            config.set("sasl.mechanism", "OAUTHBEARER");
        }
    }
    match &options.access {
        KafkaAccess::Brokers { tls: Some(tls), .. } => files(&mut config, tls),
        KafkaAccess::Brokers { tls: None, .. } => {}
        KafkaAccess::EventHubs { .. } => {
            for (key, value) in EVENT_HUBS {
                config.set(key, value);
            }
        }
    }
    config
}

fn limit(config: &mut ClientConfig, limits: &KafkaLimits, batch_bytes: usize) {
    let bytes_in_kib = limits.queue_bytes_max.div_ceil(1024);
    // Room for as many again: a record counts until its report was handled, and by then the next may be here.
    let events = limits.queue_events_max.saturating_mul(2);
    config
        .set("queue.buffering.max.messages", events.to_string())
        .set("queue.buffering.max.kbytes", bytes_in_kib.to_string())
        .set("linger.ms", limits.linger_ms.to_string())
        .set("batch.num.messages", limits.batch_events_max.to_string())
        .set("batch.size", batch_bytes.to_string())
        .set("message.max.bytes", limits.message_bytes_max.to_string())
        .set("request.timeout.ms", limits.request_timeout_ms.to_string())
        .set("socket.timeout.ms", limits.request_timeout_ms.to_string())
        .set("topic.metadata.propagation.max.ms", limits.topic_wait_ms.to_string())
        .set("statistics.interval.ms", limits.state_interval_ms.to_string());
}

fn files(config: &mut ClientConfig, tls: &KafkaTls) {
    if let Some(file) = &tls.ca_file {
        config.set("ssl.ca.location", file);
    }
    if let Some(client) = &tls.client {
        config.set("ssl.certificate.location", &client.cert_file).set("ssl.key.location", &client.key_file);
    }
}

#[cfg(test)]
mod tests {
    use twinroute_common::route::{ClientCertificate, Compression, KafkaSasl, PasswordMechanism};
    use twinroute_common::secret::Secret;

    use super::*;

    fn options(access: KafkaAccess) -> KafkaOptions {
        KafkaOptions { access, topic: "twins".to_owned(), compression: Compression::Zstd }
    }

    fn settings(options: &KafkaOptions, login: &Login) -> ClientConfig {
        client_config("worker-1", options, login, &KafkaLimits::default(), 1000)
    }

    #[test]
    fn a_plain_broker_needs_no_credentials() {
        // given brokers without security
        let brokers = vec!["one:9093".to_owned(), "two:9094".to_owned()];
        let options = options(KafkaAccess::Brokers { brokers: brokers.clone(), tls: None, sasl: None });
        let login = Login { brokers, credentials: Credentials::None, entity_path: None };

        // when the settings are made
        let config = settings(&options, &login);

        // then they say so, and librdkafka takes them
        assert_eq!(config.get("bootstrap.servers"), Some("one:9093,two:9094"));
        assert_eq!(config.get("security.protocol"), Some("PLAINTEXT"));
        assert_eq!(config.get("compression.codec"), Some("zstd"));
        assert_eq!(config.get("sasl.mechanism"), None);
        assert_eq!(config.get("batch.size"), Some("1000"));
        assert!(config.create_native_config().is_ok());
    }

    #[test]
    fn tls_files_and_a_password_are_handed_on() {
        let brokers = vec!["one:9093".to_owned()];
        let sasl = KafkaSasl::Password {
            mechanism: PasswordMechanism::ScramSha512,
            username: "ann".to_owned(),
            password: Secret::new("hunter2"),
        };
        let client = ClientCertificate { cert_file: "/c.pem".to_owned(), key_file: "/k.pem".to_owned() };
        let tls = KafkaTls { ca_file: Some("/ca.pem".to_owned()), client: Some(client) };
        let access = KafkaAccess::Brokers { brokers: brokers.clone(), tls: Some(tls), sasl: Some(sasl) };
        let credentials = Credentials::Password {
            mechanism: "SCRAM-SHA-512",
            username: "ann".to_owned(),
            password: "hunter2".into(),
        };

        let config = settings(&options(access), &Login { brokers, credentials, entity_path: None });

        let expected = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "ann"),
            ("sasl.password", "hunter2"),
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.certificate.location", "/c.pem"),
            ("ssl.key.location", "/k.pem"),
        ];
        for (key, value) in expected {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn librdkafka_takes_the_settings_of_every_codec_and_limit() {
        for compression in Compression::ALL {
            let access = KafkaAccess::EventHubs {
                connection_string: Secret::new("x"),
                secondary_connection_string: None,
            };
            let options = KafkaOptions { compression, ..options(access) };
            let login = Login {
                brokers: vec!["ns:9093".to_owned()],
                credentials: Credentials::None,
                entity_path: None,
            };
            assert!(settings(&options, &login).create_native_config().is_ok(), "{compression:?}");
        }
    }
}
