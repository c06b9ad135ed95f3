//! The object store that holds the parked backlog of all workers, and the operations on it.

mod place;
mod shipments;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use twinroute_common::causes::Causes;
use twinroute_common::object_container::{NoLocation, ObjectContainer, brief};
use twinroute_common::secret::SecretError;
use uuid::Uuid;

use self::place::Place;
pub use self::shipments::{KeptShipment, Shipments};
use super::claim::{self, Claim, Listed};
use super::name::{Folder, ObjectKind};
use super::operation::{Operation, Outcome};
use crate::config::BacklogSettings;
use crate::letter_box::ResolveSecret;

/// The object that carries the store's id.
const ID_OBJECT: &str = "store-id";

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL leads to none.
    #[error("it {0}")]
    Location(#[from] NoLocation),
    /// The directory cannot be made or opened.
    #[error("the directory {path} cannot be used: make it writable for this process, or name another one")]
    Directory {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The SAS is a reference that leads nowhere.
    #[error("backlog.sas")]
    Sas(#[from] SecretError),
    /// The SAS is none, or TLS cannot be set up.
    #[error("the backlog store cannot be opened: {}", brief(.0))]
    Opening(Error),
    /// An operation failed.
    #[error("the backlog store: {}", brief(.0))]
    Operation(#[from] Error),
    /// The store's id is no text.
    #[error("the object {ID_OBJECT} of the backlog store holds no id: something else wrote it")]
    Id,
    /// Nothing is where it was.
    #[error("the backlog store is gone: its object {ID_OBJECT} is missing, or another one")]
    Gone,
    /// An operation took too long.
    #[error("the backlog store has not answered for {} s", .0.as_secs())]
    Silent(Duration),
}

impl StoreError {
    /// The store is away, or refuses for now: the same may work later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Operation(_) | Self::Silent(_))
    }
}

/// Objects that one operation deletes at a time.
const DELETIONS_MAX: usize = 16;

/// The store of the parked backlog.
#[derive(Clone)]
pub struct Store {
    place: Place,
    id: Arc<str>,
    subscription: Arc<str>,
    timeout: Duration,
}

impl Store {
    /// Opens the store that the settings name, and gives it an id when it has none. A directory is made when it is not
    /// there. What is written is durable before the operation ends. `subscription` is the one whose events are parked.
    ///
    /// # Errors
    /// When the directory cannot be made or not be written to; when the store is away or refuses.
    pub async fn open(
        settings: &BacklogSettings,
        subscription: &str,
        resolve: ResolveSecret,
    ) -> Result<Self, StoreError> {
        let timeout = settings.operation_timeout();
        let place = Place::of(settings, resolve)?;
        let container = place.open()?;
        let id = tokio::time::timeout(timeout, id_of(container.store())).await;
        let id = id.map_err(|_| StoreError::Silent(timeout))??;
        Ok(Self { place, id: id.into(), subscription: Arc::from(subscription), timeout })
    }

    /// The store's id. Workers with different ones must not share partitions.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder of an endpoint's backlog in a partition.
    #[must_use]
    pub fn folder(&self, endpoint: &str, partition: u32) -> Folder {
        Folder::new(&self.subscription, endpoint, partition)
    }

    /// Carries out an operation in a folder. Never takes longer than the timeout.
    pub async fn execute(&self, folder: &Folder, operation: Operation) -> Outcome {
        let done = self.in_time(self.try_execute(folder, operation)).await;
        done.unwrap_or_else(|error| Outcome::Failed(Causes(&error).to_string()))
    }

    /// Never takes longer than the timeout.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let done = tokio::time::timeout(self.timeout, work).await;
        let done = done.unwrap_or(Err(StoreError::Silent(self.timeout)));
        if done.is_err() {
            self.place.failed();
        }
        done
    }

    async fn try_execute(&self, folder: &Folder, operation: Operation) -> Result<Outcome, StoreError> {
        let container = self.place.open()?;
        let objects = container.store();
        match operation {
            Operation::List => list(objects, folder).await,
            Operation::Claim(object, content) => {
                create(objects, &object, content).await?;
                Ok(Outcome::Done)
            }
            Operation::Write(object, content) => {
                objects.put(&Path::from(object), PutPayload::from(content)).await?;
                Ok(Outcome::Done)
            }
            Operation::Read(segment, delivered) => {
                let segment = read(objects, &segment).await?;
                if segment.is_none() {
                    self.is_there(objects).await?;
                }
                let delivered = read(objects, &delivered).await?.unwrap_or_default();
                // What cannot be read here costs repeats, never an event.
                Ok(Outcome::Read(segment, serde_json::from_slice(&delivered).unwrap_or_default()))
            }
            Operation::Rename(from, to) => {
                match container.rename(&Path::from(from), &Path::from(to)).await {
                    // It was renamed already, and the answer was lost.
                    Ok(()) | Err(Error::NotFound { .. }) => Ok(Outcome::Done),
                    Err(error) => Err(error.into()),
                }
            }
            Operation::Delete(objects) => {
                delete(&container, objects).await?;
                Ok(Outcome::Done)
            }
        }
    }

    /// A segment that is gone was delivered by a former holder, unless the whole store is gone: a container that was
    /// deleted, a disk that is not mounted.
    async fn is_there(&self, objects: &dyn ObjectStore) -> Result<(), StoreError> {
        match read(objects, ID_OBJECT).await? {
            Some(id) if *id.trim_ascii() == *self.id.as_bytes() => Ok(()),
            _ => Err(StoreError::Gone),
        }
    }
}

async fn delete(container: &ObjectContainer, objects: Vec<String>) -> Result<(), StoreError> {
    let deletions =
        objects.into_iter().map(|object| async move { container.delete(&Path::from(object)).await });
    let mut deletions = stream::iter(deletions).buffer_unordered(DELETIONS_MAX);
    while let Some(deleted) = deletions.next().await {
        deleted?;
    }
    Ok(())
}

async fn list(objects: &dyn ObjectStore, folder: &Folder) -> Result<Outcome, StoreError> {
    let listed = objects.list(Some(&Path::from(folder.path())));
    let now = SystemTime::now();
    let listed = listed.map_ok(|meta| Listed {
        object: meta.location.to_string(),
        bytes: meta.size,
        // A clock that is behind the store's makes it new.
        age: now.duration_since(meta.last_modified.into()).unwrap_or_default(),
    });
    let listed: Vec<Listed> = listed.try_collect().await?;
    let Some(epoch) = claim::newest_claim(folder, &listed) else {
        return Ok(Outcome::Listed(listed, None));
    };
    let content = read(objects, &folder.object(&ObjectKind::Claim(epoch))).await?;
    let content = content.as_deref().map(serde_json::from_slice::<Claim>).transpose();
    match content {
        Ok(Some(claim)) => Ok(Outcome::Listed(listed, Some(claim))),
        Ok(None) => Ok(Outcome::Failed(format!("the claim in {} is gone meanwhile", folder.path()))),
        Err(error) => Ok(Outcome::Failed(format!("the claim in {} cannot be read: {error}", folder.path()))),
    }
}

/// Creates an object. Present already, it is this holder's own, whose answer was lost: nobody else has its epoch.
async fn create(objects: &dyn ObjectStore, object: &str, content: Bytes) -> Result<(), StoreError> {
    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match objects.put_opts(&Path::from(object), PutPayload::from(content), create).await {
        Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn read(objects: &dyn ObjectStore, object: &str) -> Result<Option<Bytes>, StoreError> {
    match objects.get(&Path::from(object)).await {
        Ok(found) => Ok(Some(found.bytes().await?)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The id that the store has; a new one when it has none yet.
async fn id_of(objects: &dyn ObjectStore) -> Result<String, StoreError> {
    let path = Path::from(ID_OBJECT);
    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let new = PutPayload::from(Uuid::new_v4().to_string());
    match objects.put_opts(&path, new, create).await {
        Ok(_) | Err(Error::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let id = objects.get(&path).await?.bytes().await?;
    let id = std::str::from_utf8(&id).map_err(|_| StoreError::Id)?.trim();
    if id.is_empty() { Err(StoreError::Id) } else { Ok(id.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use twinroute_common::secret::SecretPolicy;

    use super::*;
    use crate::letter_box::resolve_by;

    async fn open(folder: &FilePath) -> Result<Store, StoreError> {
        let url = format!("file://{}", folder.display());
        let settings = BacklogSettings { url, ..BacklogSettings::default() };
        Store::open(&settings, "delivery", resolve_by(SecretPolicy::default())).await
    }

    #[tokio::test]
    async fn a_store_keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).await.unwrap();
        let again = open(folder.path()).await.unwrap();
        assert_eq!(first.id(), again.id());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(open(other.path()).await.unwrap().id(), first.id());
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = open(&file.path().join("backlog")).await.err().unwrap().to_string();
        assert!(error.contains(&*file.path().to_string_lossy()), "{error}");
    }

    #[tokio::test]
    async fn operations_do_what_they_say() {
        // given a claim and a segment
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path()).await.unwrap();
        let folder = store.folder("kafka-events", 3);
        let claim = folder.object(&ObjectKind::Claim(twinroute_common::partition::Epoch::default()));
        let content = Bytes::from_static(br#"{"segments":[]}"#);
        assert_eq!(store.execute(&folder, Operation::List).await, Outcome::Listed(Vec::new(), None));
        for _ in 0..2 {
            let claimed = store.execute(&folder, Operation::Claim(claim.clone(), content.clone())).await;
            assert_eq!(claimed, Outcome::Done);
        }
        let segment = format!("{}/a.segment", folder.path());
        let delivered = format!("{}/a.delivered", folder.path());
        let write = |object: &str, content: &'static [u8]| {
            Operation::Write(object.to_owned(), Bytes::from_static(content))
        };
        assert_eq!(store.execute(&folder, write(&segment, b"text")).await, Outcome::Done);
        assert_eq!(store.execute(&folder, write(&delivered, b"[0,2]")).await, Outcome::Done);

        // then they are listed and read
        let listed = store.execute(&folder, Operation::List).await;
        assert!(matches!(&listed, Outcome::Listed(objects, Some(_)) if objects.len() == 3), "{listed:?}");
        let read = Operation::Read(segment.clone(), delivered.clone());
        let expected = Outcome::Read(Some(Bytes::from_static(b"text")), vec![0, 2]);
        assert_eq!(store.execute(&folder, read.clone()).await, expected);

        // when a segment is renamed, twice, it has the other name
        let aside = format!("{}/b.segment", folder.path());
        assert_eq!(store.execute(&folder, write(&aside, b"damaged")).await, Outcome::Done);
        let skipped = format!("{}/b.skipped", folder.path());
        for _ in 0..2 {
            let rename = Operation::Rename(aside.clone(), skipped.clone());
            assert_eq!(store.execute(&folder, rename).await, Outcome::Done);
        }
        let of = |object: &str| Operation::Read(object.to_owned(), delivered.clone());
        let content = Some(Bytes::from_static(b"damaged"));
        assert_eq!(store.execute(&folder, of(&skipped)).await, Outcome::Read(content, vec![0, 2]));
        assert_eq!(store.execute(&folder, of(&aside)).await, Outcome::Read(None, vec![0, 2]));

        // when they are deleted, twice, they are gone
        for _ in 0..2 {
            let delete = Operation::Delete(vec![segment.clone(), delivered.clone()]);
            assert_eq!(store.execute(&folder, delete).await, Outcome::Done);
        }
        assert_eq!(store.execute(&folder, read).await, Outcome::Read(None, Vec::new()));
    }
}
