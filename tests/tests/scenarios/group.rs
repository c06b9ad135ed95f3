//! The group token, which all consumers of a subscription share.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tonic::{Code, Status};
use twinroute_proto::capture::v1::{Hello, ResumeSubscriptionRequest, hello};

use crate::{
    decision::{call, status},
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
fn a_gap_cannot_be_accepted_where_there_is_none() -> Result<()> {
    source("no_gap", json!({}), async |source| {
        let resume = |name: &str, accept_gap_at| ResumeSubscriptionRequest {
            name: name.to_owned(),
            accept_gap_at,
            new_group_token: None,
        };
        let name = source.subscription().to_owned();
        let cases = [
            (resume(&name, Some(twinroute_proto::event::v1::Position::default())), Code::FailedPrecondition),
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
