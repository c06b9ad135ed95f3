# What the install scripts share: where things go, how they speak, how a download becomes complete.
# Sourced, never run.

set -eu
PATH="$PATH:/usr/sbin:/sbin"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/twinroute
mkdir -p "$cache"

# say MESSAGE…: one progress line.
say() { printf 'install: %s\n' "$*" >&2; }

# fail SERVER REASON: what cannot be had and why, then the end.
fail() {
    printf 'install: %s cannot be had: %s\n' "$1" "$2" >&2
    exit 1
}

# as_root COMMAND…: as it is for root, through sudo for others.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- env PATH="$PATH" "$@"
    else
        say "needs root or sudo to run: $*"
        return 1
    fi
}

# timed WHAT LOG COMMAND…: runs it with its output in LOG, and says what it was and how long it took.
timed() {
    what=$1 log=$2
    shift 2
    say "$what …"
    begin=$(date +%s)
    "$@" >"$log" 2>&1 </dev/null || return 1
    say "$what: $(($(date +%s) - begin)) s"
}

# into_cache SERVER DIRECTORY FUNCTION: unless the cache has DIRECTORY, lets FUNCTION fill a
# temporary one and renames it, so that an interrupted run leaves nothing that looks complete.
into_cache() {
    server=$1 target=$cache/$2 fill=$3
    [ ! -d "$target" ] || return 0
    log=$cache/$2.log
    # What an earlier run left half-made, be it root's.
    for left in "$cache/partial-$2."*; do
        [ ! -e "$left" ] || rm -rf "$left" 2>/dev/null || as_root rm -rf "$left"
    done
    # A name of its own: a child of a killed run may still be writing.
    partial=$cache/partial-$2.$$
    mkdir "$partial"
    timed "$server into the cache" "$log" "$fill" "$partial" ||
        fail "$server" "$(reason "$log")"
    mv -T "$partial" "$target"
    rm -f "$log"
}

# reason LOG: the lines of it that say why, and where the rest is.
reason() {
    grep -i -m 6 -e 'error' -e 'fail' -e '^E: ' "$1" || tail -n 6 "$1"
    printf '(the whole log is %s)\n' "$1"
}

# debian_tree SUITE PACKAGES DIRECTORY: a minimal Debian with these packages, to be entered by chroot.
debian_tree() {
    # The machine's own mirror, where it names one.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -m 1 '/debian/*$' || true)
    # In a mount namespace: what debootstrap mounts ends with it, however it ends.
    # shellcheck disable=SC2086  # no mirror, no argument
    as_root unshare --mount -- debootstrap --variant=minbase --include="$2" "$1" "$3" $mirror
    as_root rm -rf "$3/var/cache/apt" "$3/var/lib/apt/lists"
}

# debian_packages NAME…: installs them on this machine.
debian_packages() {
    # A package's service would take the standard port and outlive us: we start servers ourselves.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    fi
    log=$cache/debian.log
    timed "Debian packages: $*" "$log" install_packages "$@" ||
        fail "Debian packages: $*" "$(reason "$log")"
    rm -f "$log"
}

install_packages() {
    as_root apt-get update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}
