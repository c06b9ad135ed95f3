//! A worker that was frozen for longer than its lease, and wakes with events that it wants to park.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use twinroute_proto::routes::v1::EndpointHealth;

use crate::{backlog_store::segments, holders::until_held_by, load::load, scene::DEADLINE};

/// The number of a segment that is written late, behind all others of its epoch.
const LATE: &str = "90000000";

/// Twins that are updated all the time.
const TWINS: i32 = 1_000;

#[test]
fn what_a_worker_parks_after_it_has_lost_its_partitions_is_nothing() -> Result<()> {
    load(async |load| {
        // Given Kafka that is down, and twins that are updated all the time, whose events are parked
        let twins = "zombie";
        load.create(twins, TWINS).await?;
        load.settles(twins).await?;
        load.stack.servers.kafka.stop().await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        load.until_endpoint("kafka", DEADLINE, |state| {
            state.health() == EndpointHealth::Down && state.backlog_events > 2_000 && state.backlog_bytes > 0
        })
        .await?;
        // When a worker is frozen, until another one has its partitions and parks
        load.stack.workers.first_mut().context("a worker")?.process().pause()?;
        until_held_by(&load.stack.capture, 1).await?;
        let written = load.stack.servers.postgres.wal_end().await?;
        load.until_confirmed(written).await?;
        // And it goes on with what it had begun: writes that come to their end, which is not left to luck
        let segments = segments(&load.backlog(), "kafka")?;
        let late = late(&segments);
        ensure!(!late.is_empty(), "no partition has segments of before");
        for (of_zombie, late) in late {
            std::fs::copy(of_zombie, late)?;
        }
        load.stack.workers.first_mut().context("a worker")?.process().resume()?;
        until_held_by(&load.stack.capture, 2).await?;
        let woken = load.stack.servers.postgres.wal_end().await?;
        load.until_confirmed(woken).await?;
        // And the other one leaves, so that it takes over the partitions that it had
        let ended = load.stack.workers.pop().context("a worker")?.terminate().await?;
        assert!(ended.success(), "{ended}");
        until_held_by(&load.stack.capture, 1).await?;
        // And Kafka is back
        load.stack.servers.kafka.start_again().await?;
        updates.end().await?;
        // Then all arrives, in order, at Kafka once: it was away all the time
        let fault = "a frozen worker had not acknowledged what it had delivered";
        let verdicts = load.settles_after(twins, fault).await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated).first(), Some(&0));
        Ok(())
    })
}

/// Of each partition that has a later epoch by now: the last segment of the one before, and the name of a segment that is
/// written behind it.
fn late(segments: &BTreeSet<PathBuf>) -> Vec<(&PathBuf, PathBuf)> {
    let neighbours = segments.iter().zip(segments.iter().skip(1));
    let last = neighbours.filter(|(one, next)| {
        let (one, next) = (one.parent(), next.parent());
        one != next && one.and_then(Path::parent) == next.and_then(Path::parent)
    });
    let late = last.filter_map(|(last, _)| {
        let (_, rest) = last.file_name()?.to_str()?.split_once('-')?;
        Some((last, last.with_file_name(format!("{LATE}-{rest}"))))
    });
    late.collect()
}
