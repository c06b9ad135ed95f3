# Runs a command as user postgres in a tree, with mounts that end with the command.
# usage: sh -c SCRIPT SCRIPT-NAME TREE DATA SERVER PROGRAMS COMMAND [ARGUMENT…]
# DATA is its /mnt, and SERVER its /srv unless it is empty; COMMAND is looked for in PROGRAMS first.
# Root changes to the tree's user; anyone else becomes it in a user namespace of their own.
set -eu
tree=$1 data=$2 server=$3 programs=$4
shift 4
inside='
set -eu
tree=$1 data=$2 server=$3 programs=$4 user=$5
shift 5
mount --rbind /proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"
mount --bind "$data" "$tree/mnt"
[ -z "$server" ] || mount --bind "$server" "$tree/srv"
PATH=$programs:/usr/bin:/bin:/usr/sbin:/sbin
export PATH LC_ALL=C.UTF-8 HOME=/
if [ "$user" = root ]; then
    chroot "$tree" chown postgres:postgres /mnt
    exec chroot --userspec=postgres:postgres "$tree" "$@"
fi
exec chroot "$tree" "$@"
'
if [ "$(id -u)" = 0 ]; then
    exec unshare --mount -- sh -c "$inside" inside "$tree" "$data" "$server" "$programs" root "$@"
fi
user=$(sed -n 's/^postgres:[^:]*:\([0-9]*\):.*/\1/p' "$tree/etc/passwd")
exec unshare --user --map-user="$user" --keep-caps --mount -- \
    sh -c "$inside" inside "$tree" "$data" "$server" "$programs" mapped "$@"
