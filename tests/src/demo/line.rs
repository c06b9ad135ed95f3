//! One line for one event, readable at a glance.

use std::io::IsTerminal as _;

use hashbrown::HashMap;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::arrival::{data, operations, short_type, text};
use crate::{
    consumers::{Received, Sink},
    twins::{document::Object, ledger::MARKER},
};

/// Columns of the type: `Relationship.Lifecycle`.
const TYPE_WIDTH: usize = 22;
/// Columns of the subject: `robot-1/relationships/job-10`.
const SUBJECT_WIDTH: usize = 28;
/// Columns of what has changed; longer text is cut.
const WHAT_WIDTH: usize = 38;

/// Whether text may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Ansi,
    Plain,
}

impl Colour {
    /// Colour on a terminal, unless the user wants none (no-color.org).
    pub(super) fn of_terminal() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && std::io::stdout().is_terminal() { Self::Ansi } else { Self::Plain }
    }

    /// `text` in the colour of `sink`.
    fn of_sink(self, sink: Sink, text: &str) -> String {
        let code = match sink {
            Sink::Kafka => 33,
            Sink::Mqtt => 32,
            Sink::Kusto => 36,
        };
        self.paint(code, text)
    }

    /// `text` less bright.
    pub(super) fn dim(self, text: &str) -> String {
        self.paint(2, text)
    }

    /// ECMA-48, select graphic rendition.
    fn paint(self, code: u8, text: &str) -> String {
        match self {
            Self::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// The sink's name.
pub(super) fn name(sink: Sink) -> &'static str {
    match sink {
        Sink::Kafka => "kafka",
        Sink::Mqtt => "mqtt",
        Sink::Kusto => "kusto",
    }
}

/// Makes lines; knows the values that were there before, as a consumer does who keeps a copy.
#[derive(Debug)]
pub(super) struct Lines {
    colour: Colour,
    time_zone: TimeZone,
    /// By sink, subject and property.
    values: HashMap<(Sink, String, String), String>,
}

impl Lines {
    /// Lines with times of `time_zone`.
    pub(super) fn new(colour: Colour, time_zone: TimeZone) -> Self {
        Self { colour, time_zone, values: HashMap::new() }
    }

    /// The line for an event. Each event must be given, shown or not, for its values.
    pub(super) fn line(&mut self, event: &Received) -> String {
        let what = cut(&self.what(event), WHAT_WIDTH);
        let time = event.received_at.to_zoned(self.time_zone.clone()).strftime("%H:%M:%S%.3f").to_string();
        let sink = self.colour.of_sink(event.sink, &format!("{:5}", name(event.sink)));
        let type_ = short_type(event);
        let subject = cut(&event.subject, SUBJECT_WIDTH);
        let latency = event.latency_ms();
        format!(
            "{time}  {sink}  {type_:TYPE_WIDTH$}  {subject:SUBJECT_WIDTH$}  {what:WHAT_WIDTH$} {latency:5.0} ms"
        )
    }

    /// What has changed.
    fn what(&mut self, event: &Received) -> String {
        let (type_, data) = (short_type(event), data(event));
        match type_ {
            "Property.Event" => {
                let value = data.get("Value").unwrap_or(&Value::Null);
                self.changed(event, text(&data, "Key"), value)
            }
            "Twin.Lifecycle" => format!("{} {}", text(&data, "Action"), text(&data, "ModelId")),
            "Relationship.Lifecycle" => {
                let [action, name, target] = ["Action", "Name", "Target"].map(|member| text(&data, member));
                format!("{action} {name} → {target}")
            }
            _ => match (operations(&data), &data) {
                (Some(operations), _) => {
                    let of_user = operations.into_iter().filter(|(_, property, _)| *property != MARKER);
                    let changes: Vec<_> =
                        of_user.map(|(_, name, value)| self.changed(event, name, value)).collect();
                    changes.join(", ")
                }
                (None, Value::Object(document)) => self.document(event, document),
                (None, _) => String::new(),
            },
        }
    }

    /// `Temperature 21.5 → 22.0`, or without what was before when there was nothing.
    fn changed(&mut self, event: &Received, property: &str, value: &Value) -> String {
        let value = plain(value);
        match self.remember(event, property, &value) {
            Some(before) => format!("{property} {before} → {value}"),
            None => format!("{property} {value}"),
        }
    }

    /// Where a relationship leads, and the properties: the first or the last ones.
    fn document(&mut self, event: &Received, document: &Object) -> String {
        if let Some(model) = document.get("model") {
            return format!("{} {}", text(model, "@type"), text(model, "displayName"));
        }
        let mut words = Vec::from_iter(relation(document));
        for (name, value) in document {
            if !name.starts_with('$') && name != MARKER {
                let value = plain(value);
                words.push(format!("{name} {value}"));
                self.remember(event, name, &value);
            }
        }
        words.join(", ")
    }

    /// Keeps a value; gives back the one before.
    fn remember(&mut self, event: &Received, property: &str, value: &str) -> Option<String> {
        let key = (event.sink, event.subject.clone(), property.to_owned());
        self.values.insert(key, value.to_owned())
    }
}

/// `hasSensor → press-1-temp`, for the document of a relationship.
fn relation(document: &Object) -> Option<String> {
    let text = |member| document.get(member).and_then(Value::as_str);
    Some(format!("{} → {}", text("$relationshipName")?, text("$targetId")?))
}

/// A value without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// At most `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;

    fn update(value: f64) -> Result<Received, serde_json::Error> {
        let patch = json!([
            {"op": "replace", "path": "/marker", "value": 7},
            {"op": "replace", "path": "/Temperature", "value": value},
        ]);
        Ok(Received {
            sink: Sink::Mqtt,
            id: String::new(),
            source: String::new(),
            type_: "Konnektr.DigitalTwins.Twin.Update".to_owned(),
            subject: "room1".to_owned(),
            key: "room1".to_owned(),
            sequence: String::new(),
            time: jiff::Timestamp::UNIX_EPOCH,
            data: to_raw_value(&json!({"modelId": "dtmi:m;1", "patch": patch}))?,
            wire: "".into(),
            received_at: jiff::Timestamp::from_millisecond(12).unwrap_or_default(),
        })
    }

    #[test]
    fn a_line_tells_what_was_before() -> Result<(), serde_json::Error> {
        // Given a consumer who has seen an earlier value
        let mut lines = Lines::new(Colour::Plain, TimeZone::UTC);
        lines.line(&update(21.5)?);
        // When the next one arrives
        let line = lines.line(&update(22.0)?);
        // Then the line shows both, and nothing of the demo's marker
        let words: Vec<_> = line.split_whitespace().collect();
        let expected =
            ["00:00:00.012", "mqtt", "Twin.Update", "room1", "Temperature", "21.5", "→", "22.0", "12", "ms"];
        assert_eq!(words, expected);
        Ok(())
    }

    #[test]
    fn only_a_coloured_line_has_escapes() -> Result<(), serde_json::Error> {
        for (colour, escapes) in [(Colour::Plain, 0), (Colour::Ansi, 2)] {
            let line = Lines::new(colour, TimeZone::UTC).line(&update(21.5)?);
            assert_eq!(line.matches('\x1b').count(), escapes);
        }
        Ok(())
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}
