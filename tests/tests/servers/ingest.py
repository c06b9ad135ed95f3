"""Ingests one file through Kusto's official client: ingest.py URI DATABASE TABLE MAPPING FILE."""

import sys

from azure.kusto.data import DataFormat, KustoClient, KustoConnectionStringBuilder
from azure.kusto.ingest import IngestionProperties, QueuedIngestClient

uri, database, table, mapping, file = sys.argv[1:]
connection = KustoConnectionStringBuilder.with_no_authentication(uri)

with KustoClient(connection) as client:
    rows = client.execute_mgmt(database, f".show table {table} ingestion json mappings").primary_results[0]
    assert [row["Name"] for row in rows] == [mapping], rows

properties = IngestionProperties(
    database=database,
    table=table,
    data_format=DataFormat.MULTIJSON,
    ingestion_mapping_reference=mapping,
    ingest_by_tags=["once"],
    ingest_if_not_exists=["once"],
)
with QueuedIngestClient(connection) as client:
    # Twice: the tag lets the first one in.
    for _ in range(2):
        result = client.ingest_from_file(file, ingestion_properties=properties)
        print(result.status)
