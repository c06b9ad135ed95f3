//! The shipments of an endpoint whose sink sends many events in one blob: each blob is kept beside the segments of its
//! events while it is on its way, so that whoever holds them next can send the same once more.
//!
//! ```text
//! {subscription}/{endpoint}/shipments/{id}.blob
//! {subscription}/{endpoint}/shipments/{id}.accepted
//! ```
//!
//! The second object, which is empty, says that the destination has taken the blob. What is delivered is for the segments to
//! say: without these objects events would come twice, and none would be lost.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use hashbrown::HashMap;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStoreExt as _, PutPayload};
use uuid::Uuid;

use super::{Store, StoreError, delete};
use crate::backlog::shelf::DELETED_MAX;

const BLOB: &str = "blob";
const ACCEPTED: &str = "accepted";

/// The shipments of one endpoint.
#[derive(Clone)]
pub struct Shipments {
    store: Store,
    folder: String,
}

/// A shipment that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptShipment {
    /// Names it, its blob, and what the destination knows it by.
    pub id: Uuid,
    /// The destination has taken it.
    pub is_accepted: bool,
    /// How long ago it was written, or accepted.
    pub age: Duration,
}

impl Store {
    /// The shipments of an endpoint.
    #[must_use]
    pub fn shipments(&self, endpoint: &str) -> Shipments {
        Shipments { store: self.clone(), folder: format!("{}/{endpoint}/shipments", self.subscription) }
    }
}

/// No call takes longer than the store's timeout; each fails when the store is away or refuses.
impl Shipments {
    /// Where they are in the store.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// All that are kept.
    ///
    /// # Errors
    /// See [`Shipments`].
    pub async fn list(&self) -> Result<Vec<KeptShipment>, StoreError> {
        self.store.in_time(self.try_list()).await
    }

    async fn try_list(&self) -> Result<Vec<KeptShipment>, StoreError> {
        let container = self.store.place.open()?;
        let objects = container.store().list(Some(&Path::from(&*self.folder)));
        let objects: Vec<_> = objects.try_collect().await?;
        let now = SystemTime::now();
        let mut kept: HashMap<Uuid, KeptShipment> = HashMap::new();
        for object in objects {
            let Some((id, kind)) = object.location.filename().and_then(read_name) else { continue };
            let age = now.duration_since(object.last_modified.into()).unwrap_or_default();
            let shipment = kept.entry(id).or_insert(KeptShipment { id, is_accepted: false, age });
            shipment.is_accepted |= kind == ACCEPTED;
            shipment.age = shipment.age.min(age);
        }
        Ok(kept.into_values().collect())
    }

    /// Keeps a shipment.
    ///
    /// # Errors
    /// See [`Shipments`]; it may be kept then.
    pub async fn keep(&self, id: Uuid, content: Bytes) -> Result<(), StoreError> {
        self.put(id, BLOB, content).await
    }

    /// The destination has taken a shipment.
    ///
    /// # Errors
    /// See [`Shipments`].
    pub async fn accept(&self, id: Uuid) -> Result<(), StoreError> {
        self.put(id, ACCEPTED, Bytes::new()).await
    }

    async fn put(&self, id: Uuid, kind: &str, content: Bytes) -> Result<(), StoreError> {
        let writing = async {
            let container = self.store.place.open()?;
            container.store().put(&self.path(id, kind), PutPayload::from(content)).await?;
            Ok(())
        };
        self.store.in_time(writing).await
    }

    /// Some bytes of what is kept of a shipment, all without a range; `None` when it is not there.
    ///
    /// # Errors
    /// See [`Shipments`].
    pub async fn read(&self, id: Uuid, range: Option<Range<u64>>) -> Result<Option<Bytes>, StoreError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let reading = async {
            let container = self.store.place.open()?;
            match container.store().get_opts(&self.path(id, BLOB), options).await {
                Ok(found) => Ok(Some(found.bytes().await?)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        self.store.in_time(reading).await
    }

    /// Keeps some shipments no longer.
    ///
    /// # Errors
    /// See [`Shipments`].
    pub async fn forget(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        // Without its blob the other object says nothing.
        for kind in [BLOB, ACCEPTED] {
            let objects = ids.iter().map(|id| self.path(*id, kind).to_string()).collect();
            let deleting = async { delete(&self.store.place.open()?, objects).await };
            self.store.in_time(deleting).await?;
        }
        Ok(())
    }

    /// Keeps no shipment any longer.
    ///
    /// # Errors
    /// See [`Shipments`].
    pub async fn forget_all(&self) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = self.list().await?.into_iter().map(|shipment| shipment.id).collect();
        for part in ids.chunks(DELETED_MAX) {
            self.forget(part).await?;
        }
        Ok(())
    }

    fn path(&self, id: Uuid, kind: &str) -> Path {
        Path::from(format!("{}/{id}.{kind}", self.folder))
    }
}

fn read_name(name: &str) -> Option<(Uuid, &str)> {
    let (id, kind) = name.split_once('.')?;
    Some((id.parse().ok()?, kind))
}

#[cfg(test)]
mod tests {
    use twinroute_common::secret::SecretPolicy;

    use super::*;
    use crate::config::BacklogSettings;
    use crate::letter_box::resolve_by;

    #[tokio::test]
    async fn shipments_are_kept_until_they_are_forgotten() {
        // given two shipments, of which one has arrived
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let settings = BacklogSettings { url, ..BacklogSettings::default() };
        let store = Store::open(&settings, "delivery", resolve_by(SecretPolicy::default())).await.unwrap();
        let shipments = store.shipments("kusto");
        assert_eq!(shipments.list().await.unwrap(), []);
        let [one, other] = [1, 2].map(Uuid::from_u128);
        shipments.keep(one, Bytes::from_static(b"head\ncontent")).await.unwrap();
        shipments.keep(other, Bytes::from_static(b"other")).await.unwrap();
        shipments.accept(other).await.unwrap();

        // then they are found, and nobody else's
        let mut listed = shipments.list().await.unwrap();
        listed.sort_unstable_by_key(|shipment| shipment.id);
        let found: Vec<_> = listed.iter().map(|shipment| (shipment.id, shipment.is_accepted)).collect();
        assert_eq!(found, [(one, false), (other, true)]);
        assert_eq!(store.shipments("other").list().await.unwrap(), []);

        // and can be read, in part and beyond their end
        let whole = Some(Bytes::from_static(b"head\ncontent"));
        assert_eq!(shipments.read(one, None).await.unwrap(), whole);
        assert_eq!(shipments.read(one, Some(0..64)).await.unwrap(), whole);
        assert_eq!(shipments.read(one, Some(0..4)).await.unwrap(), Some(Bytes::from_static(b"head")));

        // when they are forgotten, also twice, they are gone
        for _ in 0..2 {
            shipments.forget(&[one]).await.unwrap();
        }
        assert_eq!(shipments.read(one, None).await.unwrap(), None);
        assert_eq!(shipments.list().await.unwrap().len(), 1);
        shipments.forget_all().await.unwrap();
        assert_eq!(shipments.list().await.unwrap(), []);
    }
}
