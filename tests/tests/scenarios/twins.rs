//! Twins through real Cypher, each event byte for byte at Kafka, MQTT and Kusto.

use anyhow::Result;

use crate::{
    exact::{Told, told},
    plain::{Plain, plain},
};

#[test]
fn the_worked_example_of_the_design_reaches_every_sink_as_it_is_written_there() -> Result<()> {
    plain(async |plain| {
        // Given a room
        let created = plain
            .cypher(
                "CREATE (:Twin {`$dtId`: 'room1', `$etag`: 'W/\"1\"', `$metadata`: {
                    `$model`: 'dtmi:example:Room;1', Temperature: {lastUpdateTime: '2026-01-01T11:00:00Z'}},
                    Temperature: 21.5})",
            )
            .await?;
        // When its temperature is written, with the bookkeeping
        let updated = plain
            .cypher(
                "MATCH (t:Twin {`$dtId`: 'room1'}) SET t = {`$dtId`: 'room1', `$etag`: 'W/\"2\"', `$metadata`: {
                    `$model`: 'dtmi:example:Room;1', Temperature: {lastUpdateTime: '2026-01-01T12:00:00Z'}},
                    Temperature: 22.0}",
            )
            .await?;
        // Then there is one event of each change
        let document = r#"{"$dtId": "room1", "$etag": "W/\"1\"", "$metadata": {"$model": "dtmi:example:Room;1", "Temperature": {"lastUpdateTime": "2026-01-01T11:00:00Z"}}, "Temperature": 21.5}"#;
        let patch = r#"{"modelId":"dtmi:example:Room;1","patch":[{"op":"replace","path":"/Temperature","value":22.0}]}"#;
        let lifecycle = r#"{"twinId":"room1","action":"Create","timeStamp":"TIME","serviceId":"SOURCE","modelId":"dtmi:example:Room;1"}"#;
        let added = r#"{"twinId":"room1","propertyName":"Temperature","propertyValue":21.5,"propertyType":"double","operation":"Add","timeStamp":"TIME","serviceId":"SOURCE","modelId":"dtmi:example:Room;1"}"#;
        let replaced = r#"{"twinId":"room1","propertyName":"Temperature","propertyValue":22.0,"propertyType":"double","operation":"Replace","timeStamp":"TIME","serviceId":"SOURCE","modelId":"dtmi:example:Room;1"}"#;
        let notices =
            [told(&created, "Twin.Create", "room1", document), told(&updated, "Twin.Update", "room1", patch)];
        let history = [
            told(&created, "Twin.Lifecycle", "room1", lifecycle),
            told(&created, "Property.Event", "room1", added),
            told(&updated, "Property.Event", "room1", replaced),
        ];
        plain.arrives("room1", &notices, &history).await?;
        // And this is all of the update, at Kafka
        let kafka = "key: room1
ce_specversion: 1.0
ce_id: ID
ce_source: https://graph.example.com/
ce_type: Konnektr.DigitalTwins.Twin.Update
ce_subject: room1
ce_time: TIME
ce_sequence: SEQUENCE
ce_partitionkey: room1
content-type: application/json

{\"modelId\":\"dtmi:example:Room;1\",\"patch\":[{\"op\":\"replace\",\"path\":\"/Temperature\",\"value\":22.0}]}";
        assert_eq!(Plain::wire(&plain.kafka, "room1", 1)?, kafka.replace("TIME", &updated));
        // at MQTT
        let mqtt = r#"content-type: application/cloudevents+json
payload-format-indicator: 1

{"specversion":"1.0","id":"ID","source":"https://graph.example.com/","type":"Konnektr.DigitalTwins.Twin.Update","subject":"room1","time":"TIME","datacontenttype":"application/json","sequence":"SEQUENCE","partitionkey":"room1","data":{"modelId":"dtmi:example:Room;1","patch":[{"op":"replace","path":"/Temperature","value":22.0}]}}"#;
        assert_eq!(Plain::wire(&plain.mqtt, "room1", 1)?, mqtt.replace("TIME", &updated));
        // and at Kusto, where the other rows may come before it
        let kusto = r#"{"TimeStamp":"TIME","SourceTimeStamp":null,"ServiceId":"https://graph.example.com/","Id":"room1","ModelId":"dtmi:example:Room;1","Key":"Temperature","Value":22.0,"RelationshipTarget":"","RelationshipId":"","Action":"Replace","EventId":"ID","Sequence":"SEQUENCE"}"#;
        let kusto = kusto.replace("TIME", &updated);
        let rows = [0, 1, 2, 3, 4].map(|index| Plain::wire(&plain.kusto, "room1", index).ok());
        assert!(rows.contains(&Some(kusto)), "{rows:#?}");
        Ok(())
    })
}

