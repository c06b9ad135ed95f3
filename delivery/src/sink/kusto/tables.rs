//! The three tables: which event goes where, their columns, and the commands that make them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use twinroute_common::cloud_event::EventType;
use twinroute_common::route::KustoTables;

/// A table of data history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Table {
    /// One row for each changed property.
    Property,
    /// One row for each twin that came, went or changed its model.
    TwinLifeCycle,
    /// One row for each relationship that came or went.
    RelationshipLifeCycle,
}

/// A column, and the member of a row's document that fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    name: &'static str,
    kind: &'static str,
    member: &'static str,
}

const fn column(name: &'static str, kind: &'static str, member: &'static str) -> Column {
    Column { name, kind, member }
}

/// The member that holds the CloudEvent's id in a row.
pub(super) const EVENT_ID: &str = "EventId";
/// The member that holds the CloudEvent's sequence in a row.
pub(super) const SEQUENCE: &str = "Sequence";

/// By these a repeat is recognised. Only tables that we create have them from the start.
const OURS: [Column; 2] = [column(EVENT_ID, "string", EVENT_ID), column(SEQUENCE, "string", SEQUENCE)];

const PROPERTY_EVENTS: [Column; 10] = [
    column("TimeStamp", "datetime", "timeStamp"),
    column("SourceTimeStamp", "datetime", "sourceTimeStamp"),
    column("ServiceId", "string", "serviceId"),
    column("Id", "string", "twinId"),
    column("ModelId", "string", "modelId"),
    column("Key", "string", "propertyName"),
    column("Value", "dynamic", "propertyValue"),
    column("RelationshipTarget", "string", "relationshipTarget"),
    column("RelationshipId", "string", "relationshipId"),
    column("Action", "string", "operation"),
];

const TWIN_LIFE_CYCLE_EVENTS: [Column; 5] = [
    column("TwinId", "string", "twinId"),
    column("Action", "string", "action"),
    column("TimeStamp", "datetime", "timeStamp"),
    column("ServiceId", "string", "serviceId"),
    column("ModelId", "string", "modelId"),
];

const RELATIONSHIP_LIFE_CYCLE_EVENTS: [Column; 7] = [
    column("RelationshipId", "string", "relationshipId"),
    column("Name", "string", "name"),
    column("Action", "string", "action"),
    column("TimeStamp", "datetime", "timeStamp"),
    column("ServiceId", "string", "serviceId"),
    column("Source", "string", "source"),
    column("Target", "string", "target"),
];

impl Table {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Property, Self::TwinLifeCycle, Self::RelationshipLifeCycle];

    /// Where events of a type go; `None` for those that are no data history.
    #[must_use]
    pub fn of(event_type: EventType) -> Option<Self> {
        match event_type {
            EventType::PropertyEvent => Some(Self::Property),
            EventType::TwinLifecycle => Some(Self::TwinLifeCycle),
            EventType::RelationshipLifecycle => Some(Self::RelationshipLifeCycle),
            _ => None,
        }
    }

    /// Its name in the endpoint's options.
    #[must_use]
    pub fn name(self, names: &KustoTables) -> &str {
        match self {
            Self::Property => &names.property_events,
            Self::TwinLifeCycle => &names.twin_life_cycle_events,
            Self::RelationshipLifeCycle => &names.relationship_life_cycle_events,
        }
    }

    /// The name of its ingestion mapping.
    pub(super) fn mapping_name(self) -> &'static str {
        match self {
            Self::Property => "twinroute_property_events",
            Self::TwinLifeCycle => "twinroute_twin_life_cycle_events",
            Self::RelationshipLifeCycle => "twinroute_relationship_life_cycle_events",
        }
    }

    /// Azure Digital Twins' columns.
    fn columns(self) -> &'static [Column] {
        match self {
            Self::Property => &PROPERTY_EVENTS,
            Self::TwinLifeCycle => &TWIN_LIFE_CYCLE_EVENTS,
            Self::RelationshipLifeCycle => &RELATIONSHIP_LIFE_CYCLE_EVENTS,
        }
    }

    /// The command that shows the columns of a table.
    pub(super) fn show_command(name: &str) -> String {
        format!(".show table {} cslschema", entity(name))
    }

    /// The command that creates the table, or gives a table that came up meanwhile what it lacks.
    #[must_use]
    pub fn create_command(self, name: &str) -> String {
        let columns: Vec<String> = self
            .columns()
            .iter()
            .chain(&OURS)
            .map(|column| format!("{}:{}", column.name, column.kind))
            .collect();
        format!(".create-merge table {} ({})", entity(name), columns.join(", "))
    }

    /// The command that makes the mapping for the columns that the table has. Without their data types, so that ingestion
    /// never adds a column to somebody's table.
    #[must_use]
    pub fn mapping_command(self, name: &str, present: &[String]) -> String {
        let mut mapping = String::from("[");
        let columns = self.columns().iter().chain(&OURS);
        for Column { name, member, .. } in columns.filter(|column| present.iter().any(|p| p == column.name)) {
            let comma = if mapping.len() > 1 { "," } else { "" };
            let _ = write!(mapping, r#"{comma}{{"column":"{name}","Properties":{{"Path":"$.{member}"}}}}"#);
        }
        mapping.push(']');
        let (table, reference) = (entity(name), literal(self.mapping_name()));
        format!(".create-or-alter table {table} ingestion json mapping {reference} {}", literal(&mapping))
    }

    /// The columns that a table has after its creation by us.
    #[must_use]
    pub fn created_columns(self) -> Vec<String> {
        self.columns().iter().chain(&OURS).map(|column| column.name.to_owned()).collect()
    }
}

