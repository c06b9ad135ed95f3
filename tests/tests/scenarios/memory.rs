//! Capture stays under its limit of memory, whatever the size of a document or a transaction, and however slow a consumer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_proto::{
    capture::v1::{Batch, Released, item::Item},
    event::v1::PoisonEvent,
};
use twinroute_tests::{
    services::{Program, Service},
    soak, usage,
};

use crate::{
    large::{self, Large},
    raw::{RawConsumer, Request, events},
    scene::DEADLINE,
    source::{Source, source},
};

/// Letters of a document above the default of `stream.event_bytes_max`.
const LETTERS: usize = 60_000_000;

/// What a poison event keeps of a document.
const PREFIX_BYTES: usize = 64 << 10;

/// `memory.bytes_max` by default, in MiB.
pub(crate) const MEMORY_MAX_MIB: f64 = 256.0;

/// The most that the capture has held, in MiB.
pub(crate) fn peak_mib(capture: &mut Service) -> Result<f64> {
    Ok(usage::of(capture.process().pid())?.peak_rss_mib)
}

/// A consumer with all partitions and credit for everything.
async fn consumer(source: &Source) -> Result<RawConsumer> {
    let mut consumer = source.join("consumer").await?;
    consumer.assignment().await?;
    consumer.credit(10_000_000, 1 << 40).await?;
    Ok(consumer)
}

/// Each kind of change of a large twin, one transaction each, between two small ones: gives the batches.
async fn change_large(source: &Source, consumer: &mut RawConsumer) -> Result<Vec<Batch>> {
    let large = Large::new(source.postgres.connect(source.subscription()).await?);
    source.create("before", 1).await?;
    large.create(LETTERS).await?;
    large.update(LETTERS + 1).await?;
    large.touch().await?;
    large.delete().await?;
    source.create("after", 1).await?;
    let mut batches: Vec<Batch> = Vec::new();
    while batches.iter().map(|batch| batch.items.len()).sum::<usize>() < 6 {
        // Two of them are more than capture may hold.
        let one = consumer.batches(1).await?;
        consumer.ack(&one).await?;
        batches.extend(one);
    }
    source.until_confirmed().await?;
    Ok(batches)
}

#[test]
fn a_document_of_60_mb_is_poison_with_its_prefix_and_its_neighbours_arrive() -> Result<()> {
    source("large_poison", json!({}), async |source| {
        // Given a consumer
        let mut consumer = consumer(source).await?;
        // When a document that is larger than an event may be is created, replaced, kept, and deleted
        let batches = change_large(source, &mut consumer).await?;
        // Then each change is a poison event with the prefix, and the size of the document that there was last
        let poisons: Vec<&PoisonEvent> =
            batches.iter().flat_map(|batch| &batch.items).filter_map(poison).collect();
        let sizes: Vec<_> = poisons.iter().map(|poison| usize::try_from(poison.raw_size_bytes)).collect();
        let (first, second) = (large::size(LETTERS), large::size(LETTERS + 1));
        assert_eq!(sizes, [Ok(first), Ok(second), Ok(second), Ok(second)]);
        for poison in poisons {
            assert_eq!((poison.ordering_key.as_str(), poison.raw.len()), (large::ID, PREFIX_BYTES));
            assert!(poison.raw.starts_with(large::BEGIN.as_bytes()));
            assert!(poison.reason.contains("event_bytes_max is 16777216"), "{}", poison.reason);
        }
        // And the neighbours arrive
        let mut neighbours: Vec<_> = events(&batches).map(|event| event.entity_id.as_str()).collect();
        neighbours.sort_unstable();
        assert_eq!(neighbours, ["after-0", "before-0"]);
        let peak = peak_mib(&mut source.capture)?;
        println!("capture has held {peak:.0} MiB");
        assert!(peak < MEMORY_MAX_MIB, "capture has held {peak:.0} MiB");
        Ok(())
    })
}

fn poison(item: &twinroute_proto::capture::v1::Item) -> Option<&PoisonEvent> {
    match &item.item {
        Some(Item::Poison(poison)) => Some(poison),
        _ => None,
    }
}

#[test]
fn a_document_of_60_mb_arrives_whole_where_there_is_memory_for_it() -> Result<()> {
    let settings = json!({
        "stream": { "event_bytes_max": 64 << 20 },
        "memory": { "bytes_max": 512 << 20 },
    });
    source("large_whole", settings, async |source| {
        // Given a consumer of a capture with room for such documents
        let mut consumer = consumer(source).await?;
        // When one is created, replaced, kept, and deleted
        let batches = change_large(source, &mut consumer).await?;
        // Then each change arrives with the documents before and after it
        let sizes: Vec<_> = events(&batches)
            .filter(|event| event.entity_id == large::ID)
            .map(|event| (event.old.as_ref().map(|old| old.len()), event.new.as_ref().map(|new| new.len())))
            .collect();
        let (first, second) = (Some(large::size(LETTERS)), Some(large::size(LETTERS + 1)));
        assert_eq!(sizes, [(None, first), (first, second), (second, second), (second, None)]);
        for document in
            events(&batches).filter_map(|event| event.new.as_ref().filter(|new| new.len() > PREFIX_BYTES))
        {
            assert!(
                document.starts_with(large::BEGIN.as_bytes()) && document.ends_with(large::END.as_bytes())
            );
        }
        let peak = peak_mib(&mut source.capture)?;
        println!("capture has held {peak:.0} MiB");
        assert!(peak < 512.0, "capture has held {peak:.0} MiB");
        Ok(())
    })
}

