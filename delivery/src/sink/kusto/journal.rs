//! The shipments that are kept: what is written before one is sent, and what others have left.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hashbrown::HashSet;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;
use twinroute_common::causes::Causes;
use twinroute_common::outage::Outage;
use uuid::Uuid;

use super::blob::Blob;
use super::kept::{self, HEAD_BYTES_MAX, Head};
use super::ledger::{Known, Maker};
use super::tables::Table;
use crate::backlog::store::{KeptShipment, Shipments, StoreError};
use crate::holdings::Held;
use crate::settlement::LeaseId;

/// A shipment that has arrived longer ago is taken for one whose segments were deleted by whoever followed.
const STALE_ARRIVED: Duration = Duration::from_secs(86_400);
/// And so is one that has not: a destination may be away for long before it is sent again.
const STALE: Duration = Duration::from_secs(7 * 86_400);
/// How often a look fails until shipments that cannot be read are passed by.
const PATIENCE: u32 = 3;
/// How often it is looked for what is stale.
const LOOK_INTERVAL: Duration = Duration::from_secs(3_600);
/// Shipments that are read at a time.
const READS_MAX: usize = 8;

/// The shipments of an endpoint, and the partitions of which its worker must know them.
#[derive(Clone)]
pub struct Journal {
    shipments: Shipments,
    held: watch::Receiver<Held>,
    /// The leases for which it was looked what others have left, and when last.
    looked_for: HashSet<LeaseId>,
    looked_at: Instant,
    /// How often that has failed since it last worked.
    looks_failed: u32,
    /// Whether the store takes what is to be kept.
    outage: Arc<Mutex<Outage>>,
}

/// A blob that is ready to be sent.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) id: Uuid,
    pub(super) table: Table,
    /// Bytes before compression.
    pub(super) raw_bytes: usize,
    pub(super) content: Bytes,
}

/// What others have left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Shipments with events of partitions that are held here now.
    pub(super) shipments: Vec<Known>,
    /// Those that nobody needs.
    pub(super) stale: Vec<Uuid>,
}

impl Journal {
    /// The journal of an endpoint.
    #[must_use]
    pub fn new(shipments: Shipments, mut held: watch::Receiver<Held>) -> Self {
        held.mark_changed();
        let outage = Outage::new("keep shipments, without which some may be repeated", shipments.folder());
        let outage = Arc::new(Mutex::new(outage));
        Self {
            shipments,
            held,
            looked_for: HashSet::new(),
            looked_at: Instant::now(),
            looks_failed: 0,
            outage,
        }
    }

    /// It is to be looked what others have left: other partitions are held, or it was looked long ago.
    pub(super) fn is_behind(&self) -> bool {
        self.held.has_changed().unwrap_or_default() || self.looked_at.elapsed() > LOOK_INTERVAL
    }

    /// A partition is held.
    pub(super) fn is_held(&self, partition: u32) -> bool {
        self.held.borrow().by_number.contains_key(&partition)
    }

    /// Looks what others have left of the partitions that are held now, up to `max` shipments and but for what is `known`;
    /// the newest, and first of all those that may not have arrived. Only what went to `target` counts.
    ///
    /// Its end is told by [`Journal::looked`].
    pub(super) fn look(
        &mut self,
        target: String,
        known: HashSet<Uuid>,
        max: usize,
    ) -> impl Future<Output = Result<Left, StoreError>> + Send + use<> {
        let held = Held::clone(&self.held.borrow_and_update());
        let leases: HashSet<LeaseId> = held.by_number.values().map(|holding| holding.lease).collect();
        let is_needed = !leases.is_subset(&self.looked_for) || self.looked_at.elapsed() > LOOK_INTERVAL;
        self.looked_for = leases;
        self.looked_at = Instant::now();
        let (shipments, is_patient) = (self.shipments.clone(), self.looks_failed < PATIENCE);
        async move {
            let mut left = Left::default();
            if !is_needed {
                return Ok(left);
            }
            let mut kept = shipments.list().await?;
            kept.sort_unstable_by_key(|shipment| (shipment.is_accepted, shipment.age));
            kept.retain(|shipment| !known.contains(&shipment.id));
            let is_stale = |shipment: &mut KeptShipment| {
                shipment.age > if shipment.is_accepted { STALE_ARRIVED } else { STALE }
            };
            left.stale = kept.extract_if(.., is_stale).map(|shipment| shipment.id).collect();
            let (shipments, target, held) = (&shipments, &*target, &held);
            let reads = kept.into_iter().map(|shipment| async move {
                match read(shipments, shipment, target, held).await {
                    Err(error) if !is_patient => Ok(warn_of(shipment.id, &Causes(&error))),
                    read => read,
                }
            });
            let found = stream::iter(reads).buffered(READS_MAX).try_filter_map(|known| async { Ok(known) });
            left.shipments = found.take(max).try_collect().await?;
            Ok(left)
        }
    }

