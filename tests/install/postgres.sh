#!/bin/sh
# PostgreSQL 17 with AGE, as a Debian 13 tree of its own: Debian 12 has no AGE.
. "$(dirname -- "$0")/lib.sh"

fill() { debian_tree trixie postgresql-17,postgresql-17-age "$1"; }
into_cache "PostgreSQL 17 with AGE" pg17 fill
