//! The files of the checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use twinroute_tests::checkout::root;

/// Whose content is not ours: folders, or the file that leads to one.
const FOREIGN: [&str; 4] = [".git", ".run", "node_modules", "target"];

/// Every file, relative to the root, sorted.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if FOREIGN.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(root())?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The files whose names end with `.<extension>`, with their texts.
pub(crate) fn texts(extension: &str) -> Result<Vec<(PathBuf, String)>> {
    let files = files()?.into_iter().filter(|file| file.extension().is_some_and(|it| it == extension));
    files.map(|file| read(&file).map(|text| (file, text))).collect()
}

/// The text of a file, named relative to the root.
pub(crate) fn read(file: impl AsRef<Path>) -> Result<String> {
    let file = root().join(file);
    fs::read_to_string(&file).with_context(|| file.display().to_string())
}

/// A YAML file as a tree.
pub(crate) fn yaml(file: impl AsRef<Path>) -> Result<Value> {
    serde_saphyr::from_str(&read(&file)?).with_context(|| file.as_ref().display().to_string())
}
