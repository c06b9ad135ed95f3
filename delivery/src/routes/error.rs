//! Why routes-api is not followed any more.

use std::time::Duration;

use twinroute_common::grpc::ConnectError;
use twinroute_common::route::BaseMismatch;

/// Why routes-api is not followed any more. All are mended by connecting again.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// No address answered.
    #[error("cannot connect to routes-api")]
    Connect(#[from] ConnectError),
    /// routes-api refused the stream, or ended it with an error.
    #[error("routes-api ended the stream: {}: {}", .0.code(), .0.message())]
    Status(Box<tonic::Status>),
    /// routes-api ended the stream without a reason, or the connection broke.
    #[error("routes-api ended the stream")]
    Closed,
    /// The table did not come.
    #[error("routes-api sent no table within {} ms (routes.table_timeout_ms)", .0.as_millis())]
    NoTable(Duration),
    /// A delta came first.
    #[error("routes-api did not begin with the whole table")]
    NotTable,
    /// A delta does not fit, which the whole table mends.
    #[error("a change of routes does not fit the table")]
    Base(#[from] BaseMismatch),
    /// routes-api does not read.
    #[error("routes-api takes no frames")]
    Stuck,
}

impl From<tonic::Status> for RoutesError {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}
