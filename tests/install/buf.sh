#!/bin/sh
# buf: lints the protocol, and calls a service through reflection.
# No lock file: it pins its only dependencies, the binaries per platform, itself.
. "$(dirname -- "$0")/lib.sh"

fill() {
    (cd "$1" && npm install --no-audit --no-fund --ignore-scripts @bufbuild/buf@1.75.0)
}
into_cache "buf 1.75.0" buf-1.75.0 fill
