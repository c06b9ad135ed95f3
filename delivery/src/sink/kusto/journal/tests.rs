//! What others have left is found by whoever holds the partitions of its events.

use std::path::Path;

use tempfile::TempDir;
use tokio::time::Instant;
use twinroute_common::cloud_event::EventType;
use twinroute_common::partition::Epoch;
use twinroute_common::secret::SecretPolicy;

use super::*;
use crate::backlog::store::Store;
use crate::config::BacklogSettings;
use crate::holdings::{Holding, Holdings};
use crate::letter_box::resolve_by;
use crate::settlement::LeaseId;
use crate::sink::Submission;
use crate::sink::kusto::blob::Batch;
use crate::sink::test_events::event;

async fn shipments(folder: &Path) -> Shipments {
    let settings =
        BacklogSettings { url: format!("file://{}", folder.display()), ..BacklogSettings::default() };
    let store = Store::open(&settings, "delivery", resolve_by(SecretPolicy::default())).await.unwrap();
    store.shipments("history")
}

/// A blob with one event of a partition.
fn blob(number: u128, partition: u32) -> Blob {
    let mut event = event(EventType::PropertyEvent, "a", r#"{"n":1}"#);
    event.id = Uuid::from_u128(number);
    let mut batch = Batch::default();
    batch.push(&Submission { token: 1, partition, event: event.into() }, Instant::now()).unwrap();
    batch.finish().pop().unwrap()
}

fn grant(holdings: &Holdings, partition: u32) {
    let holding = Holding { lease: LeaseId(1), epoch: Epoch::default(), settled: None };
    holdings.grant([(partition, holding)]);
}

async fn keep(journal: &Journal, blob: &Blob) {
    assert!(journal.keep(blob, blob.content.as_ref().unwrap()).await);
}

/// The path of the only blob that is kept.
fn only_blob(folder: &TempDir) -> std::path::PathBuf {
    let shipments = folder.path().join("delivery/history/shipments");
    let mut kept = std::fs::read_dir(shipments).unwrap().map(|entry| entry.unwrap().path());
    kept.find(|path| path.extension().is_some_and(|kind| kind == "blob")).unwrap()
}

#[tokio::test]
async fn a_successor_finds_what_was_left_of_its_partitions() {
    // given a worker that has left shipments of two partitions, one of which has arrived
    let folder = tempfile::tempdir().unwrap();
    let shipments = shipments(folder.path()).await;
    let former = Journal::new(shipments.clone(), Holdings::default().watch());
    let (one, other) = (blob(1, 3), blob(2, 4));
    keep(&former, &one).await;
    keep(&former, &other).await;
    former.accept(one.id).await;

    // when another one gets one of the partitions
    let holdings = Holdings::default();
    let mut journal = Journal::new(shipments, holdings.watch());
    assert!(journal.is_behind());
    assert!(journal.look(HashSet::new()).await.unwrap().shipments.is_empty(), "it holds nothing");
    assert!(!journal.is_behind());
    grant(&holdings, 3);
    assert!(journal.is_behind());

    // then it finds that one, with its events
    let Left { shipments, stale } = journal.look(HashSet::new()).await.unwrap();
    let [left] = &shipments[..] else { panic!("{shipments:?}") };
    assert_eq!((left.id, left.has_arrived), (one.id, true));
    assert_eq!(left.events, HashSet::from_iter([Uuid::from_u128(1)]));
    assert!(stale.is_empty());

    // and not once more what it knows
    grant(&holdings, 4);
    let known = HashSet::from_iter([one.id]);
    let found = journal.look(known).await.unwrap().shipments;
    assert_eq!(found.iter().map(|left| (left.id, left.has_arrived)).collect::<Vec<_>>(), [(other.id, false)]);
}

#[tokio::test]
async fn a_blob_is_sent_again_as_it_was() {
    // given a blob that is kept
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(shipments(folder.path()).await, Holdings::default().watch());
    let blob = blob(1, 3);
    keep(&journal, &blob).await;

    // then it is loaded as it was
    let parcel = journal.load(blob.id).await.unwrap().unwrap();
    assert_eq!((parcel.id, parcel.table, parcel.raw_bytes), (blob.id, blob.table, blob.raw_bytes));
    assert_eq!(parcel.content, *blob.content.as_ref().unwrap());

    // and not at all when it was changed or is gone
    std::fs::write(only_blob(&folder), "changed").unwrap();
    assert!(journal.load(blob.id).await.unwrap().is_none());
    assert_eq!(journal.forget(vec![blob.id]).await.unwrap(), [blob.id]);
    assert!(journal.load(blob.id).await.unwrap().is_none());
}
