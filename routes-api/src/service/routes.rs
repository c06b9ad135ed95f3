//! The calls about event routes.

use tonic::Status;
use twinroute_common::route::{EventRoute, Violations};
use twinroute_proto::routes::v1 as proto;

use super::RoutesGrpc;
use crate::catalog::Catalog;
use crate::decide;
use crate::page::page;
use crate::refusal::{Kind, Refusal};
use crate::show;
use crate::trial::try_routes;

/// Name of a route that is tried without one.
const TRIAL_NAME: &str = "trial";

impl RoutesGrpc {
    pub(super) async fn create_route(
        &self,
        request: proto::CreateEventRouteRequest,
    ) -> Result<proto::CreateEventRouteResponse, Status> {
        let name = request.event_route.as_ref().map(|route| route.name.clone()).unwrap_or_default();
        let limits = self.limits.clone();
        let decision = move |catalog: &Catalog| decide::create_route(catalog, request.event_route, &limits);
        let catalog = self.store.change(decision).await?;
        Ok(proto::CreateEventRouteResponse { event_route: Some(self.route(&catalog, &name)?) })
    }

    pub(super) async fn get_route(
        &self,
        request: proto::GetEventRouteRequest,
    ) -> Result<proto::GetEventRouteResponse, Status> {
        let catalog = self.store.read().await?;
        Ok(proto::GetEventRouteResponse { event_route: Some(self.route(&catalog, &request.name)?) })
    }

    pub(super) async fn list_routes(
        &self,
        request: proto::ListEventRoutesRequest,
    ) -> Result<proto::ListEventRoutesResponse, Status> {
        let catalog = self.store.read().await?;
        let page = page(&catalog.routes, Kind::EventRoute, request.page_size, &request.page_token)?;
        let event_routes = page
            .entries
            .into_iter()
            .map(|(name, entry)| show::route(entry, self.workers.route(name, entry.version)))
            .collect();
        Ok(proto::ListEventRoutesResponse { event_routes, next_page_token: page.next_token })
    }

    pub(super) async fn update_route(
        &self,
        request: proto::UpdateEventRouteRequest,
    ) -> Result<proto::UpdateEventRouteResponse, Status> {
        let name = request.event_route.as_ref().map(|route| route.name.clone()).unwrap_or_default();
        let decision =
            move |catalog: &Catalog| decide::update_route(catalog, request.event_route, request.update_mask);
        let catalog = self.store.change(decision).await?;
        Ok(proto::UpdateEventRouteResponse { event_route: Some(self.route(&catalog, &name)?) })
    }

    pub(super) async fn delete_route(
        &self,
        request: proto::DeleteEventRouteRequest,
    ) -> Result<proto::DeleteEventRouteResponse, Status> {
        self.store.change(move |catalog: &Catalog| decide::delete_route(catalog, &request)).await?;
        Ok(proto::DeleteEventRouteResponse {})
    }

    pub(super) async fn test_route(
        &self,
        request: proto::TestEventRouteRequest,
    ) -> Result<proto::TestEventRouteResponse, Status> {
        let catalog = self.store.read().await?;
        let given = match request.event_route {
            None => None,
            Some(mut route) => {
                if route.name.is_empty() {
                    TRIAL_NAME.clone_into(&mut route.name);
                }
                let refuse = |violations: Violations| Refusal::Invalid(violations.within("event_route"));
                Some(decide::read_route(&catalog, route).map_err(refuse)?)
            }
        };
        let routes: Vec<&EventRoute> = match &given {
            Some(route) => vec![route],
            None => catalog.routes.values().map(|entry| &entry.resource).collect(),
        };
        let trials = try_routes(&routes, request.changes, &self.trial)?;
        Ok(proto::TestEventRouteResponse { trials })
    }

    fn route(&self, catalog: &Catalog, name: &str) -> Result<proto::EventRoute, Refusal> {
        let missing = || Refusal::NotFound { kind: Kind::EventRoute, name: name.to_owned() };
        let entry = catalog.routes.get(name).ok_or_else(missing)?;
        Ok(show::route(entry, self.workers.route(name, entry.version)))
    }
}