#[test]
fn a_twin_is_created_changed_and_deleted() -> Result<()> {
    plain(async |plain| {
        // Given a twin with a component, written as the twins' API does
        let created = plain
            .cypher(
                "MERGE (t:Twin {`$dtId`: 'pump1'}) SET t = {`$dtId`: 'pump1', `$etag`: 'W/\"1\"',
                    `$metadata`: {`$model`: 'dtmi:example:Pump;1', `$lastUpdateTime`: '2026-01-01T11:00:00Z'},
                    name: 'Größe \"1\"', rpm: 1500, motor: {`$metadata`: {}, hot: false}}",
            )
            .await?;
        // When a property is removed, one is added, one of the component is set
        let updated = plain
            .cypher(
                "MATCH (t:Twin {`$dtId`: 'pump1'}) SET t = {`$dtId`: 'pump1', `$etag`: 'W/\"2\"',
                    `$metadata`: {`$model`: 'dtmi:example:Pump;1', `$lastUpdateTime`: '2026-01-01T12:00:00Z',
                        rate: {lastUpdateTime: '2026-01-01T12:00:00Z', sourceTime: '2026-01-01T11:59:59Z'}},
                    rpm: 1500.0, rate: [1, 2], motor: {`$metadata`: {}, hot: true}}",
            )
            .await?;
        // And it is deleted
        let deleted = plain.cypher("MATCH (t:Twin {`$dtId`: 'pump1'}) DELETE t").await?;
        // Then every step arrives
        let document = r#"{"rpm": 1500, "name": "Größe \"1\"", "$dtId": "pump1", "$etag": "W/\"1\"", "motor": {"hot": false, "$metadata": {}}, "$metadata": {"$model": "dtmi:example:Pump;1", "$lastUpdateTime": "2026-01-01T11:00:00Z"}}"#;
        let patch = r#"{"modelId":"dtmi:example:Pump;1","patch":[{"op":"remove","path":"/name"},{"op":"add","path":"/rate","value":[1, 2]},{"op":"replace","path":"/motor/hot","value":true},{"op":"add","path":"/$metadata/rate","value":{"sourceTime":"2026-01-01T11:59:59Z"}}]}"#;
        let last = r#"{"rpm": 1500.0, "rate": [1, 2], "$dtId": "pump1", "$etag": "W/\"2\"", "motor": {"hot": true, "$metadata": {}}, "$metadata": {"rate": {"sourceTime": "2026-01-01T11:59:59Z", "lastUpdateTime": "2026-01-01T12:00:00Z"}, "$model": "dtmi:example:Pump;1", "$lastUpdateTime": "2026-01-01T12:00:00Z"}}"#;
        let notices = [
            told(&created, "Twin.Create", "pump1", document),
            told(&updated, "Twin.Update", "pump1", patch),
            told(&deleted, "Twin.Delete", "pump1", last),
        ];
        let history = history_of_pump(&created, &updated, &deleted);
        plain.arrives("pump1", &notices, &history).await
    })
}

