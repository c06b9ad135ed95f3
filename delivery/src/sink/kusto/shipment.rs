//! Blobs on their way: kept, uploaded to temporary storage, then announced in the queue.

use std::sync::Arc;
use std::time::Duration;

use azure_core::http::Url;
use azure_storage_blob::{BlockBlobClient, BlockBlobClientOptions};
use azure_storage_queue::models::QueueMessage;
use azure_storage_queue::{QueueClient, QueueClientOptions};
use bytes::Bytes;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;
use twinroute_common::causes::Causes;
use uuid::Uuid;

use super::blob::Blob;
use super::connection::{Connection, Resources};
use super::failure::Failure;
use super::journal::{Journal, Parcel};
use super::message::{self, Announcement};

/// What is to be sent.
#[derive(Debug)]
pub(super) enum Shipment {
    /// A new one.
    New(Blob),
    /// One that is kept, and may have arrived.
    Again(Uuid),
}

/// What became of a shipment.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is in the queue.
    Arrived,
    /// It may be in the queue or not.
    Failed {
        /// Why.
        failure: Failure,
        /// It can be sent again as it was.
        is_kept: bool,
    },
    /// It is kept, and could not be read.
    NotRead(Failure),
    /// It is not kept any more.
    Lost(Failure),
}

/// What became of some shipments.
#[derive(Debug)]
pub(super) struct Shipped {
    pub(super) shipments: Vec<(Shipment, Fate)>,
    /// What the cluster handed out, for the next ones.
    pub(super) resources: Option<Resources>,
}

/// What ships: the way to the cluster, and to where blobs are kept, if they are.
#[derive(Clone)]
pub(super) struct Shipper {
    pub(super) connection: Arc<Connection>,
    pub(super) journal: Option<Journal>,
}

impl Shipper {
    /// Ships all at once, with resources that are fresh.
    pub(super) async fn ship(self, shipments: Vec<Shipment>, resources: Option<Resources>) -> Shipped {
        let resources = match fresh(&self.connection, resources).await {
            Ok(resources) => resources,
            Err(failure) => {
                let failed = |shipment| (shipment, Fate::Failed { failure: failure.clone(), is_kept: false });
                return Shipped { shipments: shipments.into_iter().map(failed).collect(), resources: None };
            }
        };
        let shipping = shipments.into_iter().map(|shipment| async {
            let fate = self.send(&shipment, &resources).await;
            (shipment, fate)
        });
        let shipments = join_all(shipping).await;
        // What failed may have failed because of them.
        let failed = shipments.iter().any(|(_, fate)| !matches!(fate, Fate::Arrived));
        Shipped { shipments, resources: (!failed).then_some(resources) }
    }

    async fn send(&self, shipment: &Shipment, resources: &Resources) -> Fate {
        let (parcel, is_kept) = match self.pack(shipment).await {
            Ok(packed) => packed,
            Err(fate) => return fate,
        };
        let deadline = Duration::from_millis(self.connection.limits.upload_deadline_ms);
        let sending = async {
            let (queue, text) = upload(&self.connection, parcel, resources).await?;
            announce(&self.connection, queue, text).await
        };
        let late = |_| Err(Failure::unreachable("ship a blob", "no answer in time"));
        if let Err(failure) = timeout(deadline, sending).await.unwrap_or_else(late) {
            return Fate::Failed { failure, is_kept };
        }
        if let Some(journal) = &self.journal {
            journal.accept(shipment.id()).await;
        }
        Fate::Arrived
    }

