//! Calls that create, show and delete subscriptions, as an operator makes them.

use anyhow::{Context as _, Result};
use tonic::Status;
use twinroute_proto::capture::v1::{
    CreateSubscriptionRequest, DeleteSubscriptionRequest, GetSubscriptionRequest, Subscription,
    SubscriptionStatus, capture_service_client::CaptureServiceClient,
};
use twinroute_tests::services::Service;

use crate::{
    decision::capture_status,
    raw::{RawConsumer, events},
};

type Client = CaptureServiceClient<tonic::transport::Channel>;

pub(crate) async fn client(capture: &Service) -> Result<Client> {
    Ok(CaptureServiceClient::connect(format!("http://{}", capture.grpc())).await?)
}

/// Calls `CreateSubscription`.
pub(crate) async fn create(capture: &Service, wanted: Subscription) -> Result<Result<Subscription, Status>> {
    let request = CreateSubscriptionRequest { subscription: Some(wanted) };
    let answer = client(capture).await?.create_subscription(request).await;
    Ok(answer.map(|answer| answer.into_inner().subscription.unwrap_or_default()))
}

/// Calls `DeleteSubscription`.
pub(crate) async fn delete(capture: &Service, name: &str) -> Result<Result<(), Status>> {
    let request = DeleteSubscriptionRequest { name: name.to_owned() };
    Ok(client(capture).await?.delete_subscription(request).await.map(drop))
}

/// Calls `GetSubscription`.
pub(crate) async fn get(capture: &Service, name: &str) -> Result<Subscription> {
    let request = GetSubscriptionRequest { name: name.to_owned() };
    let answer = client(capture).await?.get_subscription(request).await?;
    answer.into_inner().subscription.context("no subscription")
}

/// A subscription of this name and nothing else.
pub(crate) fn named(name: &str) -> Subscription {
    Subscription { name: name.to_owned(), ..Subscription::default() }
}

/// What the status says of one.
pub(crate) async fn status_of(capture: &Service, name: &str) -> Result<SubscriptionStatus> {
    let all = capture_status(capture).await?.subscriptions;
    let of = |status: &SubscriptionStatus| status.subscription.as_ref().is_some_and(|it| it.name == name);
    all.into_iter().find(of).context("it is not in the status")
}

/// The entities of what comes, as many items as that.
pub(crate) async fn entities(consumer: &mut RawConsumer, items: usize) -> Result<Vec<String>> {
    let batches = consumer.batches(items).await?;
    let mut entities: Vec<_> = events(&batches).map(|event| event.entity_id.clone()).collect();
    consumer.ack(&batches).await?;
    entities.sort();
    Ok(entities)
}
