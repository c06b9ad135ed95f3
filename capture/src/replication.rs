//! The replication connection: PostgreSQL's streaming replication protocol (PostgreSQL manual, chapters
//! "Frontend/Backend Protocol" and "Streaming Replication Protocol").

mod command;
pub mod connection;
mod frame;
mod login;
mod pace;
pub mod reader;

pub use connection::{Connection, ReplicationError};
pub use frame::{Frame, FrameError, Frames};
