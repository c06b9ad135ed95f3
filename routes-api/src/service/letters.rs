//! The calls about dead letters.

use bytes::Bytes;
use tonic::Status;
use twinroute_common::dead_letter::{self, Container, ContainerError, LetterHead, Selection};
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use super::RoutesGrpc;
use crate::letters;
use crate::page;
use crate::refusal::{Kind, Refusal};
use crate::show;

impl RoutesGrpc {
    pub(super) async fn list_letters(
        &self,
        request: proto::ListDeadLettersRequest,
    ) -> Result<proto::ListDeadLettersResponse, Status> {
        let selection = selection(request.selection)?;
        let behind = page::position(Kind::DeadLetter, &request.page_token)?;
        let behind = behind.map(|name| name.parse().map_err(|_| page::foreign_token())).transpose()?;
        let container = self.container(&selection.endpoint).await?;
        let size = page::size(request.page_size);
        let page = letters::page(&container, &selection, behind, size).await.map_err(unavailable)?;
        let dead_letters = page.letters.into_iter();
        let dead_letters = dead_letters
            .map(|found| show::letter(&selection.endpoint, found.name.event_id(), found.head, Bytes::new()));
        Ok(proto::ListDeadLettersResponse {
            dead_letters: dead_letters.collect(),
            next_page_token: page
                .last
                .map(|last| page::token(Kind::DeadLetter, &last.to_string()))
                .unwrap_or_default(),
        })
    }

    pub(super) async fn get_letter(
        &self,
        request: proto::GetDeadLetterRequest,
    ) -> Result<proto::GetDeadLetterResponse, Status> {
        let proto::GetDeadLetterRequest { endpoint_name, event_id } = request;
        let id = dead_letter::event_id("event_id", &event_id).map_err(Refusal::Invalid)?;
        let container = self.container(&endpoint_name).await?;
        let found = content(&container, &endpoint_name, id).await.map_err(unavailable)?;
        let missing = || Refusal::NotFound { kind: Kind::DeadLetter, name: event_id };
        let content = found.ok_or_else(missing)?;
        let head = LetterHead::read(&content)
            .unwrap_or_else(|error| LetterHead { reason: error.to_string(), ..LetterHead::default() });
        let dead_letter = Some(show::letter(&endpoint_name, id, head, content));
        Ok(proto::GetDeadLetterResponse { dead_letter })
    }

    pub(super) async fn purge_letters(
        &self,
        request: proto::PurgeDeadLettersRequest,
    ) -> Result<proto::PurgeDeadLettersResponse, Status> {
        let selection = selection(request.selection)?;
        let container = self.container(&selection.endpoint).await?;
        let stop = &self.watching.stop;
        let purged = letters::purge(&container, &selection, stop).await.map_err(unavailable)?;
        Ok(proto::PurgeDeadLettersResponse { purged: purged.letters, more: purged.more })
    }

    /// The container of an endpoint's dead letters.
    async fn container(&self, endpoint_name: &str) -> Result<Container, Status> {
        let catalog = self.store.read().await?;
        let missing = || Refusal::NotFound { kind: Kind::Endpoint, name: endpoint_name.to_owned() };
        let entry = catalog.endpoints.get(endpoint_name).ok_or_else(missing)?;
        Ok(letters::open(&entry.resource)?)
    }
}

/// Reads which dead letters a request is about.
pub(super) fn selection(given: Option<proto::DeadLetterSelection>) -> Result<Selection, Refusal> {
    let selection = Selection::try_from(given.unwrap_or_default());
    selection.map_err(|violations| Refusal::Invalid(violations.within("selection")))
}

async fn content(
    container: &Container,
    endpoint_name: &str,
    event_id: Uuid,
) -> Result<Option<Bytes>, ContainerError> {
    match container.find(endpoint_name, event_id).await? {
        Some(name) => container.content(endpoint_name, &name).await,
        None => Ok(None),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it takes the place of a closure in map_err")]
fn unavailable(error: ContainerError) -> Status {
    Status::unavailable(format!("the dead letters cannot be reached: {error}"))
}
