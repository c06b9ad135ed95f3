#!/bin/sh
# What the container tests need: a Docker engine that answers, Docker Compose 2, and a base image. An engine that runs is
# taken as it is; where none does, Debian's is installed and started, and stays. Nothing is pulled from a registry of images.
. "$(dirname -- "$0")/lib.sh"

# The tests build on this image instead of one that would be pulled.
image=twinroute/debian:trixie
engine_log=$cache/docker-engine.log

answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Debian's default keeps the layers of all builds for ever.
configuration='{"builder": {"gc": {"enabled": true, "defaultKeepStorage": "10GB"}}}'

# An engine that was killed leaves the numbers of its process and of its containerd's. Once others have such a number, the
# next engine refuses to start beside the one, and waits in vain for the other's socket.
forget_killed_engine() {
    for program in dockerd containerd; do
        case $program in
        dockerd) pid_file=/var/run/docker.pid ;;
        containerd) pid_file=/var/run/docker/containerd/containerd.pid ;;
        esac
        as_root test -f "$pid_file" || continue
        case $(as_root readlink "/proc/$(as_root cat "$pid_file")/exe") in
        */"$program" | */"$program (deleted)") ;;
        *) as_root rm -f "$pid_file" ;;
        esac
    done
}

# Again when it ends at once: beside a containerd that is about to end with an engine that was killed, it cannot start.
start_engine() { start_engine_once || start_engine_once; }

start_engine_once() {
    if [ -d /run/systemd/system ]; then
        as_root systemctl start docker
    else
        printf '%s\n' "$configuration" >"$cache/docker-engine.json"
        forget_killed_engine
        # In a session of its own, with nothing of ours open: it outlives us.
        # shellcheck disable=SC2016  # for the inner shell
        as_root sh -c 'setsid dockerd --config-file "$1" </dev/null >"$2" 2>&1 &' \
            sh "$cache/docker-engine.json" "$engine_log"
    fi
    tries=0
    until as_root docker version >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || return 1
        [ "$tries" -lt 5 ] || [ -d /run/systemd/system ] || [ -f /var/run/docker.pid ] || return 1
        sleep 1
    done
}

if ! answers; then
    [ -f /etc/debian_version ] ||
        fail "a Docker engine" "none answers, and only Debian's is installed from here; start one that \`docker version\` shows as Server"
    command -v dockerd >/dev/null || debian_packages docker.io
    timed "starting the Docker engine, which stays" "$cache/docker-start.log" start_engine ||
        fail "a Docker engine" "$(reason "$engine_log")"
    rm -f "$cache/docker-start.log"
    answers || fail "a Docker engine" "it runs, but not for you; join the group docker, or be root"
fi

base() {
    debian_tree trixie ca-certificates "$1/tree"
    # As Debian's own slim image.
    as_root rm -rf "$1/tree/usr/share/doc" "$1/tree/usr/share/man" "$1/tree/usr/share/locale"
    as_root tar --create --directory "$1/tree" . >"$1/debian.tar"
    as_root rm -rf "$1/tree"
}
has_image() { docker image inspect "$image" >/dev/null 2>&1; }
if ! has_image; then
    into_cache "Debian 13, for a base image" debian-trixie base
    timed "importing $image" "$cache/docker-import.log" docker import "$cache/debian-trixie/debian.tar" "$image" ||
        fail "$image" "$(reason "$cache/docker-import.log")"
    rm -f "$cache/docker-import.log"
fi

# From Debian 13: Debian 12 has only Compose 1, which does not understand the compose file.
compose() {
    # shellcheck disable=SC2016  # for the inner shell
    docker run --rm --network host "$image" sh -c '
        cd /tmp && { apt-get update && apt-get download docker-compose; } >&2 &&
        dpkg-deb --fsys-tarfile docker-compose_*.deb' >"$1/package.tar"
    tar --extract --file "$1/package.tar" --directory "$1" --strip-components 5 \
        ./usr/libexec/docker/cli-plugins/docker-compose
    rm "$1/package.tar"
    "$1/docker-compose" version
}
case $(docker compose version --short 2>/dev/null) in
    '' | [01].* | v[01].*) into_cache "Docker Compose 2" docker-compose-trixie compose ;;
esac
