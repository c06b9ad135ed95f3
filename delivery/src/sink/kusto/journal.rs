//! The shipments that are kept: what is written before one is sent, and what others have left.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashSet;
use tokio::sync::watch;
use tracing::warn;
use twinroute_common::causes::Causes;
use twinroute_common::outage::Outage;
use uuid::Uuid;

use super::blob::Blob;
use super::failure::Failure;
use super::kept::{self, HEAD_BYTES_MAX, Head, Unreadable};
use super::ledger::KNOWN_MAX;
use super::tables::Table;
use crate::backlog::store::{KeptShipment, Shipments, StoreError};
use crate::holdings::Held;

/// A shipment that has arrived longer ago is of no more use: its segments were deleted by whoever followed.
const STALE_ARRIVED: Duration = Duration::from_secs(3_600);
/// And one that has not: a destination may be away for long before it is sent again.
const STALE: Duration = Duration::from_secs(7 * 86_400);

/// The shipments of an endpoint, and the partitions of which its worker must know them.
#[derive(Clone)]
pub struct Journal {
    shipments: Shipments,
    held: watch::Receiver<Held>,
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
    /// It can be sent again as it is.
    pub(super) is_kept: bool,
}

/// What others have left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Shipments with events of partitions that are held here now.
    pub(super) shipments: Vec<LeftShipment>,
    /// Those that nobody needs.
    pub(super) stale: Vec<Uuid>,
}

/// A shipment that another has left.
#[derive(Debug)]
pub(super) struct LeftShipment {
    pub(super) id: Uuid,
    pub(super) has_arrived: bool,
    pub(super) events: HashSet<Uuid>,
}

impl Journal {
    /// The journal of an endpoint.
    #[must_use]
    pub fn new(shipments: Shipments, mut held: watch::Receiver<Held>) -> Self {
        held.mark_changed();
        let outage = Outage::new("keep shipments, without which some may be repeated", shipments.folder());
        Self { shipments, held, outage: Arc::new(Mutex::new(outage)) }
    }

    /// Other partitions are held than when it was looked for what others have left.
    pub(super) fn is_behind(&self) -> bool {
        self.held.has_changed().unwrap_or_default()
    }

    /// It is to be looked again.
    pub(super) fn fall_behind(&mut self) {
        self.held.mark_changed();
    }

    /// Looks what others have left of the partitions that are held now, but for what is `known`.
    pub(super) fn look(
        &mut self,
        known: HashSet<Uuid>,
    ) -> impl Future<Output = Result<Left, StoreError>> + Send + use<> {
        let held = Held::clone(&self.held.borrow_and_update());
        let shipments = self.shipments.clone();
        async move {
            let mut left = Left::default();
            if held.by_number.is_empty() {
                return Ok(left);
            }
            // The newest are the ones that something may come again of.
            for KeptShipment { id, is_accepted, age } in shipments.list().await?.into_iter().rev() {
                if known.contains(&id) {
                    continue;
                }
                if age > if is_accepted { STALE_ARRIVED } else { STALE } {
                    left.stale.push(id);
                } else if left.shipments.len() < KNOWN_MAX
                    && let Some(events) = events_of(&shipments, id, &held).await?
                {
                    left.shipments.push(LeftShipment { id, has_arrived: is_accepted, events });
                }
            }
            Ok(left)
        }
    }

    /// Keeps a blob, so that it can be sent again by whoever needs it; `false` when the store does not take it.
    pub(super) async fn keep(&self, blob: &Blob, content: &Bytes) -> bool {
        let kept = kept::encode(blob.table, blob.raw_bytes, &blob.partitions, content);
        self.tell(self.shipments.keep(blob.id, kept).await)
    }

    /// A blob that is kept; `None` when it is not there, or cannot be read.
    pub(super) async fn load(&self, id: Uuid) -> Result<Option<Parcel>, Failure> {
        let unreachable = |error| Failure::unreachable("read a blob that is kept", Causes(&error));
        let kept = self.shipments.read(id, None).await.map_err(unreachable)?;
        let read = kept.map(|kept| kept::decode(&kept)).transpose().unwrap_or_else(|unreadable| {
            warn!(shipment = %id, "{unreadable}; its events are sent in another one, which may repeat them");
            None
        });
        let parcel = |(head, content): (Head, Bytes)| {
            let Head { table, raw_bytes, .. } = head;
            Parcel { id, table, raw_bytes, content, is_kept: true }
        };
        Ok(read.map(parcel))
    }

    /// A shipment has arrived, and need not be sent again.
    pub(super) async fn accept(&self, id: Uuid) {
        self.tell(self.shipments.accept(id).await);
    }

    fn tell(&self, written: Result<(), StoreError>) -> bool {
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

/// The events of a shipment that has some of partitions that are held.
async fn events_of(
    shipments: &Shipments,
    id: Uuid,
    held: &Held,
) -> Result<Option<HashSet<Uuid>>, StoreError> {
    let is_held = |partitions: &BTreeSet<u32>| {
        partitions.iter().any(|partition| held.by_number.contains_key(partition))
    };
    let Some(start) = shipments.read(id, Some(0..HEAD_BYTES_MAX)).await? else { return Ok(None) };
    if kept::head(&start).is_ok_and(|head| !is_held(&head.partitions)) {
        return Ok(None);
    }
    let Some(whole) = shipments.read(id, None).await? else { return Ok(None) };
    let events = kept::decode(&whole).and_then(|(_, content)| kept::events(&content));
    Ok(events
        .inspect_err(|unreadable: &Unreadable| {
            warn!(shipment = %id, "{unreadable}; its events are sent in another one, which may repeat them");
        })
        .ok())
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
