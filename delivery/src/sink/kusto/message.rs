//! The message that announces a blob to Kusto's ingestion
//! (<https://learn.microsoft.com/kusto/api/netfx/kusto-ingest-client-rest>, "Post ingestion message").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// What a message says about its blob.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement<'a> {
    /// Names the blob.
    pub(super) id: Uuid,
    /// URL with its SAS.
    pub(super) blob_url: &'a str,
    /// Bytes before compression.
    pub(super) raw_bytes: usize,
    /// Database.
    pub(super) database: &'a str,
    /// Table.
    pub(super) table: &'a str,
    /// Name of the ingestion mapping.
    pub(super) mapping: &'a str,
    /// What `.get kusto identity token` answered.
    pub(super) identity_token: &'a str,
    /// When the message is made.
    pub(super) now: Timestamp,
}

/// Reports of success are not asked for; failures are kept by the cluster (`.show ingestion failures`).
const REPORT_FAILURES: u8 = 0;
/// Reports go to a queue.
const REPORT_TO_QUEUE: u8 = 0;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    id: Uuid,
    blob_path: &'a str,
    raw_data_size: usize,
    database_name: &'a str,
    table_name: &'a str,
    /// Kusto empties its temporary containers by itself.
    retain_blob_on_success: bool,
    flush_immediately: bool,
    ignore_size_limit: bool,
    report_level: u8,
    report_method: u8,
    source_message_creation_time: Timestamp,
    additional_properties: Properties<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties<'a> {
    authorization_context: &'a str,
    /// Lines of JSON.
    format: &'static str,
    ingestion_mapping_reference: &'a str,
    /// A JSON array, as text.
    tags: String,
    /// A JSON array, as text: tags that must not be there yet, so that a shipment that is sent again, or that the
    /// queue hands out twice, is ingested once.
    ingest_if_not_exists: String,
}

/// The text of the queue message: JSON, in base64.
pub(super) fn encode(blob: Announcement<'_>) -> serde_json::Result<String> {
    let message = Message {
        id: blob.id,
        blob_path: blob.blob_url,
        raw_data_size: blob.raw_bytes,
        database_name: blob.database,
        table_name: blob.table,
        retain_blob_on_success: true,
        flush_immediately: false,
        ignore_size_limit: false,
        report_level: REPORT_FAILURES,
        report_method: REPORT_TO_QUEUE,
        source_message_creation_time: blob.now,
        additional_properties: Properties {
            authorization_context: blob.identity_token,
            format: "json",
            ingestion_mapping_reference: blob.mapping,
            tags: format!(r#"["ingest-by:{}"]"#, blob.id),
            ingest_if_not_exists: format!(r#"["{}"]"#, blob.id),
        },
    };
    Ok(STANDARD.encode(serde_json::to_vec(&message)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_ingestion_needs() {
        // given a blob
        let announcement = Announcement {
            id: Uuid::from_u128(7),
            blob_url: "https://store/container/blob?sig=s",
            raw_bytes: 42,
            database: "twins",
            table: "AdtPropertyEvents",
            mapping: "twinroute_property_events",
            identity_token: "token",
            now: Timestamp::UNIX_EPOCH,
        };

        // when its message is made
        let text = encode(announcement).unwrap();

        // then it has the documented members
        let json: serde_json::Value = serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
        let expected = serde_json::json!({
            "Id": "00000000-0000-0000-0000-000000000007",
            "BlobPath": "https://store/container/blob?sig=s",
            "RawDataSize": 42,
            "DatabaseName": "twins",
            "TableName": "AdtPropertyEvents",
            "RetainBlobOnSuccess": true,
            "FlushImmediately": false,
            "IgnoreSizeLimit": false,
            "ReportLevel": 0,
            "ReportMethod": 0,
            "SourceMessageCreationTime": "1970-01-01T00:00:00Z",
            "AdditionalProperties": {
                "authorizationContext": "token",
                "format": "json",
                "ingestionMappingReference": "twinroute_property_events",
                "tags": "[\"ingest-by:00000000-0000-0000-0000-000000000007\"]",
                "ingestIfNotExists": "[\"00000000-0000-0000-0000-000000000007\"]",
            },
        });
        assert_eq!(json, expected);
    }
}