    /// The blob of a shipment, and whether it is kept. A new one is from now on, if it can be: a store that is full is
    /// emptied by shipping.
    async fn pack(&self, shipment: &Shipment) -> Result<(Parcel, bool), Fate> {
        match (shipment, &self.journal) {
            (Shipment::New(blob), journal) => {
                let Blob { id, table, raw_bytes, ref content, .. } = *blob;
                let unusable = |error| Fate::Failed {
                    failure: Failure::unusable("compress a blob", error),
                    is_kept: false,
                };
                let content = content.as_ref().map_err(unusable)?;
                let is_kept = match journal {
                    Some(journal) => journal.keep(self.connection.target.clone(), blob, content).await,
                    None => false,
                };
                Ok((Parcel { id, table, raw_bytes, content: content.clone() }, is_kept))
            }
            (Shipment::Again(id), Some(journal)) => match journal.load(*id).await {
                Ok(Some(parcel)) => Ok((parcel, true)),
                Ok(None) => Err(Fate::Lost(Failure::of_store("one is gone or damaged"))),
                Err(error) => Err(Fate::NotRead(Failure::of_store(Causes(&error)))),
            },
            (Shipment::Again(_), None) => Err(Fate::Lost(Failure::of_store("none are"))),
        }
    }
}

impl Shipment {
    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::New(blob) => blob.id,
            Self::Again(id) => *id,
        }
    }
}

/// Asks for resources when there are none or they are old. Old ones are good for a while longer when none can be had.
async fn fresh(connection: &Connection, resources: Option<Resources>) -> Result<Resources, Failure> {
    let age = Duration::from_secs(connection.limits.resources_refresh_s);
    match resources {
        Some(resources) if !resources.are_older_than(age) => Ok(resources),
        Some(old) => Ok(connection.resources().await.unwrap_or(old)),
        None => connection.resources().await,
    }
}

/// Uploads a blob; the message that announces it, and the queue that takes it.
async fn upload(
    connection: &Connection,
    parcel: Parcel,
    resources: &Resources,
) -> Result<(Url, String), Failure> {
    let Some((container, queue)) = connection.next(resources) else {
        return Err(Failure::unusable("ingestion resources", "there are none"));
    };
    let Parcel { id, table, raw_bytes, content } = parcel;
    let url = blob_url(container, id);
    put(connection, url.clone(), content).await?;
    let options = &connection.options;
    let text = message::encode(Announcement {
        id,
        blob_url: url.as_str(),
        raw_bytes,
        database: &options.database,
        table: table.name(&options.tables),
        mapping: table.mapping_name(),
        identity_token: &resources.identity_token,
        now: Timestamp::now(),
    });
    let text = text.map_err(|error| Failure::unusable("ingestion message", error))?;
    Ok((queue.clone(), text))
}

async fn put(connection: &Connection, url: Url, content: Bytes) -> Result<(), Failure> {
    let what = "put blob";
    let options =
        BlockBlobClientOptions { client_options: connection.storage_options(), ..Default::default() };
    let client =
        BlockBlobClient::new(url, None, Some(options)).map_err(|error| Failure::of_storage(what, &error))?;
    client.upload(content.into(), None).await.map_err(|error| Failure::of_storage(what, &error))?;
    Ok(())
}

async fn announce(connection: &Connection, queue: Url, text: String) -> Result<(), Failure> {
    let what = "put message";
    let options = QueueClientOptions { client_options: connection.storage_options(), ..Default::default() };
    let client =
        QueueClient::new(queue, None, Some(options)).map_err(|error| Failure::of_storage(what, &error))?;
    let message = QueueMessage { message_text: Some(text) };
    let message = message.try_into().map_err(|error| Failure::of_storage(what, &error))?;
    client.send_message(message, None).await.map_err(|error| Failure::of_storage(what, &error))?;
    Ok(())
}

/// The blob's URL in a container whose URL ends with a SAS.
fn blob_url(container: &Url, id: Uuid) -> Url {
    let mut url = container.clone();
    let path = format!("{}/{id}.json.gz", container.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_keeps_the_containers_signature() {
        let container = Url::parse("https://store/account/container?sv=1&sig=a%2Bb").unwrap();
        assert_eq!(
            blob_url(&container, Uuid::from_u128(7)).as_str(),
            "https://store/account/container/00000000-0000-0000-0000-000000000007.json.gz?sv=1&sig=a%2Bb"
        );
    }
}
