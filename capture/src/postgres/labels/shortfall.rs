//! What could not be done for the labels, and who can.

use tracing::info;

use crate::postgres::control::{Control, ControlError};

/// What could not be done, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// Statements that somebody with more rights should run.
    pub required_statements: Vec<String>,
    /// Configured graphs, or patterns of graphs, that mean no schema yet.
    pub missing_graphs: Vec<String>,
    /// Tables that were locked by others; tried again soon.
    pub locked_tables: Vec<String>,
}

impl Shortfall {
    /// All is as it should be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// What is missing, in one sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut parts = Vec::new();
        if !self.required_statements.is_empty() {
            parts.push(format!("somebody with the right must run: {}", self.required_statements.join("; ")));
        }
        if !self.missing_graphs.is_empty() {
            parts
                .push(format!("source.graphs names what does not exist: {}", self.missing_graphs.join(", ")));
        }
        if !self.locked_tables.is_empty() {
            parts.push(format!("waiting for locks on {}", self.locked_tables.join(", ")));
        }
        parts.join("; ")
    }

    /// Runs a statement; one that the role has no right to becomes a required one. `place` is what it changes.
    pub(super) async fn attempt(
        &mut self,
        control: &Control,
        statement: String,
        place: &str,
    ) -> Result<bool, ControlError> {
        match control.run(&statement).await {
            Ok(()) => {
                info!(statement, "changed PostgreSQL");
                Ok(true)
            }
            Err(error) if error.is_privilege() => {
                self.required_statements.push(statement);
                Ok(false)
            }
            Err(error) if error.is_lock_timeout() => {
                self.locked_tables.push(place.to_owned());
                Ok(false)
            }
            // An operator, or the capture of another subscription with the same publication.
            Err(error) if error.is_done_already() => Ok(true),
            // Dropped since it was listed.
            Err(error) if error.is_gone() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
