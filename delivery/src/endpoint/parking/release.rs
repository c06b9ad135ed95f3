//! How an endpoint's parking ends: for leases that are over, and with the endpoint.

use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use tracing::warn;
use twinroute_common::causes::Causes;

use super::{Parking, ParkingContext, RETRY};
use crate::backlog::name::Folder;
use crate::backlog::operation::{Operation, Outcome};
use crate::backlog::shelf::{DELETED_MAX, Stock};
use crate::backlog::store::Store;
use crate::delivery::Origin;
use crate::endpoint::LeaseSet;
use crate::endpoint::lane::Lane;
use crate::holdings::Held;
use crate::retry::Retries;
use crate::settlement::ItemRef;

/// Attempts to delete what is parked of a deleted endpoint.
const DELETING: Retries = Retries { attempts: 4, waits: RETRY };

impl Parking {
    /// Has nothing more to do with some leases. Operations that run come to their end, and how far segments are is noted,
    /// so that the next holder repeats nothing; what has not come to its end at `until` may be repeated.
    pub(in crate::endpoint) async fn release(
        &mut self,
        leases: &LeaseSet,
        lane: &mut Lane,
        settled: &mut Vec<ItemRef>,
        until: Instant,
    ) {
        let finishing = async {
            while self.is_running(leases) {
                let done = self.done().await;
                self.take(done, lane, Instant::now(), settled);
            }
            self.note(leases).await;
        };
        let _late = tokio::time::timeout_at(until.into(), finishing).await;
        self.shelves.retain(|_, place| !leases.contains(place.shelf.lease()));
        self.busy.retain(|partition| self.shelves.contains_key(partition));
        lane.forget(|lease| leases.contains(lease));
    }

    fn is_running(&self, leases: &LeaseSet) -> bool {
        let mut shelves = self.shelves.values().map(|place| &place.shelf);
        shelves.any(|shelf| shelf.is_running() && leases.contains(shelf.lease()))
    }

    fn note(&self, leases: &LeaseSet) -> impl Future<Output = ()> + Send + use<> {
        let over = self.shelves.iter().filter(|(_, place)| leases.contains(place.shelf.lease()));
        let notes = over.flat_map(|(&partition, place)| {
            place.shelf.notes().into_iter().map(move |note| (partition, note))
        });
        self.execute_all(notes.collect())
    }

    /// Carries out operations on several folders side by side, whatever comes of them.
    fn execute_all(&self, operations: Vec<(u32, Operation)>) -> impl Future<Output = ()> + Send + use<> {
        let context = self.context.clone();
        let endpoint = self.endpoint.clone();
        async move {
            let Some(ParkingContext { store, .. }) = context else { return };
            let executions = operations.into_iter().map(|(partition, operation)| {
                let (store, folder) = (store.clone(), store.folder(&endpoint, partition));
                async move { store.execute(&folder, operation).await }
            });
            join_all(executions).await;
        }
    }

    /// Gives up everything: the endpoint is deleted. The items that were not parked yet, and how many events were; what is
    /// returned last deletes what the store has of it, in the partitions that are held, and its shipments when it `ships`.
    pub(in crate::endpoint) fn discard(
        &mut self,
        held: &Held,
        ships: bool,
    ) -> (Vec<ItemRef>, u64, impl Future<Output = ()> + Send + use<>) {
        let Stock { unread_events, .. } = self.stock();
        let mut items = Vec::new();
        let mut deletions = Vec::new();
        for (partition, place) in self.shelves.drain() {
            let (deliveries, objects) = place.shelf.give_up();
            items.extend(deliveries.into_iter().filter_map(|delivery| match delivery.origin {
                Origin::Stream(item) => Some(item),
                Origin::Backlog(_) | Origin::Redriven(_) => None,
            }));
            // A worker that stops holds nothing any more, and what is parked is the next holder's.
            if held.by_number.contains_key(&partition) {
                let parts = objects.chunks(DELETED_MAX);
                deletions.extend(parts.map(|part| (partition, Operation::Delete(part.to_vec()))));
            }
        }
        self.busy.clear();
        let (deleting, forgetting) =
            (self.delete_all(deletions), self.forget_shipments(ships && !held.by_number.is_empty()));
        let clear = async move {
            tokio::join!(deleting, forgetting);
        };
        (items, unread_events, clear)
    }

    /// Keeps no shipment of a deleted endpoint any longer, if it has shipped and its worker still holds something.
    fn forget_shipments(&self, is_meant: bool) -> impl Future<Output = ()> + Send + use<> {
        let context = self.context.clone().filter(|_| is_meant);
        let endpoint = self.endpoint.clone();
        async move {
            let Some(ParkingContext { store, .. }) = context else { return };
            let shipments = store.shipments(&endpoint);
            let forgetting = DELETING.run(|_| true, || shipments.forget_all()).await;
            if let Err(error) = forgetting {
                warn!(endpoint, "shipments of a deleted endpoint stay: {}", Causes(&error));
            }
        }
    }

    /// Deletes what is parked of an endpoint that is deleted. What stays in spite of some attempts would be delivered should
    /// the endpoint be made again.
    fn delete_all(&self, deletions: Vec<(u32, Operation)>) -> impl Future<Output = ()> + Send + use<> {
        let context = self.context.clone();
        let endpoint = self.endpoint.clone();
        async move {
            let Some(ParkingContext { store, settings }) = context else { return };
            let deletions = deletions.into_iter().map(|(partition, operation)| {
                let (store, folder) = (store.clone(), store.folder(&endpoint, partition));
                async move { (delete(&store, &folder, operation).await, folder) }
            });
            let mut deletions = stream::iter(deletions).buffer_unordered(settings.operations_max as usize);
            while let Some((deleted, folder)) = deletions.next().await {
                if let Err(why) = deleted {
                    warn!(
                        endpoint,
                        folder = folder.path(),
                        "what is parked of a deleted endpoint stays: {why}"
                    );
                }
            }
        }
    }
}

async fn delete(store: &Store, folder: &Folder, operation: Operation) -> Result<(), String> {
    let delete = || async {
        match store.execute(folder, operation.clone()).await {
            Outcome::Failed(why) => Err(why),
            _ => Ok(()),
        }
    };
    DELETING.run(|_| true, delete).await
}
