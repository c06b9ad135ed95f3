//! The group token, which all consumers of a subscription share.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use tonic::{Code, Status};
use twinroute_proto::{
    capture::v1::{Hello, LastSeen, ResumeSubscriptionRequest, SubscriptionState, hello},
    event::v1::Position,
};

use crate::{
    decision::{call, status, until_stopped},
    raw::{RawConsumer, Request},
    source::{Source, source},
};

/// A consumer with this token, that has joined.
async fn joined(source: &Source, consumer_id: &str, token: &str) -> Result<RawConsumer> {
    let mut consumer = source.connect().await?;
    consumer.say(with_token(source, consumer_id, token)).await?;
    consumer.keep_leases();
    Ok(consumer)
}

/// Why a consumer with this token may not join.
async fn refused(source: &Source, consumer_id: &str, token: &str) -> Result<Status> {
    let mut consumer = source.connect().await?;
    consumer.send(with_token(source, consumer_id, token)).await?;
    consumer.end().await
}

fn with_token(source: &Source, consumer_id: &str, token: &str) -> Request {
    Request::Hello(Hello {
        source: Some(hello::Source::Subscription(source.subscription().to_owned())),
        consumer_id: consumer_id.to_owned(),
        protocol_version: 1,
        group_token: token.to_owned(),
        ..Hello::default()
    })
}

#[test]
fn consumers_with_another_group_token_are_refused_until_an_operator_changes_it() -> Result<()> {
    source("token", json!({}), async |source| {
        // Given a consumer with a token, the first
        let mut first = joined(source, "first", "store-a").await?;
        // Then one with the same may join, and one with another or none may not
        let _second = joined(source, "second", "store-a").await?;
        for token in ["store-b", ""] {
            let refused = refused(source, "third", token).await?;
            ensure!(refused.code() == Code::FailedPrecondition, "{token}: {refused}");
            ensure!(refused.message().contains("store-a"), "{refused}");
        }
        // also after capture was killed
        source.capture.kill().await?;
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        ensure!(refused(source, "third", "store-b").await?.code() == Code::FailedPrecondition);
        let kept = status(&source.capture).await?.subscription.unwrap_or_default();
        ensure!(kept.group_token == "store-a", "{kept:?}");
        drop(first);
        first = joined(source, "first", "store-a").await?;
        // When an operator gives the subscription another one
        let name = source.subscription().to_owned();
        let request = ResumeSubscriptionRequest {
            name,
            accept_gap_at: None,
            new_group_token: Some("store-b".to_owned()),
        };
        let changed = call(&source.capture, request).await??;
        // Then consumers with the former one lose their stream and may not come again, and others may
        ensure!(first.end().await?.code() == Code::Unavailable);
        ensure!(changed.group_token == "store-b", "{changed:?}");
        source.capture.until_ready().await?;
        ensure!(refused(source, "first", "store-a").await?.code() == Code::FailedPrecondition);
        joined(source, "third", "store-b").await?;
        Ok(())
    })
}

#[test]
fn what_a_consumer_claims_to_have_seen_stops_nothing_if_it_is_a_strangers_or_nobodys() -> Result<()> {
    source("claims", json!({}), async |source| {
        // Given a subscription whose consumers have a token
        let _worker = joined(source, "worker", "store").await?;
        let status_now = status(&source.capture).await?;
        let incarnation = status_now.subscription.unwrap_or_default().incarnation;
        let beyond = Position { incarnation, commit_lsn: 1 << 60, change_lsn: 1 << 50, ordinal: 0 };
        let cases = [
            ("a stranger's", "", 1, beyond, Code::FailedPrecondition),
            (
                "no incarnation's",
                "store",
                1,
                Position { incarnation: u64::MAX, ..beyond },
                Code::InvalidArgument,
            ),
            ("no timeline's", "store", u32::MAX, beyond, Code::InvalidArgument),
            ("no change's", "store", 1, Position { change_lsn: u64::MAX, ..beyond }, Code::InvalidArgument),
        ];
        for (case, token, timeline, position, code) in cases {
            // When a consumer says that it has seen what the server does not have
            let Request::Hello(hello) = with_token(source, "other", token) else { bail!("no Hello") };
            let last_seen = Some(LastSeen { timeline, position: Some(position) });
            let mut other = source.connect().await?;
            other.send(Request::Hello(Hello { last_seen, ..hello })).await?;
            // Then it is refused
            let refused = other.end().await?;
            ensure!(refused.code() == code, "{case}: {refused}");
        }
        // And the subscription goes on as if nothing had happened
        let now = status(&source.capture).await?;
        ensure!(
            now.subscription.as_ref().is_some_and(|it| it.state() == SubscriptionState::Streaming),
            "{now:?}"
        );
        ensure!(now.partitions.iter().all(|one| one.consumer_id == "worker"), "{now:?}");
        Ok(())
    })
}

#[test]
fn a_stopped_subscription_takes_a_new_group_token_and_stays_stopped() -> Result<()> {
    source("stopped_token", json!({}), async |source| {
        // Given a subscription that is stopped at a gap
        source.capture.terminate().await?;
        let name = source.subscription().to_owned();
        let client = source.graph().await?;
        let slot = format!("twinroute_{name}");
        client.client().execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await?;
        source.capture.start_again()?;
        let stopped = until_stopped(&source.capture, "slot_gone", "is gone").await?;
        // When it is given another group token and nothing is accepted
        let request = ResumeSubscriptionRequest {
            name,
            accept_gap_at: None,
            new_group_token: Some("store".to_owned()),
        };
        call(&source.capture, request).await??;
        // Then it has it, and is stopped where it was
        let again = until_stopped(&source.capture, "slot_gone", "is gone").await?;
        let token = again.subscription.unwrap_or_default().group_token;
        ensure!(token == "store" && again.stopped_at == stopped.stopped_at, "{token} {:?}", again.stopped_at);
        Ok(())
    })
}

#[test]
fn a_gap_cannot_be_accepted_where_there_is_none() -> Result<()> {
    source("no_gap", json!({}), async |source| {
        let resume = |name: &str, accept_gap_at| ResumeSubscriptionRequest {
            name: name.to_owned(),
            accept_gap_at,
            new_group_token: None,
        };
        let name = source.subscription().to_owned();
        let cases = [
            (resume(&name, Some(Position::default())), Code::FailedPrecondition),
            (resume(&name, None), Code::InvalidArgument),
            (resume("other", None), Code::NotFound),
        ];
        for (request, code) in cases {
            let refused = call(&source.capture, request.clone()).await?.err().context("it is accepted")?;
            ensure!(refused.code() == code, "{request:?}: {refused}");
        }
        // and nothing has happened to the subscription
        source.capture.until_ready().await
    })
}
