//! Makes a [`SinkError`] say what it is about.

use super::{SinkError, Verdict};

impl SinkError {
    /// The destination's answer to this very event: it counts as an attempt.
    pub(crate) fn about_event(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), about_event: true }
    }

    /// The connection, the destination as a whole, or other events: it counts as no attempt.
    pub(crate) fn about_connection(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), about_event: false }
    }

    /// An event that was not written because an earlier one failed.
    pub(crate) fn behind_a_failure() -> Self {
        let message = "an event before it failed, and nothing newer may overtake that one";
        Self::about_connection("BEHIND_A_FAILURE", message)
    }

    /// A batch was too large for the destination; which of its events is, or whether any is by itself, smaller ones tell.
    pub(crate) fn is_about_batch(&self) -> bool {
        !self.about_event
            && matches!(self.code, "MSG_SIZE_TOO_LARGE" | "RECORD_LIST_TOO_LARGE" | "INVALID_MSG_SIZE")
    }

    /// It comes of another event, and says nothing of the destination: what stood behind one that failed, or with one that
    /// is too large in a batch.
    pub(crate) fn is_consequence(&self) -> bool {
        self.is_about_batch() || (!self.about_event && self.code == "BEHIND_A_FAILURE")
    }

    /// The verdict that lets the event be tried again.
    pub(crate) fn retryable(self) -> Verdict {
        Verdict::Retryable(self)
    }

    /// The verdict that ends the event.
    pub(crate) fn permanent(self) -> Verdict {
        Verdict::Permanent(self)
    }
}
