//! Blobs on their way: uploaded to temporary storage, then announced in the queue.

use std::time::Duration;

use azure_core::http::Url;
use azure_storage_blob::{BlockBlobClient, BlockBlobClientOptions};
use azure_storage_queue::models::QueueMessage;
use azure_storage_queue::{QueueClient, QueueClientOptions};
use futures_util::future::join_all;
use jiff::Timestamp;
use uuid::Uuid;

use super::blob::Blob;
use super::connection::{Connection, Resources};
use super::failure::Failure;
use super::message::{self, Announcement};

/// What became of the blobs of a shipment.
#[derive(Debug)]
pub(super) struct Shipped {
    /// The submissions of each blob, and why it failed if it did.
    pub(super) blobs: Vec<(Vec<u64>, Result<(), Failure>)>,
    /// What the cluster handed out, for the next one.
    pub(super) resources: Option<Resources>,
}

/// Ships the blobs, all at once, with resources that are fresh.
pub(super) async fn ship(connection: &Connection, blobs: Vec<Blob>, resources: Option<Resources>) -> Shipped {
    let resources = match fresh(connection, resources).await {
        Ok(resources) => resources,
        Err(failure) => {
            let failed = |blob: Blob| (blob.tokens, Err(failure.clone()));
            return Shipped { blobs: blobs.into_iter().map(failed).collect(), resources: None };
        }
    };
    let deadline = Duration::from_millis(connection.limits.upload_deadline_ms);
    let shipping = blobs.into_iter().map(|blob| async {
        let sent = tokio::time::timeout(deadline, send(connection, &blob, &resources)).await;
        let outcome = sent.unwrap_or_else(|_| Err(Failure::unreachable("ship a blob", "no answer in time")));
        (blob.tokens, outcome)
    });
    let blobs = join_all(shipping).await;
    // What failed may have failed because of them.
    let failed = blobs.iter().any(|(_, outcome)| outcome.is_err());
    Shipped { blobs, resources: (!failed).then_some(resources) }
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

async fn send(connection: &Connection, blob: &Blob, resources: &Resources) -> Result<(), Failure> {
    let Some((container, queue)) = connection.next(resources) else {
        return Err(Failure::unusable("ingestion resources", "there are none"));
    };
    let id = Uuid::new_v4();
    let url = blob_url(container, id);
    upload(connection, url.clone(), blob).await?;
    let options = &connection.options;
    let text = message::encode(Announcement {
        id,
        blob_url: url.as_str(),
        raw_bytes: blob.raw_bytes,
        database: &options.database,
        table: blob.table.name(&options.tables),
        mapping: blob.table.mapping_name(),
        identity_token: &resources.identity_token,
        now: Timestamp::now(),
    });
    let text = text.map_err(|error| Failure::unusable("ingestion message", error))?;
    announce(connection, queue.clone(), text).await
}

async fn upload(connection: &Connection, url: Url, blob: &Blob) -> Result<(), Failure> {
    let what = "put blob";
    let content = blob.content.as_ref().map_err(|error| Failure::unusable("compress a blob", error))?;
    let options =
        BlockBlobClientOptions { client_options: connection.storage_options(), ..Default::default() };
    let client =
        BlockBlobClient::new(url, None, Some(options)).map_err(|error| Failure::of_storage(what, &error))?;
    client.upload(content.clone().into(), None).await.map_err(|error| Failure::of_storage(what, &error))?;
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
