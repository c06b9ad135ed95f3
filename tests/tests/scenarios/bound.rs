//! A subscription that holds back more WAL than it may: reported, dropped, and only it.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tonic::Code;
use twinroute_proto::capture::v1::{Subscription, SubscriptionState};
use twinroute_tests::{services::Service, wait};

use crate::{
    administration::{create, entities, get, named, status_of},
    alone::alone,
    decision::{PARTITIONS, consumer, first_of_each_partition, resume},
    raw::{RawConsumer, events, hello},
    scene::DEADLINE,
};

/// WAL that the slot of `bounded` keeps, in bytes.
async fn retained(capture: &Service) -> Result<u64> {
    let slot = status_of(capture, "bounded").await?.slot;
    Ok(slot.context("no slot")?.retained_bytes)
}

/// WAL that the created subscription may hold back: two segments, and a part of the third.
const BOUND: u64 = 40 << 20;

#[test]
fn a_subscription_beyond_its_bound_is_reported_then_dropped_and_goes_on_when_told_to() -> Result<()> {
    alone("bound", json!({ "slot_poll_ms": 100 }), async |it| {
        // Given a created subscription with a small bound, whose consumer holds an event back
        let wanted = Subscription { wal_retained_bytes_max: BOUND, ..named("bounded") };
        create(&it.capture, wanted).await??;
        let mut idle = consumer(&it.capture, "bounded").await?;
        it.create("held", 1).await?;
        idle.batches(1).await?;
        // When WAL is written, then it is reported at half of the bound
        while retained(&it.capture).await? <= BOUND / 2 {
            it.write_segment().await?;
        }
        wait::until(DEADLINE, "the report", async || {
            let reported = get(&it.capture, "bounded").await?;
            ensure!(reported.state() == SubscriptionState::Streaming, "{reported:?}");
            ensure!(reported.reason.contains(&BOUND.to_string()), "{reported:?}");
            Ok(())
        })
        .await?;
        let log = std::fs::read_to_string(it.capture.log())?;
        ensure!(log.contains("above 41943040 it is dropped"), "the log says nothing");
        // When it is written on
        for _ in 0..3 {
            it.write_segment().await?;
        }
        // Then the stream ends, the slot is dropped, and status and metrics tell why
        ensure!(idle.end().await?.code() == Code::Unavailable);
        let line = "twinroute_capture_stopped{subscription=\"bounded\",cause=\"dropped\"} 1";
        it.capture.until_page(DEADLINE, "/metrics", |_, text| text.contains(line)).await?;
        let status = status_of(&it.capture, "bounded").await?;
        let dropped = status.subscription.context("no subscription")?;
        ensure!(dropped.state() == SubscriptionState::Stopped && status.slot.is_none(), "{dropped:?}");
        ensure!(dropped.reason.contains("was dropped"), "{}", dropped.reason);
        // And whoever connects is told the reason and the remedy
        let mut late = RawConsumer::connect(&it.capture.grpc()).await?;
        late.send(hello("bounded", "late")).await?;
        let refused = late.end().await?;
        ensure!(refused.code() == Code::FailedPrecondition, "{refused}");
        for part in ["wal_retained_bytes_max", "ResumeSubscription", "delete"] {
            ensure!(refused.message().contains(part), "{refused}");
        }
        // And the configured one, which has kept its slot, streams on, also after a crash
        it.capture.kill().await?;
        it.capture.start_again()?;
        it.capture.until_ready().await?;
        let mut others = consumer(&it.capture, "delivery").await?;
        ensure!(entities(&mut others, 1).await? == ["held-0"]);
        wait::until(DEADLINE, "the dropped one to be known again", async || {
            ensure!(get(&it.capture, "bounded").await?.state() == SubscriptionState::Stopped);
            Ok(())
        })
        .await?;
        // When the gap is accepted, then it streams from now on, behind a discontinuity
        resume(&it.capture, "bounded", status.stopped_at).await??;
        let mut again = consumer(&it.capture, "bounded").await?;
        it.create("after", 1).await?;
        let told = again.batches(PARTITIONS + 1).await?;
        let gap = first_of_each_partition(&told)?;
        ensure!(gap.last_known == status.stopped_at, "{gap:?}");
        ensure!(events(&told).map(|event| event.entity_id.as_str()).eq(["after-0"]));
        Ok(())
    })
}
