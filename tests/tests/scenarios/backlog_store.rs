//! What lies in the store of the parked backlog.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// The segments of an endpoint of the stack's workers, in all partitions.
pub(crate) fn segments(store: &Path, endpoint: &str) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![store.join("delivery").join(endpoint)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "segment") {
                found.insert(path);
            }
        }
    }
    Ok(found)
}
