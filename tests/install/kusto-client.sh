#!/bin/sh
# The official Python client for queued ingestion: the proof that the Kusto stand-in is like Kusto.
. "$(dirname -- "$0")/lib.sh"

fill() {
    python3 -m venv "$1"
    "$1/bin/python" -m pip install --disable-pip-version-check --requirement "$here/kusto-client/requirements.txt"
}
into_cache "azure-kusto-ingest 6.0.4" kusto-ingest-6.0.4 fill
