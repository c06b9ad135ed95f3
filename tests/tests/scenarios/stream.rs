//! The capture stream as any consumer sees it: credit, leases, epochs, what is sent again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::json;
use tonic::Code;
use twinroute_proto::capture::v1::{Batch, Released};

use crate::{
    raw::{Request, Response, epoch, events, granted},
    source::source,
};

/// Bytes that no scenario uses up.
const BYTES: u64 = 1 << 30;

/// The entities of each partition, in order.
fn by_partition(batches: &[Batch]) -> BTreeMap<u32, Vec<String>> {
    let mut entities: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for batch in batches {
        entities
            .entry(batch.partition)
            .or_default()
            .extend(events([batch]).map(|event| event.entity_id.clone()));
    }
    entities
}

fn items(batches: &[Batch]) -> usize {
    batches.iter().map(|batch| batch.items.len()).sum()
}

#[test]
fn nothing_is_sent_beyond_the_credit_of_events_or_bytes() -> Result<()> {
    source("credit", json!({}), async |source| {
        // Given a consumer without credit, and events for it
        let mut consumer = source.join("consumer").await?;
        consumer.assignment().await?;
        source.create("twin", 100).await?;
        // Then nothing is sent
        consumer.is_quiet().await?;
        // When it gives credit for ten events, and then for one byte more than none
        consumer.credit(10, BYTES).await?;
        let ten = consumer.batches(10).await?;
        consumer.is_quiet().await?;
        assert_eq!(items(&ten), 10);
        // Then each item has a cost, and the bytes that are left count on
        assert!(ten.iter().flat_map(|batch| &batch.items).all(|item| item.cost_bytes > 0));
        consumer.credit(5, 0).await?;
        let five = consumer.batches(5).await?;
        consumer.is_quiet().await?;
        assert_eq!(items(&five), 5);
        Ok(())
    })
}

#[test]
fn one_item_may_overdraw_the_bytes_and_no_other_follows() -> Result<()> {
    source("credit_bytes", json!({}), async |source| {
        // Given a consumer with credit for many events and one byte
        let mut consumer = source.join("consumer").await?;
        consumer.assignment().await?;
        source.create("twin", 20).await?;
        consumer.credit(1_000, 1).await?;
        // Then one item is sent
        let one = consumer.batches(1).await?;
        consumer.is_quiet().await?;
        assert_eq!(items(&one), 1);
        // When exactly its cost is given back
        let cost = one.iter().flat_map(|batch| &batch.items).map(|item| item.cost_bytes).sum();
        consumer.ack(&one).await?;
        consumer.credit(1, cost).await?;
        // Then one more is
        let one = consumer.batches(1).await?;
        consumer.is_quiet().await?;
        assert_eq!(items(&one), 1);
        Ok(())
    })
}

#[test]
fn a_frame_carries_what_is_there_for_several_partitions() -> Result<()> {
    source("frames", json!({}), async |source| {
        // Given a consumer of a transaction over many twins
        let mut consumer = source.join("consumer").await?;
        let partitions = granted(&consumer.assignment().await?);
        assert_eq!(partitions.len(), 64);
        source.create("twin", 500).await?;
        consumer.credit(1_000, BYTES).await?;
        // Then one frame has batches of many partitions
        let frame = loop {
            if let Response::Batches(frame) = consumer.next().await? {
                break frame.batches;
            }
        };
        let of_frame: BTreeSet<u32> = frame.iter().map(|batch| batch.partition).collect();
        assert!(of_frame.len() > 10, "{of_frame:?}");
        // And batches are numbered from 1 in each, without holes
        let mut batches = frame;
        let missing = 500 - items(&batches);
        batches.extend(consumer.batches(missing).await?);
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        for batch in &batches {
            let number = next.entry(batch.partition).or_insert(1);
            assert_eq!((batch.batch, Some(&epoch(batch.epoch))), (*number, partitions.get(&batch.partition)));
            *number += 1;
        }
        // And with the last acknowledgement the slot follows
        consumer.ack(&batches).await?;
        source.until_confirmed().await
    })
}

