//! Shipments that may have arrived are sent again as they were, by the same sink and by its successors.

mod cluster;

use std::time::Duration;

use tempfile::TempDir;
use twinroute_common::cloud_event::EventType;
use twinroute_common::partition::Epoch;
use twinroute_common::route::KustoTables;
use twinroute_common::secret::SecretPolicy;
use uuid::Uuid;

use self::cluster::{Cluster, Message};
use super::*;
use crate::backlog::store::Store;
use crate::config::BacklogSettings;
use crate::config::sinks::SinkLimits;
use crate::holdings::{Holding, Holdings};
use crate::letter_box::resolve_by;
use crate::settlement::LeaseId;
use crate::sink::test_events::event;
use crate::sink::{Submission, Verdict};

const DEADLINE: Duration = Duration::from_secs(10);
/// How long the endpoint of these tests waits before it tries again.
const BACKOFF: Duration = Duration::from_millis(20);

/// A cluster, and what workers of one subscription share.
struct Scene {
    cluster: Cluster,
    store: Store,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let settings = BacklogSettings { url, ..BacklogSettings::default() };
        let store = Store::open(&settings, "delivery", resolve_by(SecretPolicy::default())).await.unwrap();
        Self { cluster: Cluster::start().await, store, folder }
    }

    /// The sink of a worker that holds some partitions.
    fn worker(&self, partitions: &[u32]) -> (Sink, Holdings) {
        let holdings = Holdings::default();
        let holding = || Holding { lease: LeaseId(1), epoch: Epoch::default(), settled: None };
        holdings.grant(partitions.iter().map(|partition| (*partition, holding())));
        let options = KustoOptions {
            ingestion_uri: self.cluster.url().to_owned(),
            database: "twins".to_owned(),
            tables: KustoTables::default(),
            create_tables: true,
            identity: None,
        };
        let mut limits = SinkLimits::default();
        limits.kusto.blob_age_ms = 10;
        limits.kusto.retry_initial_ms = 10;
        let context =
            SinkContext { worker_id: "worker".to_owned(), limits: Arc::new(limits), secrets: Arc::default() };
        let journal = Journal::new(self.store.shipments("history"), holdings.watch());
        (start("history", &options, context, Some(journal)).unwrap(), holdings)
    }

    /// The sink of a worker whose shipment of event 1 in partition 3 and event 2 in partition 4 was taken, and the answer was
    /// lost.
    async fn uncertain(&self) -> Sink {
        let (mut sink, _holdings) = self.worker(&[3, 4]);
        self.cluster.lose_answers(1);
        submit(&sink, 1, 3).await;
        submit(&sink, 2, 4).await;
        assert_eq!([answer(&mut sink).await, answer(&mut sink).await], [(1, false), (2, false)]);
        sink
    }

    /// The events of each message, and whether it has the tags of its id.
    fn messages(&self) -> Vec<Vec<u128>> {
        let is_tagged = |Message { id, tags: [tags, unless], .. }: &Message| {
            *tags == format!(r#"["ingest-by:{id}"]"#) && *unless == format!(r#"["{id}"]"#)
        };
        let messages = self.cluster.messages();
        assert!(messages.iter().all(is_tagged), "{messages:?}");
        messages.into_iter().map(|message| message.events).collect()
    }
}

/// Hands over an event; its number is its token and its id.
async fn submit(sink: &Sink, number: u64, partition: u32) {
    let mut event = event(EventType::PropertyEvent, "a", "{}");
    event.id = Uuid::from_u128(number.into());
    let submission = Submission { token: number, partition, event: event.into() };
    sink.submissions.send(submission).await.unwrap();
}

/// The next answer: the token, and whether the event was delivered.
async fn answer(sink: &mut Sink) -> (u64, bool) {
    let outcome = tokio::time::timeout(DEADLINE, sink.outcomes.recv()).await.unwrap().unwrap();
    (outcome.token, matches!(outcome.verdict, Verdict::Delivered))
}

/// Hands over an event until it is delivered, as an endpoint does: with waits, in which the sink gets over a failure.
async fn deliver(sink: &mut Sink, number: u64, partition: u32) {
    let delivering = async {
        loop {
            submit(sink, number, partition).await;
            if answer(sink).await == (number, true) {
                return;
            }
            tokio::time::sleep(BACKOFF).await;
        }
    };
    tokio::time::timeout(DEADLINE, delivering).await.unwrap();
}

