#!/bin/sh
# PostgreSQL 17 with AGE, as a Debian 13 tree of its own: Debian 12 has no AGE.
. "$(dirname -- "$0")/lib.sh"

fill() {
    # The machine's own mirror, where it names one.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -m 1 '/debian/*$' || true)
    # In a mount namespace: what debootstrap mounts ends with it, however it ends.
    # shellcheck disable=SC2086  # no mirror, no argument
    as_root unshare --mount -- debootstrap --variant=minbase \
        --include=postgresql-17,postgresql-17-age trixie "$1" $mirror
    as_root rm -rf "$1/var/cache/apt" "$1/var/lib/apt/lists"
}
into_cache "PostgreSQL 17 with AGE" pg17 fill
