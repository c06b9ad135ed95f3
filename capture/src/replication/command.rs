//! Commands before the stream begins: who the server is, where its timeline comes from, and what its slots are for.

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use twinroute_common::lsn::Lsn;

use super::connection::{Connection, ReplicationError};
use crate::gap::{Server, branches};

/// The history of a timeline is not kept (SQLSTATE 58P01, `undefined_file`).
const NO_SUCH_FILE: &str = "58P01";

impl Connection {
    /// Asks the server who it is, how far its WAL is, and where its timeline comes from.
    ///
    /// # Errors
    /// [`ReplicationError`].
    pub async fn server(&mut self) -> Result<Server, ReplicationError> {
        let [system_identifier, timeline, wal_end] = self.row("IDENTIFY_SYSTEM").await?;
        let broken = || ReplicationError::Protocol { expected: "its identity" };
        let timeline = timeline.parse().map_err(|_| broken())?;
        let wal_end = wal_end.parse().map_err(|_| broken())?;
        // The first timeline has no history; of a history that was removed nothing is known.
        let history = match timeline {
            1 => String::new(),
            _ => match self.row(&format!("TIMELINE_HISTORY {timeline}")).await {
                Ok([_file, history]) => history,
                Err(ReplicationError::Server { code, .. }) if code == NO_SUCH_FILE => String::new(),
                Err(error) => return Err(error),
            },
        };
        let broken = ReplicationError::Protocol { expected: "the history of its timeline" };
        let branches = branches(&history).ok_or(broken)?;
        Ok(Server { system_identifier, timeline, wal_end, branches })
    }

    /// Enables a slot for failover (PostgreSQL 17 and later), so that standbys can keep it too.
    ///
    /// # Errors
    /// [`ReplicationError::Server`] when PostgreSQL refuses.
    pub async fn enable_failover(&mut self, slot: &str) -> Result<(), ReplicationError> {
        self.rows(&format!("ALTER_REPLICATION_SLOT \"{slot}\" (FAILOVER true)")).await.map(drop)
    }

    /// Makes a slot that ends with this session; gives from where it streams.
    ///
    /// # Errors
    /// [`ReplicationError::Server`] when PostgreSQL refuses.
    pub async fn create_temporary_slot(&mut self, slot: &str) -> Result<Lsn, ReplicationError> {
        let command =
            format!("CREATE_REPLICATION_SLOT \"{slot}\" TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT");
        let [_name, from] = self.row(&command).await?;
        from.parse().map_err(|_| ReplicationError::Protocol { expected: "where its slot begins" })
    }

    /// The first columns of the only row that a command gives.
    async fn row<const COLUMNS: usize>(
        &mut self,
        command: &str,
    ) -> Result<[String; COLUMNS], ReplicationError> {
        let row = self.rows(command).await?.pop().unwrap_or_default();
        let columns: Vec<String> = row.into_iter().take(COLUMNS).collect();
        columns.try_into().map_err(|_| ReplicationError::Protocol { expected: "all columns of an answer" })
    }

    /// The rows that a command gives, each column as text.
    async fn rows(&mut self, command: &str) -> Result<Vec<Vec<String>>, ReplicationError> {
        self.send(|out| frontend::query(command, out)).await?;
        let mut rows = Vec::new();
        let mut refused = None;
        loop {
            match self.message().await? {
                Message::DataRow(row) => {
                    let text = |range: Option<std::ops::Range<usize>>| {
                        let bytes = range.and_then(|range| row.buffer().get(range)).unwrap_or_default();
                        Ok(String::from_utf8_lossy(bytes).into_owned())
                    };
                    rows.push(row.ranges().map(text).collect()?);
                }
                // The connection can be used again only after ReadyForQuery.
                Message::ErrorResponse(body) => {
                    refused = Some(ReplicationError::server(&mut body.fields()));
                }
                Message::ReadyForQuery(_) => return refused.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }
}
