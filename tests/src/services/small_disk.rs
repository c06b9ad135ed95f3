//! A disk that is soon full: a tmpfs that only one process sees, in a mount namespace of its own (unshare(1)).

use std::{ffi::OsString, path::Path};

/// Mounts `$2` with `$1` bytes, and becomes the command that follows.
const SCRIPT: &str = r#"
id=$(cat "$2/store-id") || exit 1
mount -t tmpfs -o "size=$1" tmpfs "$2" || {
    echo "this scenario mounts a tmpfs in a namespace of its own, which needs root or unprivileged user namespaces"
    exit 1
}
printf %s "$id" >"$2/store-id"
shift 2
exec "$@"
"#;

/// What stands before the command of a process for which `folder`, the store of a backlog, is a disk of so many bytes.
pub(super) fn before(folder: &Path, bytes: u64) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["unshare".into(), "--mount".into()];
    if !rustix::process::geteuid().is_root() {
        words.push("--map-root-user".into());
    }
    words.extend(["sh".into(), "-c".into(), SCRIPT.into(), "small-disk".into(), bytes.to_string().into()]);
    words.push(folder.into());
    words
}