    /// A look has worked, or has not: then it is to be looked again.
    pub(super) fn looked(&mut self, has_worked: bool) {
        if has_worked {
            self.looks_failed = 0;
        } else {
            self.looks_failed += 1;
            self.looked_for.clear();
            self.held.mark_changed();
        }
    }

    /// Keeps a blob that goes to `target`, so that it can be sent again by whoever needs it; `false` when the store does not
    /// take it.
    pub(super) async fn keep(&self, target: String, blob: &Blob, content: &Bytes) -> bool {
        let Blob { table, raw_bytes, ref partitions, .. } = *blob;
        let head = Head { target, table, raw_bytes, partitions: partitions.clone() };
        self.note(self.shipments.keep(blob.id, kept::encode(&head, content)).await)
    }

    /// A blob that is kept; `None` when it is not there, or cannot be read.
    pub(super) async fn load(&self, id: Uuid) -> Result<Option<Parcel>, StoreError> {
        let kept = self.shipments.read(id, None).await?;
        let parcel = |(Head { table, raw_bytes, .. }, content)| Parcel { id, table, raw_bytes, content };
        Ok(kept.and_then(|kept| {
            kept::decode(&kept).map_or_else(|why| warn_of(id, &why), |read| Some(parcel(read)))
        }))
    }

    /// A shipment has arrived, and need not be sent again.
    pub(super) async fn accept(&self, id: Uuid) {
        self.note(self.shipments.accept(id).await);
    }

    fn note(&self, written: Result<(), StoreError>) -> bool {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match &written {
            Ok(()) => outage.works(),
            Err(error) => outage.failed(&Causes(error)),
        }
        written.is_ok()
    }

    /// Keeps some shipments no longer.
    pub(super) fn forget(
        &self,
        ids: Vec<Uuid>,
    ) -> impl Future<Output = Result<Vec<Uuid>, StoreError>> + Send + use<> {
        let shipments = self.shipments.clone();
        async move {
            shipments.forget(&ids).await?;
            Ok(ids)
        }
    }
}

/// A shipment that another has left, if it went to `target` and has events of partitions that are held.
async fn read(
    shipments: &Shipments,
    kept: KeptShipment,
    target: &str,
    held: &Held,
) -> Result<Option<Known>, StoreError> {
    let KeptShipment { id, is_accepted, age } = kept;
    let is_wanted = |head: &Head| {
        let is_held = |partition| held.by_number.contains_key(partition);
        head.target == target && head.partitions.iter().any(is_held)
    };
    let Some(start) = shipments.read(id, Some(0..HEAD_BYTES_MAX)).await? else { return Ok(None) };
    match kept::head(&start) {
        Ok(head) if is_wanted(&head) => {}
        Ok(_) => return Ok(None),
        Err(why) => return Ok(warn_of(id, &why)),
    }
    let Some(whole) = shipments.read(id, None).await? else { return Ok(None) };
    match kept::decode(&whole).and_then(|(head, content)| Ok((head, kept::events(&content)?))) {
        Ok((Head { partitions, .. }, events)) => {
            let now = std::time::Instant::now();
            let since = now.checked_sub(age).unwrap_or(now);
            Ok(Some(Known { id, maker: Maker::Other, has_arrived: is_accepted, partitions, events, since }))
        }
        Err(why) => Ok(warn_of(id, &why)),
    }
}

/// A shipment that cannot be read is none.
fn warn_of<T>(id: Uuid, why: &dyn Display) -> Option<T> {
    warn!(shipment = %id, "{why}; its events are sent in another one, which may repeat them");
    None
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
