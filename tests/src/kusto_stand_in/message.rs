//! The ingestion message: what a client puts into the queue for each blob.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::error::Refusal;

/// What of an ingestion message the stand-in obeys. The form is Kusto's documented one; clients
/// send more members than these.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IngestionMessage {
    /// The blob's URL with its signature.
    pub(super) blob_path: String,
    pub(super) database_name: String,
    pub(super) table_name: String,
    /// When the client made the message, in UTC, with or without saying so.
    source_message_creation_time: Option<String>,
    #[serde(default)]
    pub(super) additional_properties: Properties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Properties {
    /// What `.get kusto identity token` gave; real Kusto refuses messages without it.
    pub(super) authorization_context: Option<String>,
    pub(super) format: Option<String>,
    pub(super) ingestion_mapping_reference: Option<String>,
    /// A mapping of its own, as JSON text.
    pub(super) ingestion_mapping: Option<String>,
    /// A JSON array of strings, as text.
    tags: Option<String>,
    /// A JSON array of strings, as text: `ingest-by` tags without that prefix.
    ingest_if_not_exists: Option<String>,
}

impl IngestionMessage {
    /// Reads the text of a queue message: base64 of JSON.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let json =
            STANDARD.decode(text).map_err(|e| Refusal::invalid(format!("the message is not base64: {e}")))?;
        serde_json::from_slice(&json)
            .map_err(|e| Refusal::invalid(format!("the message is not an ingestion message: {e}")))
    }
}

impl IngestionMessage {
    /// When the client made the message, if it says so.
    pub(super) fn made_at(&self) -> Option<jiff::civil::DateTime> {
        self.source_message_creation_time.as_deref()?.trim_end_matches('Z').parse().ok()
    }
}

impl Properties {
    /// The values of the `ingest-by` tags that the rows are to get.
    pub(super) fn ingest_by(&self) -> Result<Vec<String>, Refusal> {
        let tags = strings("tags", self.tags.as_deref())?;
        let tags = tags.iter().filter_map(|tag| tag.strip_prefix("ingest-by:"));
        Ok(tags.map(str::to_owned).collect())
    }

    /// The tags of which none may be there yet.
    pub(super) fn unless(&self) -> Result<Vec<String>, Refusal> {
        strings("ingestIfNotExists", self.ingest_if_not_exists.as_deref())
    }
}

fn strings(name: &str, text: Option<&str>) -> Result<Vec<String>, Refusal> {
    serde_json::from_str(text.unwrap_or("[]"))
        .map_err(|e| Refusal::invalid(format!("{name} is not an array of strings as text: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_out_of_their_text() -> Result<(), Refusal> {
        let json = r#"{"BlobPath": "b", "DatabaseName": "d", "TableName": "t", "Id": "x",
            "AdditionalProperties": {"tags": "[\"ingest-by:7\",\"drop-by:8\"]", "ingestIfNotExists": "[\"7\"]"}}"#;
        let message = IngestionMessage::parse(&STANDARD.encode(json))?;
        assert_eq!(message.additional_properties.ingest_by()?, ["7"]);
        assert_eq!(message.additional_properties.unless()?, ["7"]);
        Ok(())
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in ["{}", "e30=", "?"] {
            assert!(IngestionMessage::parse(text).is_err(), "{text}");
        }
    }
}
