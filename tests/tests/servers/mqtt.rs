//! Mosquitto: a message there and back; nothing is missed while the consumer is cut off.

use anyhow::{Result, ensure};
use rumqttc_v5::{AsyncClient, MqttOptions, PublishOptions, PublishProperties, QoS};
use twinroute_tests::{consumers::mqtt, servers::mosquitto::Mosquitto};

use super::DEADLINE;

async fn publish(port: u16, id: &str) -> Result<()> {
    let options = MqttOptions::new(format!("publisher-{id}"), ("127.0.0.1", port));
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    let polling = tokio::spawn(async move { while events.poll().await.is_ok() {} });
    let event = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"https://here/","type":"t","subject":"room1",
            "time":"2026-01-01T11:00:00.000001Z","datacontenttype":"application/json",
            "sequence":"01","partitionkey":"room1","data":{{"a": 150.0}}}}"#
    );
    let properties = PublishProperties {
        content_type: Some("application/cloudevents+json".to_owned()),
        ..Default::default()
    };
    let options = PublishOptions::new(QoS::AtLeastOnce).properties(properties);
    let notice = client.publish_tracked("twins/room1", event, options).await?;
    notice.wait_completion_async().await?;
    polling.abort();
    Ok(())
}

#[tokio::test]
async fn a_cloud_event_is_read_back_also_over_a_restart_of_the_broker() -> Result<()> {
    // Given a subscription
    let mut server = Mosquitto::start(&super::dir("mqtt")?).await?;
    let consumer = mqtt::consume("127.0.0.1", server.port(), "twins/#").await?;
    // When one event is published before and one after the broker is restarted
    publish(server.port(), "first").await?;
    let inbox = consumer.inbox();
    inbox
        .until(DEADLINE, "the first event", |received| {
            ensure!(received.len() == 1);
            Ok(())
        })
        .await?;
    server.stop().await?;
    server.start_again().await?;
    publish(server.port(), "second").await?;
    // Then both arrive, byte for byte
    let received = inbox
        .until(DEADLINE, "the second event", |received| {
            ensure!(received.len() == 2);
            Ok(received.to_vec())
        })
        .await?;
    assert_eq!(inbox.faults(), Vec::<String>::new());
    let ids: Vec<&str> = received.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["first", "second"]);
    assert!(received.iter().all(|event| event.data.get() == r#"{"a": 150.0}"#));
    Ok(())
}
