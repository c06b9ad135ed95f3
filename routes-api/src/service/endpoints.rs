//! The calls about endpoints.

use tonic::Status;
use twinroute_proto::routes::v1 as proto;

use super::RoutesGrpc;
use crate::catalog::Catalog;
use crate::decide;
use crate::page::page;
use crate::refusal::{Kind, Refusal};
use crate::show;

impl RoutesGrpc {
    pub(super) async fn create_endpoint(
        &self,
        request: proto::CreateEndpointRequest,
    ) -> Result<proto::CreateEndpointResponse, Status> {
        let name = request.endpoint.as_ref().map(|endpoint| endpoint.name.clone()).unwrap_or_default();
        let (keeping, limits) = (self.keeping, self.limits.clone());
        let decision =
            move |catalog: &Catalog| decide::create_endpoint(catalog, request.endpoint, keeping, &limits);
        let catalog = self.store.change(decision).await?;
        Ok(proto::CreateEndpointResponse { endpoint: Some(self.endpoint(&catalog, &name)?) })
    }

    pub(super) async fn get_endpoint(
        &self,
        request: proto::GetEndpointRequest,
    ) -> Result<proto::GetEndpointResponse, Status> {
        let catalog = self.store.read().await?;
        Ok(proto::GetEndpointResponse { endpoint: Some(self.endpoint(&catalog, &request.name)?) })
    }

    pub(super) async fn list_endpoints(
        &self,
        request: proto::ListEndpointsRequest,
    ) -> Result<proto::ListEndpointsResponse, Status> {
        let catalog = self.store.read().await?;
        let page = page(&catalog.endpoints, Kind::Endpoint, request.page_size, &request.page_token)?;
        let endpoints = page
            .entries
            .into_iter()
            .map(|(name, entry)| show::endpoint(entry, self.workers.endpoint(name, entry.version)))
            .collect();
        Ok(proto::ListEndpointsResponse { endpoints, next_page_token: page.next_token })
    }

    pub(super) async fn update_endpoint(
        &self,
        request: proto::UpdateEndpointRequest,
    ) -> Result<proto::UpdateEndpointResponse, Status> {
        let name = request.endpoint.as_ref().map(|endpoint| endpoint.name.clone()).unwrap_or_default();
        let keeping = self.keeping;
        let decision = move |catalog: &Catalog| {
            decide::update_endpoint(catalog, request.endpoint, request.update_mask, keeping)
        };
        let catalog = self.store.change(decision).await?;
        Ok(proto::UpdateEndpointResponse { endpoint: Some(self.endpoint(&catalog, &name)?) })
    }

    pub(super) async fn delete_endpoint(
        &self,
        request: proto::DeleteEndpointRequest,
    ) -> Result<proto::DeleteEndpointResponse, Status> {
        let workers = self.workers.clone();
        let decision = move |catalog: &Catalog| {
            let state = workers.endpoint(&request.name, catalog.version);
            decide::delete_endpoint(catalog, &request, &state)
        };
        self.store.change(decision).await?;
        Ok(proto::DeleteEndpointResponse {})
    }

    fn endpoint(&self, catalog: &Catalog, name: &str) -> Result<proto::Endpoint, Refusal> {
        let missing = || Refusal::NotFound { kind: Kind::Endpoint, name: name.to_owned() };
        let entry = catalog.endpoints.get(name).ok_or_else(missing)?;
        Ok(show::endpoint(entry, self.workers.endpoint(name, entry.version)))
    }
}
