//! Azurite: a blob and a queue message there and back with nothing but signed URLs.

use anyhow::{Context as _, Result};
use azure_core::http::{RequestContent, Url};
use azure_storage_blob::BlobContainerClient;
use azure_storage_queue::{QueueClient, models::QueueMessage};
use twinroute_tests::servers::azurite::Azurite;

#[tokio::test]
async fn blobs_and_queue_messages_need_a_signed_url_only() -> Result<()> {
    // Given an emulator with a container and a queue
    let mut server = Azurite::start(&super::dir("azurite")?).await?;
    let account = server.account();
    let container = Url::parse(&account.container("blobs"))?;
    let container = BlobContainerClient::new(container, None, None)?;
    container.create(None).await?;
    let queue = QueueClient::new(Url::parse(&account.queue("messages"))?, None, None)?;
    queue.create(None).await?;
    // When a blob and a message are written, and the emulator is restarted
    let blob = container.blob_client("a/b.json");
    blob.upload(RequestContent::from(b"content".to_vec()), None).await?;
    let message = QueueMessage { message_text: Some("text".to_owned()) };
    queue.send_message(message.try_into()?, None).await?;
    server.stop().await?;
    server.start_again().await?;
    // Then both are read back
    let content = blob.download(None).await?.body.collect().await?;
    assert_eq!(&content[..], b"content");
    let messages = queue.receive_messages(None).await?.into_model()?;
    let messages = messages.items.context("messages")?;
    let texts: Vec<_> = messages.iter().map(|m| m.message_text.as_deref()).collect();
    assert_eq!(texts, [Some("text")]);
    Ok(())
}
