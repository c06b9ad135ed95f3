//! Options of an Azure Data Explorer endpoint.

use super::identity::TokenIdentity;

/// Options of an Azure Data Explorer endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KustoOptions {
    /// Ingestion endpoint (URL), without a slash at its end.
    pub ingestion_uri: String,
    /// Database.
    pub database: String,
    /// Names of the tables.
    pub tables: KustoTables,
    /// Missing tables are created.
    pub create_tables: bool,
    /// Identity; `None` for an emulator on http.
    pub identity: Option<TokenIdentity>,
}

/// Names of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KustoTables {
    /// Property events.
    pub property_events: String,
    /// Twin life cycle events.
    pub twin_life_cycle_events: String,
    /// Relationship life cycle events.
    pub relationship_life_cycle_events: String,
}

impl Default for KustoTables {
    /// The names that Azure Digital Twins' data history gives them.
    fn default() -> Self {
        Self {
            property_events: "AdtPropertyEvents".to_owned(),
            twin_life_cycle_events: "AdtTwinLifeCycleEvents".to_owned(),
            relationship_life_cycle_events: "AdtRelationshipLifeCycleEvents".to_owned(),
        }
    }
}
