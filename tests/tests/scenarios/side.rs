//! One more endpoint beside those of the load's stack: it gets all events, and has a fault that must not touch the others.

use std::time::Instant;

use anyhow::Result;
use twinroute_proto::routes::v1::{
    DeleteEndpointRequest, DeleteEventRouteRequest, Endpoint, endpoint::Destination,
};
use twinroute_tests::{
    consumers::Consumer,
    oracle::{Arrival, Verdict},
    stack::{Stack, routes},
};

use crate::{
    judgement::{Missing, arrivals, judge},
    load::{LOAD_DEADLINE, Load},
};

/// The endpoint and its route, which have one name.
pub(crate) struct Side {
    name: &'static str,
}

impl Side {
    /// Makes them; they are in force when this returns.
    pub(crate) async fn add(load: &Load, name: &'static str, destination: Destination) -> Result<Self> {
        add(&load.stack, name, destination).await?;
        Ok(Self { name })
    }

    /// Waits until every change of the prefix has come, to `consumer` or as one of those that had come `before`; then nothing
    /// may be lost, out of order, under two ids, or made up.
    pub(crate) async fn settles_after(
        &self,
        load: &Load,
        prefix: &str,
        (mut before, consumer): (Vec<Arrival>, &Consumer),
        fault: &str,
    ) -> Result<Verdict> {
        let begun = Instant::now();
        let expected = load.expected(prefix).await?;
        let all = Missing::of(&expected).but(&before).tracker();
        let what = format!("all changes at endpoint {}", self.name);
        consumer.inbox().until(LOAD_DEADLINE, &what, all).await?;
        before.extend(arrivals(consumer.inbox(), prefix));
        judge(
            &load.steps,
            &format!("{prefix}, at endpoint {}", self.name),
            (&expected, &before),
            (fault, begun),
        )
    }

    /// Deletes them. Nothing may be left in the endpoint's backlog.
    pub(crate) async fn remove(self, load: &Load) -> Result<()> {
        let mut client = routes::client(&load.stack).await?;
        let name = self.name.to_owned();
        let route = DeleteEventRouteRequest { name: name.clone(), ..DeleteEventRouteRequest::default() };
        client.delete_event_route(route).await?;
        remove_endpoint(load, &name).await
    }
}

/// Deletes an endpoint as soon as nothing waits for it.
pub(crate) async fn remove_endpoint(load: &Load, name: &str) -> Result<()> {
    load.until_endpoint(name, LOAD_DEADLINE, |state| state.backlog_events == 0).await?;
    let request = DeleteEndpointRequest { name: name.to_owned(), ..DeleteEndpointRequest::default() };
    routes::client(&load.stack).await?.delete_endpoint(request).await?;
    Ok(())
}

/// Makes an endpoint and a route, which have one name, and get everything; they are in force when this returns.
pub(crate) async fn add(stack: &Stack, name: &str, destination: Destination) -> Result<()> {
    let destination = Some(destination);
    let endpoint = Endpoint { name: name.to_owned(), destination, ..Endpoint::default() };
    routes::add(&mut routes::client(stack).await?, endpoint).await?;
    routes::until_in_force(stack, name).await
}
