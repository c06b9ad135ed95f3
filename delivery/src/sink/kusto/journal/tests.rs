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

/// Where the blobs go.
const TARGET: &str = "there";

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

async fn look(journal: &mut Journal, target: &str, known: &[Uuid]) -> Left {
    let known = known.iter().copied().collect();
    journal.look(target.to_owned(), known, 10).await.unwrap()
}

fn grant(holdings: &Holdings, partition: u32) {
    let holding = Holding { lease: LeaseId(partition.into()), epoch: Epoch::default(), settled: None };
    holdings.grant([(partition, holding)]);
}

async fn keep(journal: &Journal, blob: &Blob) {
    assert!(journal.keep(TARGET.to_owned(), blob, blob.content.as_ref().unwrap()).await);
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
    assert!(look(&mut journal, TARGET, &[]).await.shipments.is_empty(), "it holds nothing");
    assert!(!journal.is_behind());
    grant(&holdings, 3);
    assert!(journal.is_behind());

    // then it finds that one, with its events
    let Left { shipments, stale } = look(&mut journal, TARGET, &[]).await;
    let [left] = &shipments[..] else { panic!("{shipments:?}") };
    assert_eq!((left.id, left.maker, left.has_arrived), (one.id, Maker::Other, true));
    assert_eq!(left.events, HashSet::from_iter([Uuid::from_u128(1)]));
    assert!(stale.is_empty());

    // and the other with its partition, and not once more what it knows
    grant(&holdings, 4);
    let found = look(&mut journal, TARGET, &[one.id]).await.shipments;
    assert_eq!(found.iter().map(|left| (left.id, left.has_arrived)).collect::<Vec<_>>(), [(other.id, false)]);
}

#[tokio::test]
async fn what_went_elsewhere_is_nothing() {
    // given a shipment that a worker has left
    let folder = tempfile::tempdir().unwrap();
    let shipments = shipments(folder.path()).await;
    let former = Journal::new(shipments.clone(), Holdings::default().watch());
    keep(&former, &blob(1, 3)).await;

    // when the endpoint has another destination since, its holder finds none
    let holdings = Holdings::default();
    grant(&holdings, 3);
    let mut elsewhere = Journal::new(shipments, holdings.watch());
    assert!(look(&mut elsewhere, "elsewhere", &[]).await.shipments.is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_is_passed_by_in_the_end() {
    // given a shipment that a worker has left, and one that is empty
    let folder = tempfile::tempdir().unwrap();
    let shipments = shipments(folder.path()).await;
    let former = Journal::new(shipments.clone(), Holdings::default().watch());
    let blob = blob(1, 3);
    keep(&former, &blob).await;
    shipments.keep(Uuid::from_u128(7), Bytes::new()).await.unwrap();
    let holdings = Holdings::default();
    grant(&holdings, 3);

    // and with the same one that which can be read, once it is clear that the other cannot be
    let mut journal = Journal::new(shipments, holdings.watch());
    for _ in 0..PATIENCE {
        assert!(journal.look(TARGET.to_owned(), HashSet::new(), 10).await.is_err());
        journal.looked(false);
        assert!(journal.is_behind());
    }
    let found = look(&mut journal, TARGET, &[]).await.shipments;
    assert_eq!(found.iter().map(|left| left.id).collect::<Vec<_>>(), [blob.id]);
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
