//! Tests of the registry, with sinks that the test plays.

use super::*;
use crate::test_scene::{Scene, endpoint, table};

fn registry(scene: &Scene) -> Registry {
    Registry::new(CurrentRouting::none(), scene.context.clone(), Gauge::default())
}

#[tokio::test]
async fn endpoints_come_change_and_go_with_the_table() {
    // given a table with two endpoints
    let mut scene = Scene::new();
    let mut registry = registry(&scene);
    let first = [endpoint("one", "a"), endpoint("two", "b")];
    assert_eq!(registry.apply(table(1, &first)).await, []);
    let (one, two) = (scene.sink().await, scene.sink().await);
    assert_eq!((registry.routing().version, registry.routing().endpoints.len()), (1, 2));

    // when one leads elsewhere and the other is deleted
    assert_eq!(registry.apply(table(2, &[endpoint("one", "c")])).await, []);

    // then both sinks are closed, and one is started
    one.stop.cancelled().await;
    two.stop.cancelled().await;
    drop((one, two));
    assert_eq!(scene.sink().await.topic, "c");
    assert_eq!((registry.routing().version, registry.routing().endpoints.len()), (2, 1));
}

#[tokio::test]
async fn an_older_table_changes_nothing() {
    let mut scene = Scene::new();
    let mut registry = registry(&scene);
    registry.apply(table(2, &[endpoint("one", "a")])).await;
    let one = scene.sink().await;
    registry.apply(table(1, &[])).await;
    assert_eq!((registry.routing().version, registry.table().version), (2, 2));
    assert!(!one.stop.is_cancelled());
}

#[tokio::test]
async fn a_route_that_cannot_be_used_is_told_and_harms_no_other() {
    let scene = Scene::new();
    let mut registry = registry(&scene);
    let mut table = table(1, &[endpoint("one", "a")]);
    if let Some(mut bad) = table.routes.get("to-one").cloned() {
        bad.name = "bad".to_owned();
        bad.filter = "what?".to_owned();
        table.routes.insert("bad".to_owned(), bad);
    }
    let refused = registry.apply(table).await;
    let resources: Vec<_> = refused.iter().map(|refused| &*refused.resource).collect();
    assert_eq!(resources, ["routes/bad"]);
    assert_eq!(registry.routing().endpoints.len(), 1);
}

#[test]
fn what_this_build_cannot_read_stays_as_it_was() {
    let present = table(1, &[endpoint("one", "a")]);
    let mut coming = RouteTable { version: 2, ..RouteTable::default() };
    let refused = ["endpoints/one", "routes/to-one", "routes/unknown"]
        .map(|resource| Refused { resource: resource.to_owned(), reason: String::new() });
    keep_refused(&mut coming, &refused, &present);
    assert_eq!((coming.endpoints, coming.routes), (present.endpoints, present.routes));
}
