#!/bin/sh
# Installs what the tests and the demo need and this machine lacks, from package registries only.
# Usage: install.sh [debian|postgres|postgres-versions|kafka|azurite|buf|kusto-client|consumer-python|containers]…
# All of them by default, but for containers, which only their tests need.
. "$(dirname -- "$0")/lib.sh"

# One run at a time: two checkouts share the cache.
exec 9>"$cache/install.lock"
if ! flock --nonblock 9; then
    say "another run is installing; waiting for it"
    flock 9
fi

[ $# -gt 0 ] || set -- debian postgres postgres-versions kafka azurite buf kusto-client consumer-python
for part in "$@"; do
    [ -f "$here/$part.sh" ] || fail "$part" "no such part; see the usage line of $0"
    sh "$here/$part.sh" 9>&-
done
