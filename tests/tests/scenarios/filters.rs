//! Filters in routes: what they select while events flow, and what routes-api says of them.

use anyhow::{Context as _, Result, ensure};
use tonic::Code;
use twinroute_proto::{
    event::v1::EntityKind,
    routes::v1::{
        CheckFilterRequest, CreateEndpointRequest, CreateEventRouteRequest, Endpoint, EventRoute,
        KafkaOptions, SampleChange, TestEventRouteRequest, endpoint::Destination,
    },
};
use twinroute_tests::{
    consumers::{Received, kafka},
    stack::routes,
};

use crate::{
    plain::{Plain, plain},
    scene::DEADLINE,
};

const CROSSING: &str = "$new.Temperature > 25 AND $old.Temperature <= 25";

fn alarms(filter: &str) -> EventRoute {
    EventRoute {
        name: "alarms".to_owned(),
        endpoint_name: "alarms".to_owned(),
        filter: filter.to_owned(),
        ..EventRoute::default()
    }
}

async fn set(plain: &Plain, temperature: f64) -> Result<String> {
    plain.cypher(&format!("MATCH (t:Twin {{`$dtId`: 'oven7'}}) SET t.Temperature = {temperature:.1}")).await
}

#[test]
fn a_filter_on_what_was_before_and_after_sends_the_crossings_alone() -> Result<()> {
    plain(async |plain| {
        // Given an endpoint, and a filter that is refused with its place and remedy
        let mut client = routes::client(&plain.stack).await?;
        let brokers = plain.stack.servers.kafka.brokers();
        let kafka = KafkaOptions {
            brokers: vec![brokers.clone()],
            topic: "alarms".to_owned(),
            ..KafkaOptions::default()
        };
        let destination = Some(Destination::Kafka(kafka));
        let endpoint = Endpoint { name: "alarms".to_owned(), destination, ..Endpoint::default() };
        client.create_endpoint(CreateEndpointRequest { endpoint: Some(endpoint) }).await?;
        let wrong = CreateEventRouteRequest { event_route: Some(alarms("$new.Temperature => 25")) };
        let refused = client.create_event_route(wrong).await.err().context("it is accepted")?;
        ensure!(refused.code() == Code::InvalidArgument, "{refused}");
        ensure!(
            refused.message().contains("line 1, column 18") && refused.message().contains("`>=`"),
            "{refused}"
        );
        // When the right one is in force, and the temperature passes 25 degrees twice
        client.create_event_route(CreateEventRouteRequest { event_route: Some(alarms(CROSSING)) }).await?;
        routes::until_in_force(&plain.stack, "alarms").await?;
        let arrivals = kafka::consume(&brokers, "alarms")?;
        plain.cypher("CREATE (:Twin {`$dtId`: 'oven7', Temperature: 30.0})").await?;
        for temperature in [20.0, 26.0, 30.0, 24.0] {
            set(plain, temperature).await?;
        }
        set(plain, 25.1).await?;
        // Then these two changes arrive, and nothing else
        let both = |received: &[Received]| {
            let values: Vec<&str> = received.iter().map(|event| event.data.get()).collect();
            ensure!(values.len() >= 2, "{values:?}");
            Ok(values.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        let sent = arrivals.inbox().until(DEADLINE, "the crossings", both).await?;
        let patch = |value: &str| {
            format!(
                r#"{{"modelId":null,"patch":[{{"op":"replace","path":"/Temperature","value":{value}}}]}}"#
            )
        };
        assert_eq!(sent, [patch("26.0"), patch("25.1")]);
        Ok(())
    })
}

#[test]
fn a_filter_is_checked_and_a_route_tried_before_it_is_stored() -> Result<()> {
    plain(async |plain| {
        let mut client = routes::client(&plain.stack).await?;
        // When a filter with a name that no event has is checked
        let request = CheckFilterRequest { filter: "Subject = 'room1'".to_owned() };
        let checked = client.check_filter(request).await?.into_inner();
        // Then it can be used, and is probably not what was meant
        let told: Vec<_> = checked.diagnostics.iter().map(|it| (it.column, it.suggestion.as_str())).collect();
        assert_eq!((checked.valid, told.as_slice()), (true, &[(1, "subject")][..]));
        // When a route is tried on a crossing and on its return
        let document = |temperature: &str| {
            format!(r#"{{"$dtId":"oven8","Temperature":{temperature}}}"#).into_bytes().into()
        };
        let change = |old: &str, new: &str| SampleChange {
            graph: "factory".to_owned(),
            kind: EntityKind::Twin.into(),
            old: document(old),
            new: document(new),
        };
        let mut route = alarms(CROSSING);
        route.endpoint_name = "kafka".to_owned();
        let request = TestEventRouteRequest {
            event_route: Some(route),
            changes: vec![change("24.5", "26"), change("26", "24.5")],
        };
        let trials = client.test_event_route(request).await?.into_inner().trials;
        // Then the first becomes an event, and of the second it is said why it does not
        let outcome: Vec<_> = trials.iter().map(|it| (it.matched, it.explanation.as_str())).collect();
        let why = "`$new.Temperature > 25` is false: $new.Temperature is 24.5";
        assert_eq!(outcome, [(true, ""), (false, why)]);
        let sent = trials.first().and_then(|trial| trial.cloud_events.first()).context("no event")?;
        ensure!(sent.contains(r#""subject":"oven8""#), "{sent}");
        Ok(())
    })
}
