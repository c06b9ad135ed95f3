//! Options of Azure Data Explorer endpoints on the wire.

use twinroute_proto::routes::v1 as proto;

use super::{identity, url};
use crate::route::kusto::{KustoOptions, KustoTables};
use crate::route::violation::Reading;

/// Bound of an entity's name in Azure Data Explorer.
const NAME_CHARACTERS_MAX: usize = 1024;

pub(super) fn read(reading: &mut Reading, options: proto::KustoOptions) -> Option<KustoOptions> {
    let uri = url::check(reading, "ingestion_uri", &options.ingestion_uri);
    let identity = options
        .identity
        .map(|identity| reading.within("identity", |reading| identity::read(reading, identity)));
    match (uri.as_ref().and_then(|uri| uri.scheme_str()), &identity) {
        (Some("https"), None) => {
            reading.refuse("identity", "is required: only an emulator on http needs none")
        }
        (Some("http"), Some(_)) if uri.as_ref().is_some_and(url::is_exposed) => {
            reading.refuse("ingestion_uri", "must be https: tokens are not sent unencrypted");
        }
        _ => {}
    }
    let database = entity(reading, "database", options.database, String::new());
    let defaults = KustoTables::default();
    let tables = KustoTables {
        property_events: entity(
            reading,
            "property_events_table",
            options.property_events_table,
            defaults.property_events,
        ),
        twin_life_cycle_events: entity(
            reading,
            "twin_life_cycle_events_table",
            options.twin_life_cycle_events_table,
            defaults.twin_life_cycle_events,
        ),
        relationship_life_cycle_events: entity(
            reading,
            "relationship_life_cycle_events_table",
            options.relationship_life_cycle_events_table,
            defaults.relationship_life_cycle_events,
        ),
    };
    Some(KustoOptions {
        ingestion_uri: options.ingestion_uri.trim_end_matches('/').to_owned(),
        database,
        tables,
        create_tables: options.create_tables.unwrap_or(true),
        identity: match identity {
            None => None,
            Some(identity) => Some(identity?),
        },
    })
}

/// Name of a database or table: letters, digits, blanks, `_`, `-`, `.` (Azure Data Explorer, "Entity names").
fn entity(reading: &mut Reading, field: &str, name: String, default: String) -> String {
    let allowed = |character: char| character.is_alphanumeric() || matches!(character, ' ' | '_' | '-' | '.');
    let name = if name.is_empty() { default } else { name };
    if name.is_empty() {
        reading.refuse(field, "is required");
    } else if name.chars().count() > NAME_CHARACTERS_MAX || !name.chars().all(allowed) {
        let rule =
            format!("a name has at most {NAME_CHARACTERS_MAX} letters, digits, blanks, `_`, `-` and `.`");
        reading.refuse(field, format!("is `{name}`; {rule}"));
    }
    name
}

pub(super) fn write(options: &KustoOptions) -> proto::KustoOptions {
    proto::KustoOptions {
        ingestion_uri: options.ingestion_uri.clone(),
        database: options.database.clone(),
        property_events_table: options.tables.property_events.clone(),
        twin_life_cycle_events_table: options.tables.twin_life_cycle_events.clone(),
        relationship_life_cycle_events_table: options.tables.relationship_life_cycle_events.clone(),
        create_tables: Some(options.create_tables),
        identity: options.identity.as_ref().map(identity::write),
    }
}