fn history_of_pump(created: &str, updated: &str, deleted: &str) -> [Told; 8] {
    let lifecycle = |time: &str, action: &str| {
        let data = r#"{"twinId":"pump1","action":"ACTION","timeStamp":"TIME","serviceId":"SOURCE","modelId":"dtmi:example:Pump;1"}"#;
        told(time, "Twin.Lifecycle", "pump1", &data.replace("ACTION", action))
    };
    let property = |time: &str, written: &str, tail: &str| {
        let data = format!(
            r#"{{"twinId":"pump1",{written},"timeStamp":"TIME","serviceId":"SOURCE","modelId":"dtmi:example:Pump;1"{tail}}}"#
        );
        told(time, "Property.Event", "pump1", &data)
    };
    [
        lifecycle(created, "Create"),
        property(
            created,
            r#""propertyName":"rpm","propertyValue":1500,"propertyType":"integer","operation":"Add""#,
            "",
        ),
        property(
            created,
            r#""propertyName":"name","propertyValue":"Größe \"1\"","propertyType":"string","operation":"Add""#,
            "",
        ),
        property(
            created,
            r#""propertyName":"motor.hot","propertyValue":false,"propertyType":"boolean","operation":"Add""#,
            "",
        ),
        property(
            updated,
            r#""propertyName":"name","propertyValue":null,"propertyType":"null","operation":"Remove""#,
            "",
        ),
        property(
            updated,
            r#""propertyName":"rate","propertyValue":[1, 2],"propertyType":"array","operation":"Add""#,
            r#","sourceTimeStamp":"2026-01-01T11:59:59Z""#,
        ),
        property(
            updated,
            r#""propertyName":"motor.hot","propertyValue":true,"propertyType":"boolean","operation":"Replace""#,
            "",
        ),
        lifecycle(deleted, "Delete"),
    ]
}

#[test]
fn another_model_of_a_twin_is_a_lifecycle_event_in_the_history() -> Result<()> {
    plain(async |plain| {
        // Given a twin
        let created =
            plain.cypher("CREATE (:Twin {`$dtId`: 'morph1', `$metadata`: {`$model`: 'dtmi:a;1'}})").await?;
        // When its model changes
        let updated = plain
            .cypher("MATCH (t:Twin {`$dtId`: 'morph1'}) SET t = {`$dtId`: 'morph1', `$metadata`: {`$model`: 'dtmi:a;2'}}")
            .await?;
        // Then
        let document = r#"{"$dtId": "morph1", "$metadata": {"$model": "dtmi:a;1"}}"#;
        let patch = r#"{"modelId":"dtmi:a;2","patch":[{"op":"replace","path":"/$metadata/$model","value":"dtmi:a;2"}]}"#;
        let notices = [
            told(&created, "Twin.Create", "morph1", document),
            told(&updated, "Twin.Update", "morph1", patch),
        ];
        let lifecycle = |time: &str, action: &str, model: &str| {
            let data = format!(
                r#"{{"twinId":"morph1","action":"{action}","timeStamp":"TIME","serviceId":"SOURCE","modelId":"{model}"}}"#
            );
            told(time, "Twin.Lifecycle", "morph1", &data)
        };
        let history = [lifecycle(&created, "Create", "dtmi:a;1"), lifecycle(&updated, "Update", "dtmi:a;2")];
        plain.arrives("morph1", &notices, &history).await
    })
}

#[test]
fn values_that_are_not_json_arrive_as_json() -> Result<()> {
    plain(async |plain| {
        // Given a twin with a numeric, numbers whose text matters, and text that looks like a type
        let created = plain
            .cypher(
                "CREATE (:Twin {`$dtId`: 'odd1', price: 1.5::numeric, whole: 150.0, big: 5.972e+24,
                    text: '1.5::numeric', list: [1.5::numeric, 2]})",
            )
            .await?;
        // Then
        let document = r#"{"big": 5.972e+24, "list": [1.5, 2], "text": "1.5::numeric", "$dtId": "odd1", "price": 1.5, "whole": 150.0}"#;
        let notices = [told(&created, "Twin.Create", "odd1", document)];
        let property = |name: &str, value: &str, type_: &str| {
            let data = format!(
                r#"{{"twinId":"odd1","propertyName":"{name}","propertyValue":{value},"propertyType":"{type_}","operation":"Add","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}}"#
            );
            told(&created, "Property.Event", "odd1", &data)
        };
        let lifecycle =
            r#"{"twinId":"odd1","action":"Create","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}"#;
        let history = [
            told(&created, "Twin.Lifecycle", "odd1", lifecycle),
            property("big", "5.972e+24", "double"),
            property("list", "[1.5, 2]", "array"),
            property("text", "\"1.5::numeric\"", "string"),
            property("price", "1.5", "double"),
            property("whole", "150.0", "double"),
        ];
        plain.arrives("odd1", &notices, &history).await
    })
}