#[test]
fn partitions_move_to_others_with_what_is_not_acknowledged() -> Result<()> {
    source("moves", json!({}), async |source| {
        // Given a consumer with all partitions, that got events of all and has acknowledged those of one
        let mut first = source.join("first").await?;
        let of_first = granted(&first.assignment().await?);
        source.create("twin", 300).await?;
        first.credit(1_000, BYTES).await?;
        let sent = first.batches(300).await?;
        let settled = sent.first().map(|batch| batch.partition).unwrap_or_default();
        first.ack(sent.iter().filter(|batch| batch.partition == settled)).await?;
        // When a second one joins
        let mut second = source.join("second").await?;
        second.credit(1_000, BYTES).await?;
        // Then half of the partitions are revoked, and move once they are released
        let revoking = first.assignment().await?;
        assert_eq!((revoking.revoked.len(), revoking.granted.len()), (32, 0));
        assert!(revoking.deadline.is_some());
        first.send(Request::Released(Released { assignment_id: revoking.assignment_id })).await?;
        let of_second = granted(&second.assignment().await?);
        let revoked: BTreeSet<u32> = revoking.revoked.iter().copied().collect();
        assert_eq!(of_second.keys().copied().collect::<BTreeSet<_>>(), revoked);
        // under higher epochs
        assert!(
            of_second.iter().all(|(partition, epoch)| of_first.get(partition).is_some_and(|of| of < epoch))
        );
        // with the events that were not acknowledged, in the same order
        let mut unacked = by_partition(&sent);
        unacked.remove(&settled);
        let moved = |(partition, entities): (&u32, &Vec<String>)| {
            of_second.contains_key(partition).then(|| (*partition, entities.clone()))
        };
        let expected: BTreeMap<u32, Vec<String>> = unacked.iter().filter_map(moved).collect();
        let again = second.batches(expected.values().map(Vec::len).sum()).await?;
        assert_eq!(by_partition(&again), expected);
        // When the first acknowledges what it has lost
        first
            .ack(
                &sent
                    .iter()
                    .filter(|batch| of_second.contains_key(&batch.partition))
                    .cloned()
                    .collect::<Vec<_>>(),
            )
            .await?;
        // Then it is fenced, and nothing is settled by it
        let fenced = loop {
            if let Response::Fenced(fenced) = first.next().await? {
                break fenced.partitions;
            }
        };
        assert!(fenced.iter().all(|one| Some(&epoch(one.epoch)) == of_first.get(&one.partition)));
        // When it is gone
        drop(first);
        // Then the second has all, and gets the rest again
        let rest = granted(&second.assignment().await?);
        assert_eq!(rest.len(), 32);
        assert!(rest.iter().all(|(partition, epoch)| of_first.get(partition).is_some_and(|of| of < epoch)));
        unacked.retain(|partition, _| rest.contains_key(partition));
        let others = second.batches(unacked.values().map(Vec::len).sum()).await?;
        assert_eq!(by_partition(&others), unacked);
        // And when all is acknowledged, the slot follows
        second.ack(again.iter().chain(&others)).await?;
        source.until_confirmed().await
    })
}

#[test]
fn the_slot_never_passes_an_event_that_is_not_acknowledged() -> Result<()> {
    source("unacked", json!({}), async |source| {
        // Given a consumer that acknowledges all but the oldest event
        let mut consumer = source.join("consumer").await?;
        consumer.assignment().await?;
        source.create("oldest", 1).await?;
        consumer.credit(1_000, BYTES).await?;
        let oldest = consumer.batches(1).await?;
        source.create("other", 50).await?;
        let others = consumer.batches(50).await?;
        let held = oldest.iter().map(|batch| batch.partition).collect::<BTreeSet<_>>();
        consumer.ack(others.iter().filter(|batch| !held.contains(&batch.partition))).await?;
        // When time passes, and others write
        source.write_elsewhere().await?;
        for _ in 0..3 {
            consumer.is_quiet().await?;
        }
        // Then the slot stays where it is
        let position = events(&oldest).next().and_then(|event| event.position).unwrap_or_default();
        let confirmed = source.confirmed().await?;
        assert!(confirmed <= position.commit_lsn, "{confirmed:X} is beyond {position:?}");
        // until it is acknowledged too
        consumer.ack(oldest.iter().chain(&others)).await?;
        source.until_confirmed().await
    })
}

#[test]
fn a_consumer_without_heartbeat_loses_its_partitions() -> Result<()> {
    source("lease", json!({ "stream": { "lease_ms": 1_500 } }), async |source| {
        // Given a consumer that is silent, with an event that it does not acknowledge
        let mut silent = source.connect().await?;
        silent.hello(source.subscription(), "silent").await?;
        let of_silent = granted(&silent.assignment().await?);
        source.create("twin", 1).await?;
        silent.credit(10, BYTES).await?;
        silent.batches(1).await?;
        // Then its stream is closed
        let status = silent.end().await?;
        assert_eq!(status.code(), Code::Aborted, "{status}");
        assert!(status.message().contains("Heartbeat"), "{status}");
        // And another one gets it all
        let mut other = source.join("other").await?;
        other.credit(10, BYTES).await?;
        let of_other = granted(&other.assignment().await?);
        assert!(
            of_other.iter().all(|(partition, epoch)| of_silent.get(partition).is_some_and(|of| of < epoch))
        );
        let again = other.batches(1).await?;
        assert_eq!(events(&again).map(|event| event.entity_id.as_str()).collect::<Vec<_>>(), ["twin-0"]);
        Ok(())
    })
}

#[test]
fn a_second_stream_of_one_consumer_replaces_the_first() -> Result<()> {
    source("replaced", json!({}), async |source| {
        // Given a consumer
        let mut first = source.join("same").await?;
        first.assignment().await?;
        // When another stream has its name
        let mut second = source.join("same").await?;
        // Then that one gets the partitions
        assert_eq!(granted(&second.assignment().await?).len(), 64);
        // And the first one is told to go
        let go_away = loop {
            if let Response::GoAway(go_away) = first.next().await? {
                break go_away;
            }
        };
        assert!(go_away.reason.contains("same"), "{}", go_away.reason);
        assert_eq!(first.end().await?.code(), Code::AlreadyExists);
        Ok(())
    })
}