/// Reads `Name:type,Name:type`, with names that may be bracketed.
pub(super) fn read_schema(schema: &str) -> Vec<String> {
    let name = |column: &str| {
        let (name, _) = column.rsplit_once(':')?;
        let bare = name.trim().trim_start_matches("['").trim_end_matches("']");
        Some(bare.to_owned())
    };
    schema.split(',').filter_map(name).collect()
}

/// The name of a database, table or column in a command.
fn entity(name: &str) -> String {
    format!("[{}]", literal(name))
}

/// A string in a command.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_history_has_a_table_and_nothing_else_has() {
        assert_eq!(Table::of(EventType::PropertyEvent), Some(Table::Property));
        assert_eq!(Table::of(EventType::TwinLifecycle), Some(Table::TwinLifeCycle));
        assert_eq!(Table::of(EventType::RelationshipLifecycle), Some(Table::RelationshipLifeCycle));
        assert_eq!(Table::of(EventType::TwinUpdate), None);
        assert_eq!(Table::of(EventType::StreamGap), None);
    }

    #[test]
    fn a_created_table_has_the_documented_columns_and_ours() {
        assert_eq!(
            Table::Property.create_command("AdtPropertyEvents"),
            ".create-merge table ['AdtPropertyEvents'] (TimeStamp:datetime, SourceTimeStamp:datetime, \
             ServiceId:string, Id:string, ModelId:string, Key:string, Value:dynamic, RelationshipTarget:string, \
             RelationshipId:string, Action:string, EventId:string, Sequence:string)"
        );
        assert_eq!(
            Table::TwinLifeCycle.create_command("T"),
            ".create-merge table ['T'] (TwinId:string, Action:string, TimeStamp:datetime, ServiceId:string, \
             ModelId:string, EventId:string, Sequence:string)"
        );
        assert_eq!(
            Table::RelationshipLifeCycle.create_command("R"),
            ".create-merge table ['R'] (RelationshipId:string, Name:string, Action:string, TimeStamp:datetime, \
             ServiceId:string, Source:string, Target:string, EventId:string, Sequence:string)"
        );
    }

    #[test]
    fn the_mapping_has_only_columns_that_are_there() {
        let present = ["Id", "Key", "Sequence"].map(str::to_owned);
        assert_eq!(
            Table::Property.mapping_command("it's", &present),
            r#".create-or-alter table ['it\'s'] ingestion json mapping 'twinroute_property_events' '[{"column":"Id","Properties":{"Path":"$.twinId"}},{"column":"Key","Properties":{"Path":"$.propertyName"}},{"column":"Sequence","Properties":{"Path":"$.Sequence"}}]'"#
        );
    }

    #[test]
    fn a_schema_is_read() {
        assert_eq!(
            read_schema("TimeStamp:datetime,['My Key']:string,Value:dynamic"),
            ["TimeStamp", "My Key", "Value"]
        );
        assert_eq!(read_schema(""), Vec::<String>::new());
    }
}