#[test]
fn a_transaction_of_very_many_rows_fits_into_memory() -> Result<()> {
    source("large_transaction", json!({}), async |source| {
        let rows = if soak::is_on() { 1_000_000 } else { 300_000 };
        let mut consumer = consumer(source).await?;
        // When twins are created in one transaction, with documents as small as they can be
        let began = Instant::now();
        source.insert("many", 0, rows, 0).await?;
        println!("{rows} rows are committed after {:?}", began.elapsed());
        // Then each arrives once
        let mut taken = consumer.take(rows).await?;
        println!("and have arrived after {:?}", began.elapsed());
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), rows);
        source.until_confirmed().await?;
        let peak = peak_mib(&mut source.capture)?;
        println!("capture has held {peak:.0} MiB");
        assert!(peak < MEMORY_MAX_MIB, "capture has held {peak:.0} MiB");
        Ok(())
    })
}

/// How long consumers do not read: longer than PostgreSQL waits for a silent receiver.
fn stall() -> Duration {
    if soak::is_on() { Duration::from_secs(300) } else { Duration::from_secs(10) }
}

/// Twins with documents of 64 KiB that are written for stalled consumers: more than twice what capture may hold.
const STALLED_TWINS: usize = 2_000;

#[test]
fn consumers_that_stop_reading_cost_neither_memory_nor_the_connection_nor_others_their_pace() -> Result<()> {
    source("stalled", json!({}), async |source| {
        // Given a PostgreSQL that gives a receiver up after three seconds of silence, and another subscription
        let client = source.postgres.connect(source.subscription()).await?;
        client.batch_execute("ALTER DATABASE stalled SET wal_sender_timeout = '3s'").await?;
        source.capture.terminate().await?;
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        let mut settings = source.settings();
        settings["source"]["subscription"] = json!("stalled_not");
        let mut other = Service::start(Program::Capture, "capture-other", settings, source.dir())?;
        other.until_ready().await?;
        let mut reading = RawConsumer::connect(&other.grpc()).await?;
        reading.hello("stalled_not", "reading").await?;
        reading.keep_leases();
        let mut reading = reading.settle().await?;
        // And two consumers: one gives no credit, the other gives all, and does not read
        let mut without_credit = source.join("without-credit").await?;
        without_credit.assignment().await?;
        let without_reading = source.join("without-reading").await?;
        let half = without_credit.assignment().await?;
        without_credit.send(Request::Released(Released { assignment_id: half.assignment_id })).await?;
        without_reading.credit(10_000_000, 1 << 40).await?;
        let walsender = walsender(source).await?;
        // When more is written than capture may hold
        source.insert("stalled", 1_000_000, STALLED_TWINS, 65_536).await?;
        // Then the other subscription gets all of it and what follows, and the connection stays
        let began = Instant::now();
        let mut twins = 0;
        while began.elapsed() < stall() {
            source.create(&format!("moment-{twins}"), 1).await?;
            reading.until_seen(&format!("moment-{twins}-0")).await?;
            twins += 1;
            ensure!(walsender == self::walsender(source).await?, "the walsender is another one");
        }
        // And when they read again, everything arrives once
        let mut first = without_credit.settle().await?;
        let mut second = without_reading.settle().await?;
        source.until_confirmed_within(2 * DEADLINE).await?;
        let mut taken = first.until_taken(1).await?;
        taken.extend(second.until_taken(1).await?);
        taken.sort_unstable();
        let arrived = taken.len();
        taken.dedup();
        assert_eq!((arrived, taken.len()), (STALLED_TWINS + twins, STALLED_TWINS + twins));
        let peaks = [peak_mib(&mut source.capture)?, peak_mib(&mut other)?];
        println!("the captures have held {peaks:.0?} MiB");
        assert!(peaks.iter().all(|peak| *peak < MEMORY_MAX_MIB), "the captures have held {peaks:.0?} MiB");
        Ok(())
    })
}

/// The process of PostgreSQL that sends to capture.
async fn walsender(source: &Source) -> Result<i32> {
    let client = source.postgres.connect("postgres").await?;
    let slot = format!("twinroute_{}", source.subscription());
    let query = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1";
    let row = client.query_one(query, &[&slot]).await?;
    row.try_get::<_, Option<i32>>(0)?.context("nobody streams")
}
