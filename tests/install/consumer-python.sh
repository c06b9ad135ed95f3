#!/bin/sh
# What examples/consumer-python needs: gRPC for Python.
. "$(dirname -- "$0")/lib.sh"

fill() {
    python3 -m venv "$1"
    "$1/bin/python" -m pip install --disable-pip-version-check --requirement "$here/consumer-python/requirements.txt"
}
into_cache "grpcio 1.85.3" consumer-python-1.85.3 fill
