#!/bin/sh
# Debian packages: what the build and the servers need. A command that is there already, from
# wherever it came, is taken as it is, if it is new enough.
. "$(dirname -- "$0")/lib.sh"

missing=
need() { missing="$missing $*"; }
has() { command -v "$1" >/dev/null; }

# major TEXT: the first number in it.
major() { printf '%s' "$1" | sed -n '1s/[^0-9]*\([0-9][0-9]*\).*/\1/p'; }

{ has cc && has g++ && has make; } || need build-essential
has perl || need perl
has pkg-config || need pkg-config
{ has pkg-config && pkg-config --exists openssl; } || need libssl-dev
has debootstrap || need debootstrap
has mosquitto || need mosquitto
{ has unshare && has setpriv; } || need util-linux
{ has java && [ "$(major "$(java -version 2>&1)")" -ge 17 ]; } || need default-jre-headless
has mvn || need maven
{ has node && [ "$(major "$(node --version)")" -ge 18 ]; } || need nodejs
has npm || need npm
{ has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; } || need python3-venv

# shellcheck disable=SC2086  # a list of names, to be split
[ -z "$missing" ] || debian_packages $missing
