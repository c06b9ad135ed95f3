//! What the reason code of a PUBACK, PUBREC or PUBCOMP says about its message (MQTT 5.0, sections 3.4.2.1, 3.5.2.1, 3.7.2.1).

use crate::sink::{SinkError, Verdict};

/// What a reason code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Delivered,
    /// It would be refused again.
    Refused,
    /// The server will not have this message now.
    NotNow,
    /// The connection or the server as a whole.
    NotThisEvent,
}

use Meaning::{Delivered, NotNow, NotThisEvent, Refused};

/// Every code that the protocol allows here, and what a DISCONNECT, or Mosquitto against the protocol, says of a message. The authorization of a topic is about the event, since topics may be made
/// from events.
const TABLE: [(u8, &str, Meaning); 11] = [
    (0x00, "SUCCESS", Delivered),
    (0x10, "NO_MATCHING_SUBSCRIBERS", Delivered),
    (0x80, "UNSPECIFIED_ERROR", NotNow),
    (0x83, "IMPLEMENTATION_SPECIFIC_ERROR", NotNow),
    (0x87, "NOT_AUTHORIZED", NotNow),
    (0x90, "TOPIC_NAME_INVALID", Refused),
    (0x91, "PACKET_IDENTIFIER_IN_USE", NotThisEvent),
    (0x92, "PACKET_IDENTIFIER_NOT_FOUND", NotThisEvent),
    (0x95, "PACKET_TOO_LARGE", Refused),
    (0x97, "QUOTA_EXCEEDED", NotThisEvent),
    (0x99, "PAYLOAD_FORMAT_INVALID", Refused),
];

/// The verdict that a reason code, with the server's words if it has any, stands for.
pub(super) fn verdict(reason: u8, words: Option<&str>) -> Verdict {
    let known = TABLE.iter().find(|(code, _, _)| *code == reason);
    let (name, meaning) = known.map_or(("UNKNOWN_REASON", NotNow), |(_, name, meaning)| (*name, *meaning));
    let message = || match words {
        Some(words) => format!("the server answers 0x{reason:02X}: {words}"),
        None => format!("the server answers 0x{reason:02X}"),
    };
    match meaning {
        Delivered => Verdict::Delivered,
        Refused => SinkError::about_event(name, message()).permanent(),
        NotNow => SinkError::about_event(name, message()).retryable(),
        NotThisEvent => SinkError::about_connection(name, message()).retryable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::classes::{class_of, documented};

    #[test]
    fn the_page_of_the_sinks_has_the_same_classes() {
        let class = |reason| class_of(&verdict(reason, None)).to_owned();
        let mut classes: std::collections::BTreeMap<_, _> =
            TABLE.iter().map(|(reason, name, _)| ((*name).to_owned(), class(*reason))).collect();
        classes.insert("UNKNOWN_REASON".to_owned(), class(0xFF));
        assert_eq!(documented("MQTT"), classes);
    }

    #[test]
    fn every_reason_has_its_verdict() {
        for (reason, name, meaning) in TABLE {
            let agrees = match verdict(reason, None) {
                Verdict::Delivered => meaning == Delivered,
                Verdict::Permanent(error) => meaning == Refused && error.code == name,
                Verdict::Retryable(error) if error.about_event => meaning == NotNow,
                Verdict::Retryable(error) => meaning == NotThisEvent && error.code == name,
            };
            assert!(agrees, "{name}");
            assert_eq!(meaning == Delivered, reason < 0x80, "{name}");
        }
    }

    #[test]
    fn the_servers_words_are_handed_on() {
        let Verdict::Permanent(error) = verdict(0x99, Some("not UTF-8")) else {
            panic!("0x99 is permanent");
        };
        assert_eq!(error.message, "the server answers 0x99: not UTF-8");
    }

    #[test]
    fn a_reason_that_is_not_known_is_an_answer_that_may_change() {
        assert!(matches!(verdict(0xFF, None), Verdict::Retryable(error) if error.about_event));
    }
}
