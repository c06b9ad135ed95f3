//! What an operator sees of a stopped subscription, and decides; and what consumers then see.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use tonic::Status;
use twinroute_proto::{
    capture::v1::{
        Batch, GetCaptureStatusRequest, GetCaptureStatusResponse, ResumeSubscriptionRequest, Subscription,
        SubscriptionState, SubscriptionStatus, capture_service_client::CaptureServiceClient, item,
    },
    event::v1::{Discontinuity, Position},
};
use twinroute_tests::{services::Service, wait};

use crate::{
    raw::{RawConsumer, Response},
    scene::DEADLINE,
};

/// Number of partitions of a subscription.
pub(crate) const PARTITIONS: usize = 64;

/// All of `GetCaptureStatus`.
pub(crate) async fn capture_status(capture: &Service) -> Result<GetCaptureStatusResponse> {
    let mut client = CaptureServiceClient::connect(format!("http://{}", capture.grpc())).await?;
    Ok(client.get_capture_status(GetCaptureStatusRequest {}).await?.into_inner())
}

/// What it says of the subscription.
pub(crate) async fn status(capture: &Service) -> Result<SubscriptionStatus> {
    capture_status(capture).await?.subscriptions.pop().context("no subscription")
}

/// Waits until capture has stopped for `cause`, in all three places; gives the status.
pub(crate) async fn until_stopped(capture: &Service, cause: &str, words: &str) -> Result<SubscriptionStatus> {
    let told = |status: u16, text: &str| {
        status == 503
            && text.contains(words)
            && text.contains("stopped")
            && text.contains("ResumeSubscription")
    };
    capture.until_page(DEADLINE, "/readyz", told).await?;
    capture.until_page(DEADLINE, "/livez", |status, _| status == 200).await?;
    let line = format!("cause=\"{cause}\"}} 1");
    capture.until_page(DEADLINE, "/metrics", |_, text| text.contains(&line)).await?;
    let status = status(capture).await?;
    let subscription = status.subscription.clone().context("no subscription")?;
    ensure!(subscription.state() == SubscriptionState::Stopped, "{subscription:?}");
    ensure!(subscription.reason.contains(words), "{}", subscription.reason);
    ensure!(status.stopped_at.is_some(), "{status:?}");
    Ok(status)
}

/// Accepts a gap.
pub(crate) async fn resume(
    capture: &Service,
    name: &str,
    accept_gap_at: Option<Position>,
) -> Result<Result<Subscription, Status>> {
    call(capture, ResumeSubscriptionRequest { name: name.to_owned(), accept_gap_at, new_group_token: None })
        .await
}

/// Calls `ResumeSubscription`.
pub(crate) async fn call(
    capture: &Service,
    request: ResumeSubscriptionRequest,
) -> Result<Result<Subscription, Status>> {
    let mut client = CaptureServiceClient::connect(format!("http://{}", capture.grpc())).await?;
    let answer = client.resume_subscription(request).await;
    Ok(answer.map(|answer| answer.into_inner().subscription.unwrap_or_default()))
}

/// The discontinuity that each partition has first; all are the same one.
pub(crate) fn first_of_each_partition(batches: &[Batch]) -> Result<Discontinuity> {
    let mut first = BTreeMap::new();
    for batch in batches {
        if let Some(item) = batch.items.first() {
            first.entry(batch.partition).or_insert(item);
        }
    }
    ensure!(first.len() == PARTITIONS, "only {} partitions have something", first.len());
    let mut gaps = first.values().map(|item| match &item.item {
        Some(item::Item::Discontinuity(gap)) => Ok(gap.clone()),
        other => anyhow::bail!("{other:?} instead of a discontinuity"),
    });
    let one = gaps.next().context("no partition")??;
    for gap in gaps {
        let gap = gap?;
        ensure!(gap == one, "{gap:?} and {one:?}");
    }
    Ok(one)
}

/// A consumer with all partitions and plenty of credit.
pub(crate) async fn consumer(capture: &Service, subscription: &str) -> Result<RawConsumer> {
    let mut consumer = RawConsumer::connect(&capture.grpc()).await?;
    consumer.hello(subscription, "consumer").await?;
    consumer.keep_leases();
    consumer.assignment().await?;
    consumer.credit(1_000_000, 1 << 40).await?;
    Ok(consumer)
}

/// Waits until no gap is pending in the row.
pub(crate) async fn until_nothing_is_pending(client: &tokio_postgres::Client, name: &str) -> Result<()> {
    let sql = "SELECT pending_discontinuity IS NULL FROM twinroute.subscription WHERE name = $1";
    wait::until(DEADLINE, "the gap to be told", async || {
        let told: bool = client.query_one(sql, &[&name]).await?.try_get(0)?;
        ensure!(told, "it is pending");
        Ok(())
    })
    .await
}

/// Nothing of a gap comes to a consumer that has just joined: the next thing is this event.
pub(crate) async fn only_events_come(consumer: &mut RawConsumer, items: usize) -> Result<Vec<Batch>> {
    let mut batches = Vec::new();
    while batches.iter().map(|batch: &Batch| batch.items.len()).sum::<usize>() < items {
        if let Response::Batches(frame) = consumer.next().await? {
            batches.extend(frame.batches);
        }
    }
    let is_event = |item: &item::Item| matches!(item, item::Item::Event(_));
    let items = batches.iter().flat_map(|batch| &batch.items).filter_map(|item| item.item.as_ref());
    ensure!(items.clone().all(is_event), "{:?}", items.collect::<Vec<_>>());
    Ok(batches)
}
