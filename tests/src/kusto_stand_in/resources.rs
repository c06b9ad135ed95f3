//! The containers and queues that the stand-in hands out: Azurite's, with signatures.

use azure_core::http::{StatusCode, Url};
use azure_storage_blob::BlobContainerClient;
use azure_storage_queue::QueueClient;

use crate::servers::azurite::Account;

/// Names of the containers and queues, as short as Kusto's are long.
const TEMPORARY: &str = "kusto-temporary";
const READY: &str = "kusto-ready-for-aggregation";
const FAILED: &str = "kusto-failed-ingestions";
const SUCCESSFUL: &str = "kusto-successful-ingestions";

/// Where clients put blobs and messages.
#[derive(Clone, Debug)]
pub(super) struct Resources {
    account: Account,
}

impl Resources {
    pub(super) fn of(account: Account) -> Self {
        Self { account }
    }

    /// Makes what is not there yet.
    pub(super) async fn create(&self) -> azure_core::Result<()> {
        let container = Url::parse(&self.account.container(TEMPORARY))?;
        ignore_conflict(BlobContainerClient::new(container, None, None)?.create(None).await)?;
        for queue in [READY, FAILED, SUCCESSFUL] {
            ignore_conflict(self.queue(queue)?.create(None).await)?;
        }
        Ok(())
    }

    /// The queue that ingestion reads.
    pub(super) fn ready(&self) -> azure_core::Result<QueueClient> {
        self.queue(READY)
    }

    /// The rows of `.get ingestion resources`. There is no status table: reports to one are not
    /// offered.
    pub(super) fn rows(&self) -> [[String; 2]; 4] {
        [
            ("TempStorage", self.account.container(TEMPORARY)),
            ("SecuredReadyForAggregationQueue", self.account.queue(READY)),
            ("FailedIngestionsQueue", self.account.queue(FAILED)),
            ("SuccessfulIngestionsQueue", self.account.queue(SUCCESSFUL)),
        ]
        .map(|(name, url)| [name.to_owned(), url])
    }

    fn queue(&self, name: &str) -> azure_core::Result<QueueClient> {
        QueueClient::new(Url::parse(&self.account.queue(name))?, None, None)
    }
}

fn ignore_conflict<T>(outcome: azure_core::Result<T>) -> azure_core::Result<()> {
    match outcome {
        Err(e) if e.http_status() != Some(StatusCode::Conflict) => Err(e),
        _ => Ok(()),
    }
}
