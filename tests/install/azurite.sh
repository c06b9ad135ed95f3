#!/bin/sh
# Azurite: blobs and queues. The last version that runs on Debian 12's Node 18.
. "$(dirname -- "$0")/lib.sh"

fill() {
    cp "$here/azurite/package.json" "$here/azurite/package-lock.json" "$1"
    (cd "$1" && npm ci --no-audit --no-fund --ignore-scripts)
}
into_cache "Azurite 3.35.0" azurite-3.35.0 fill
