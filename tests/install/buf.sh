#!/bin/sh
# buf: lints the protocol, and calls a service through reflection. With arguments it is then run: buf.sh lint proto.
# No lock file: it pins its only dependencies, the binaries per platform, itself.
. "$(dirname -- "$0")/lib.sh"

fill() {
    (cd "$1" && npm install --no-audit --no-fund --ignore-scripts @bufbuild/buf@1.75.0)
}
into_cache "buf 1.75.0" buf-1.75.0 fill
[ $# = 0 ] || exec "$cache/buf-1.75.0/node_modules/.bin/buf" "$@"
