//! PostgreSQL: how it is connected to, and what capture keeps and needs there: its lock, its row, its slot, the
//! publication, the labels' identities.

pub mod connection_string;
pub mod server;
pub mod tls;
pub mod transport;

pub mod control;
pub mod labels;
pub mod options;
pub mod row;
pub mod slot;
mod sql;

pub use connection_string::ConnectionString;
pub use control::{Control, ControlError};
