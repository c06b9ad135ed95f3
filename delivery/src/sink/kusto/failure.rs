//! Why Kusto or its storage did not take something. No answer of theirs is about a single event.

use std::error::Error;
use std::time::{Duration, SystemTime};

use azure_core::error::ErrorKind;
use jiff::fmt::rfc2822;

use crate::sink::SinkError;

/// Why something was not taken.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// For the events that it concerns.
    pub(super) error: SinkError,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// HTTP status, when there was an answer.
    pub(super) status: Option<u16>,
}

/// The names of the answers that say something; all may change.
const TABLE: [(u16, &str); 9] = [
    (400, "BAD_REQUEST"),
    (401, "NOT_AUTHENTICATED"),
    (403, "NOT_AUTHORIZED"),
    (404, "NOT_FOUND"),
    (408, "TIMEOUT"),
    (409, "CONFLICT"),
    (413, "CONTENT_TOO_LARGE"),
    (429, "THROTTLED"),
    (503, "SERVER_BUSY"),
];

impl Failure {
    /// No answer.
    pub(super) fn unreachable(what: &str, why: impl std::fmt::Display) -> Self {
        let error = SinkError::about_connection("UNREACHABLE", format!("{what}: {why}"));
        Self { error, retry_after: None, status: None }
    }

    /// What is kept of shipments cannot be read: nothing is said of the cluster.
    pub(super) fn of_store(why: impl std::fmt::Display) -> Self {
        let error = SinkError::about_connection("BACKLOG_STORE", format!("shipments that are kept: {why}"));
        Self { error, retry_after: None, status: None }
    }

    /// An answer that cannot be understood or lacks something.
    pub(super) fn unusable(what: &str, why: impl std::fmt::Display) -> Self {
        let error = SinkError::about_connection("UNUSABLE_ANSWER", format!("{what}: {why}"));
        Self { error, retry_after: None, status: None }
    }

    /// An answer with a status that means no.
    pub(super) fn refused(what: &str, status: u16, why: &str, retry_after: Option<&str>) -> Self {
        let known = TABLE.iter().find(|(known, _)| *known == status);
        let code = known.map_or("SERVER_ERROR", |(_, code)| code);
        let error = SinkError::about_connection(code, format!("{what}: status {status}: {why}"));
        let retry_after = retry_after.and_then(|text| read_retry_after(text, SystemTime::now()));
        Self { error, retry_after, status: Some(status) }
    }

    /// An error of Azure's storage clients.
    pub(super) fn of_storage(what: &str, error: &azure_core::Error) -> Self {
        match error.kind() {
            ErrorKind::HttpResponse { status, error_code, raw_response } => {
                let retry_after = raw_response.as_ref().and_then(|response| {
                    let name = azure_core::http::headers::RETRY_AFTER;
                    response.headers().get_optional_string(&name)
                });
                let why = error_code.as_deref().unwrap_or("no reason given");
                Self::refused(what, u16::from(*status), why, retry_after.as_deref())
            }
            // What stands before it names the URL, and with it the signature.
            _ => Self::unreachable(what, root_cause(error)),
        }
    }

    /// Whether the cluster does not answer.
    pub(super) fn is_silence(&self) -> bool {
        self.status.is_none() && self.error.code != "BACKLOG_STORE"
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        Self { error, retry_after: None, status: None }
    }
}

fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn read_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    SystemTime::from(date).duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use azure_core::http::{ClientOptions, RetryOptions};
    use azure_storage_queue::{QueueClient, QueueClientOptions};

    use super::*;
    use crate::sink::classes::{class_of, documented};

    #[test]
    fn the_page_of_the_sinks_has_the_same_classes() {
        let class = |status| {
            class_of(&Failure::refused("put blob", status, "why", None).error.retryable()).to_owned()
        };
        let mut classes: std::collections::BTreeMap<_, _> =
            TABLE.iter().map(|(status, code)| ((*code).to_owned(), class(*status))).collect();
        classes.insert("SERVER_ERROR".to_owned(), class(500));
        assert_eq!(documented("Azure Data Explorer"), classes);
    }

    #[test]
    fn every_status_has_a_name_and_none_is_about_the_event() {
        for (status, code) in TABLE.into_iter().chain([(500, "SERVER_ERROR")]) {
            let failure = Failure::refused("put blob", status, "why", None);
            assert_eq!(failure.error.code, code);
            assert!(!failure.error.about_event);
            assert_eq!(failure.status, Some(status));
        }
    }

    #[tokio::test]
    async fn a_signature_is_never_told() {
        // given storage that nothing listens for
        let url = "http://127.0.0.1:1/account/queue?sig=hunter2".parse().unwrap();
        let client_options = ClientOptions { retry: RetryOptions::none(), ..Default::default() };
        let options = QueueClientOptions { client_options, ..Default::default() };
        let client = QueueClient::new(url, None, Some(options)).unwrap();

        // when it is used
        let error = client.clear(None).await.err().unwrap();

        // then the failure tells why, and not where with which signature
        let failure = Failure::of_storage("clear", &error);
        assert!(!failure.error.message.contains("hunter2"), "{}", failure.error.message);
        assert!(failure.error.message.contains("refused"), "{}", failure.error.message);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        assert_eq!(read_retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(read_retry_after("soon", now), None);
    }
}
