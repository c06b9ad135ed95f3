//! Habits of the sources.

use anyhow::Result;

use crate::{checkout, nothing};

/// A file of this length or more holds more than one concept.
const LINES_MAX: usize = 400;

#[test]
fn every_source_says_what_it_is_and_is_short() -> Result<()> {
    let mut found = Vec::new();
    for (file, text) in checkout::texts("rs")? {
        let lines = text.lines().count();
        if lines >= LINES_MAX {
            found.push(format!("{}: {lines} lines", file.display()));
        }
        if !text.starts_with("//! ") {
            found.push(format!("{}: the first line does not say what it is", file.display()));
        }
        if file.file_name().is_some_and(|name| name == "mod.rs") {
            found.push(format!("{}: name it after its folder, and put it beside", file.display()));
        }
    }
    nothing(&found);
    Ok(())
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() -> Result<()> {
    // In parts, so that this file names none.
    let folders =
        [["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"], ["/wo", "rk/"]].map(|parts| parts.concat());
    let mut found = Vec::new();
    for file in checkout::files()? {
        let Ok(text) = checkout::read(&file) else { continue };
        let named = (1..).zip(text.lines()).filter(|(_, line)| folders.iter().any(|it| line.contains(it)));
        found.extend(named.map(|(number, line)| format!("{}:{number}: {}", file.display(), line.trim())));
    }
    nothing(&found);
    Ok(())
}
