//! What a delivery report says about its event.

use rdkafka::types::RDKafkaErrorCode;

use crate::sink::{SinkError, Verdict};

/// What an error means for the event that it was reported for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Something in the batch is too large for the broker.
    TooLarge,
    /// The record itself is refused, and would be again.
    Refused,
    /// The topic or the connection, or another record before this one.
    NotThisEvent,
}

use Meaning::{NotThisEvent, Refused, TooLarge};

/// The errors that say something definite, with the names that Kafka has for them. Any other is taken for an answer to the
/// event that may change.
const TABLE: [(RDKafkaErrorCode, &str, Meaning); 26] = [
    (RDKafkaErrorCode::MessageSizeTooLarge, "MSG_SIZE_TOO_LARGE", TooLarge),
    (RDKafkaErrorCode::MessageBatchTooLarge, "RECORD_LIST_TOO_LARGE", TooLarge),
    (RDKafkaErrorCode::InvalidMessageSize, "INVALID_MSG_SIZE", TooLarge),
    (RDKafkaErrorCode::InvalidRecord, "INVALID_RECORD", Refused),
    (RDKafkaErrorCode::InvalidTimestamp, "INVALID_TIMESTAMP", Refused),
    (RDKafkaErrorCode::UnsupportedForMessageFormat, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Refused),
    (RDKafkaErrorCode::InvalidDifferentRecord, "INVALID_DIFFERENT_RECORD", NotThisEvent),
    (RDKafkaErrorCode::TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED", NotThisEvent),
    (RDKafkaErrorCode::ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED", NotThisEvent),
    (RDKafkaErrorCode::Authentication, "AUTHENTICATION", NotThisEvent),
    (RDKafkaErrorCode::SaslAuthenticationFailed, "SASL_AUTHENTICATION_FAILED", NotThisEvent),
    (RDKafkaErrorCode::UnknownTopic, "UNKNOWN_TOPIC", NotThisEvent),
    (RDKafkaErrorCode::UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PART", NotThisEvent),
    (RDKafkaErrorCode::UnknownPartition, "UNKNOWN_PARTITION", NotThisEvent),
    (RDKafkaErrorCode::InvalidTopic, "TOPIC_EXCEPTION", NotThisEvent),
    (RDKafkaErrorCode::ThrottlingQuotaExceeded, "THROTTLING_QUOTA_EXCEEDED", NotThisEvent),
    (RDKafkaErrorCode::MessageTimedOut, "MSG_TIMED_OUT", NotThisEvent),
    (RDKafkaErrorCode::BrokerTransportFailure, "TRANSPORT", NotThisEvent),
    (RDKafkaErrorCode::PurgeQueue, "PURGE_QUEUE", NotThisEvent),
    (RDKafkaErrorCode::PurgeInflight, "PURGE_INFLIGHT", NotThisEvent),
    (RDKafkaErrorCode::Fatal, "FATAL", NotThisEvent),
    (RDKafkaErrorCode::GaplessGuarantee, "GAPLESS_GUARANTEE", NotThisEvent),
    (RDKafkaErrorCode::OutOfOrderSequenceNumber, "OUT_OF_ORDER_SEQUENCE_NUMBER", NotThisEvent),
    (RDKafkaErrorCode::UnknownProducerId, "UNKNOWN_PRODUCER_ID", NotThisEvent),
    (RDKafkaErrorCode::InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH", NotThisEvent),
    (RDKafkaErrorCode::NotEnoughReplicas, "NOT_ENOUGH_REPLICAS", NotThisEvent),
];

/// Errors that follow from another one.
const CONSEQUENCES: [RDKafkaErrorCode; 4] = [
    RDKafkaErrorCode::PurgeQueue,
    RDKafkaErrorCode::PurgeInflight,
    RDKafkaErrorCode::Fatal,
    RDKafkaErrorCode::GaplessGuarantee,
];

/// The name of errors that the table does not have.
const OTHER: &str = "KAFKA_ERROR";

/// Where a record was when its error came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nowhere: librdkafka did not take it.
    Never,
    /// In a batch of its own.
    Alone,
    /// In a batch that may have held others.
    Batched,
}

/// What an error means for its event, and whether batches must become smaller.
#[derive(Debug)]
pub(super) struct Answer {
    /// For the event.
    pub(super) verdict: Verdict,
    /// A batch that may have held several records was too large.
    pub(super) batch_too_large: bool,
}

/// What an error means for the event that it was reported for.
///
/// A broker refuses a batch as a whole when it is too large. That ends a record that was alone in it; the others are tried
/// again in smaller batches. `background` is what librdkafka said last about the connection or itself.
pub(super) fn answer(code: RDKafkaErrorCode, sent: Sent, background: &str) -> Answer {
    let known = TABLE.iter().find(|(known, _, _)| *known == code);
    let name = known.map_or(OTHER, |(_, name, _)| name);
    let message = if CONSEQUENCES.contains(&code) && !background.is_empty() {
        format!("not written, because the producer was replaced: {background}")
    } else {
        code.to_string()
    };
    let verdict = match (known.map(|(_, _, meaning)| *meaning), sent) {
        (Some(TooLarge), Sent::Batched) => {
            let verdict = SinkError::about_connection(name, message).retryable();
            return Answer { verdict, batch_too_large: true };
        }
        (Some(TooLarge | Refused), _) => SinkError::about_event(name, message).permanent(),
        (Some(NotThisEvent), _) => SinkError::about_connection(name, message).retryable(),
        (None, _) => SinkError::about_event(name, message).retryable(),
    };
    Answer { verdict, batch_too_large: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::classes::{class_of, documented};

    #[test]
    fn the_page_of_the_sinks_has_the_same_classes() {
        let class = |code| class_of(&answer(code, Sent::Alone, "").verdict).to_owned();
        let mut classes: std::collections::BTreeMap<_, _> =
            TABLE.iter().map(|(code, name, _)| ((*name).to_owned(), class(*code))).collect();
        classes.insert(OTHER.to_owned(), class(RDKafkaErrorCode::PolicyViolation));
        assert_eq!(documented("Kafka and Event Hubs"), classes);
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Expected {
        Permanent,
        RetryThisEvent,
        RetryWithoutAttempt,
    }

    fn outcome(code: RDKafkaErrorCode, sent: Sent) -> Expected {
        match answer(code, sent, "").verdict {
            Verdict::Permanent(_) => Expected::Permanent,
            Verdict::Retryable(error) if error.about_event => Expected::RetryThisEvent,
            _ => Expected::RetryWithoutAttempt,
        }
    }

    #[test]
    fn every_error_has_its_meaning() {
        use RDKafkaErrorCode as Code;
        let cases = [
            (Code::MessageSizeTooLarge, Sent::Never, Expected::Permanent),
            (Code::MessageSizeTooLarge, Sent::Alone, Expected::Permanent),
            (Code::MessageSizeTooLarge, Sent::Batched, Expected::RetryWithoutAttempt),
            (Code::MessageBatchTooLarge, Sent::Batched, Expected::RetryWithoutAttempt),
            (Code::MessageBatchTooLarge, Sent::Alone, Expected::Permanent),
            (Code::InvalidRecord, Sent::Batched, Expected::Permanent),
            (Code::InvalidDifferentRecord, Sent::Batched, Expected::RetryWithoutAttempt),
            (Code::TopicAuthorizationFailed, Sent::Batched, Expected::RetryWithoutAttempt),
            (Code::UnknownTopic, Sent::Batched, Expected::RetryWithoutAttempt),
            (Code::PurgeQueue, Sent::Batched, Expected::RetryWithoutAttempt),
            (Code::PurgeInflight, Sent::Batched, Expected::RetryWithoutAttempt),
            (Code::Fatal, Sent::Never, Expected::RetryWithoutAttempt),
            (Code::PolicyViolation, Sent::Batched, Expected::RetryThisEvent),
            (Code::InvalidMessage, Sent::Batched, Expected::RetryThisEvent),
        ];
        for (code, sent, expected) in cases {
            assert_eq!(outcome(code, sent), expected, "{code:?} {sent:?}");
        }
    }

    #[test]
    fn what_follows_from_another_error_tells_that_one() {
        let Verdict::Retryable(error) =
            answer(RDKafkaErrorCode::PurgeQueue, Sent::Never, "wrong password").verdict
        else {
            panic!("it can be tried again");
        };
        assert_eq!(error.message, "not written, because the producer was replaced: wrong password");
    }

    #[test]
    fn only_a_shared_batch_that_is_too_large_makes_batches_smaller() {
        let shrinks = |code, sent| answer(code, sent, "").batch_too_large;
        assert!(shrinks(RDKafkaErrorCode::MessageSizeTooLarge, Sent::Batched));
        assert!(!shrinks(RDKafkaErrorCode::MessageSizeTooLarge, Sent::Alone));
        assert!(!shrinks(RDKafkaErrorCode::UnknownTopic, Sent::Batched));
    }
}
