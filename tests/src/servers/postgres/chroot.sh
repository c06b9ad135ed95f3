# Runs a command as user postgres in the PostgreSQL tree, with mounts that end with the command.
# usage: sh -c SCRIPT SCRIPT-NAME TREE DATA COMMAND [ARGUMENT…]
# Root changes to the tree's user; anyone else becomes it in a user namespace of their own.
set -eu
tree=$1 data=$2
shift 2
inside='
set -eu
tree=$1 data=$2 user=$3
shift 3
mount --rbind /proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"
mount --bind "$data" "$tree/mnt"
PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin:/usr/sbin:/sbin
export PATH LC_ALL=C.UTF-8 HOME=/
if [ "$user" = root ]; then
    chroot "$tree" chown postgres:postgres /mnt
    exec chroot --userspec=postgres:postgres "$tree" "$@"
fi
exec chroot "$tree" "$@"
'
if [ "$(id -u)" = 0 ]; then
    exec unshare --mount -- sh -c "$inside" inside "$tree" "$data" root "$@"
fi
user=$(sed -n 's/^postgres:[^:]*:\([0-9]*\):.*/\1/p' "$tree/etc/passwd")
exec unshare --user --map-user="$user" --keep-caps --mount -- \
    sh -c "$inside" inside "$tree" "$data" mapped "$@"