#[tokio::test]
async fn a_shipment_whose_answer_was_lost_is_sent_again_as_it_was() {
    // given two events whose blob is taken, and the answer is lost
    let scene = Scene::new().await;
    let mut sink = scene.uncertain().await;

    // when one of them is handed over again, and then another event, and then the second
    for (number, partition) in [(2, 4), (5, 4), (1, 3)] {
        deliver(&mut sink, number, partition).await;
    }

    // then the same message came twice, and the other event in one of its own
    assert_eq!(scene.messages(), [vec![1, 2], vec![1, 2], vec![5]]);
    let messages = scene.cluster.messages();
    assert_eq!(messages.first(), messages.get(1));
}

#[tokio::test]
async fn a_successor_sends_the_shipment_that_its_predecessor_may_have_sent() {
    // given a worker that does not know whether its shipment was taken, and is gone
    let scene = Scene::new().await;
    drop(scene.uncertain().await);

    // when others get its partitions, one after the other, and what stood there with an event behind it
    let (mut one, _holdings) = scene.worker(&[3]);
    submit(&one, 1, 3).await;
    submit(&one, 11, 3).await;
    assert_eq!([answer(&mut one).await, answer(&mut one).await], [(1, true), (11, true)]);
    let (mut other, holdings) = scene.worker(&[7]);
    deliver(&mut other, 7, 7).await;
    let holding = Holding { lease: LeaseId(2), epoch: Epoch::default(), settled: None };
    holdings.grant([(4, holding)]);
    deliver(&mut other, 2, 4).await;

    // then the first sent the same message, and the second knew that it has arrived
    assert_eq!(scene.messages(), [vec![1, 2], vec![1, 2], vec![11], vec![7]]);
    let messages = scene.cluster.messages();
    assert_eq!(messages.first(), messages.get(1));
}

#[tokio::test]
async fn a_shipment_that_has_arrived_is_not_sent_again() {
    // given a worker that has delivered an event, and is gone before that is settled
    let scene = Scene::new().await;
    let (mut sink, _holdings) = scene.worker(&[3]);
    deliver(&mut sink, 1, 3).await;
    drop(sink);

    // when another one gets it, and is told meanwhile again and again what is cleared
    let (mut other, _holdings) = scene.worker(&[3]);
    let (cleared, long_ago) = (other.cleared_until.clone(), *other.cleared_until.borrow());
    let telling = tokio::spawn(async move {
        loop {
            cleared.send_replace(long_ago);
            tokio::task::yield_now().await;
        }
    });
    deliver(&mut other, 1, 3).await;
    telling.abort();

    // then it is delivered, without a second message
    assert_eq!(scene.messages(), [vec![1]]);
}

#[tokio::test]
async fn nothing_is_kept_when_what_was_parked_is_gone() {
    // given a shipment that has arrived
    let scene = Scene::new().await;
    let (mut sink, _holdings) = scene.worker(&[3]);
    deliver(&mut sink, 1, 3).await;
    let shipments = scene.store.shipments("history");
    assert_eq!(shipments.list().await.unwrap().len(), 1);

    // when whatever was parked before is delivered and deleted, it is not kept any more
    sink.cleared_until.send_replace(std::time::Instant::now());
    let forgotten = async {
        while !shipments.list().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, forgotten).await.unwrap();
}

#[tokio::test]
async fn a_store_that_takes_nothing_holds_up_nothing() {
    // given a store in which no shipment can be kept, as on a full disk
    let scene = Scene::new().await;
    let endpoint = scene.folder.path().join("delivery/history");
    std::fs::create_dir_all(&endpoint).unwrap();
    std::fs::write(endpoint.join("shipments"), "in the way").unwrap();

    // when an event is handed over, it is delivered: so room is made
    let (mut sink, _holdings) = scene.worker(&[3]);
    submit(&sink, 1, 3).await;
    assert_eq!(answer(&mut sink).await, (1, true));

    // and when an answer is lost, the event is sent in another shipment
    scene.cluster.lose_answers(1);
    submit(&sink, 2, 3).await;
    assert_eq!(answer(&mut sink).await, (2, false));
    deliver(&mut sink, 2, 3).await;
    assert_eq!(scene.messages(), [vec![1], vec![2], vec![2]]);
}
