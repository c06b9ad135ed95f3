//! One table: its schema, its mappings, its rows, in memory and on disk.
//!
//! `<table>.schema.json` holds columns and mappings, `<table>.jsonl` the rows, and
//! `<table>.extents.jsonl` one line per ingested blob, written after its rows: rows beyond the last
//! line are of a blob that will come again.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use super::column::Column;

/// A table of a database.
#[derive(Debug)]
pub(super) struct Table {
    stem: PathBuf,
    schema: Schema,
    /// Each one the JSON text of an object.
    rows: Vec<String>,
    ingest_by: HashSet<String>,
    messages: HashSet<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Schema {
    columns: Vec<Column>,
    mappings: BTreeMap<String, String>,
}

/// What one ingested blob brought.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Extent {
    /// The id of the queue's message: the same message is ingested once, however often it is read.
    pub(super) message: String,
    /// Its `ingest-by` tags.
    pub(super) ingest_by: Vec<String>,
    /// The rows of the table with those of this blob.
    rows_total: usize,
}

impl Extent {
    pub(super) fn of(message: &str, ingest_by: Vec<String>) -> Self {
        Self { message: message.to_owned(), ingest_by, rows_total: 0 }
    }
}

impl Table {
    /// A table whose files are `<stem>.…`, with what an earlier run left there.
    pub(super) fn open(stem: PathBuf) -> Result<Self> {
        let mut table = Self {
            schema: serde_json::from_str(&read_or(
                &stem,
                "schema.json",
                "{\"columns\":[],\"mappings\":{}}",
            )?)?,
            rows: Vec::new(),
            ingest_by: HashSet::new(),
            messages: HashSet::new(),
            stem,
        };
        let mut known = 0;
        for line in read_or(&table.stem, "extents.jsonl", "")?.lines() {
            let extent: Extent = serde_json::from_str(line)?;
            known = extent.rows_total;
            table.ingest_by.extend(extent.ingest_by);
            table.messages.insert(extent.message);
        }
        let text = read_or(&table.stem, "jsonl", "")?;
        table.rows = text.lines().take(known).map(str::to_owned).collect();
        if text.lines().count() > known {
            fs::write(table.file("jsonl"), lines(&table.rows))?;
        }
        Ok(table)
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.schema.columns
    }

    /// Mappings by name, each one JSON text.
    pub(super) fn mappings(&self) -> &BTreeMap<String, String> {
        &self.schema.mappings
    }

    pub(super) fn rows(&self) -> &[String] {
        &self.rows
    }

    /// Adds the columns that are not there yet.
    pub(super) fn merge_columns(&mut self, columns: Vec<Column>) -> Result<()> {
        for column in columns {
            if !self.schema.columns.iter().any(|c| c.name == column.name) {
                self.schema.columns.push(column);
            }
        }
        self.save_schema()
    }

    pub(super) fn set_mapping(&mut self, name: String, text: String) -> Result<()> {
        self.schema.mappings.insert(name, text);
        self.save_schema()
    }

    /// Whether this very queue message was ingested before.
    pub(super) fn has_message(&self, id: &str) -> bool {
        self.messages.contains(id)
    }

    /// Whether rows with this `ingest-by` tag are there.
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.ingest_by.contains(tag)
    }

    /// Appends the rows of one blob.
    pub(super) fn append(&mut self, rows: Vec<String>, mut extent: Extent) -> Result<()> {
        extent.rows_total = self.rows.len() + rows.len();
        append(&self.file("jsonl"), &lines(&rows))?;
        let line = serde_json::to_string(&extent)?;
        append(&self.file("extents.jsonl"), &lines(&[line]))?;
        self.rows.extend(rows);
        self.messages.insert(extent.message);
        self.ingest_by.extend(extent.ingest_by);
        Ok(())
    }

    /// Removes its files.
    pub(super) fn delete(self) -> Result<()> {
        for suffix in ["schema.json", "jsonl", "extents.jsonl"] {
            let file = self.file(suffix);
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }

    fn save_schema(&self) -> Result<()> {
        let partial = self.file("schema.partial");
        fs::write(&partial, serde_json::to_string_pretty(&self.schema)?)?;
        fs::rename(partial, self.file("schema.json"))?;
        Ok(())
    }

    fn file(&self, suffix: &str) -> PathBuf {
        file(&self.stem, suffix)
    }
}

fn file(stem: &Path, suffix: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(suffix);
    path.into()
}

fn read_or(stem: &Path, suffix: &str, absent: &str) -> Result<String> {
    let path = file(stem, suffix);
    match fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(absent.to_owned()),
        read => read.with_context(|| format!("cannot read {}", path.display())),
    }
}

/// One write: a kill leaves all of it or none.
fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::File::options().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn lines(rows: &[String]) -> String {
    rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_reopened_table_has_whole_blobs_only() -> Result<()> {
        // Given a table with one ingested blob, and half of another's rows on disk
        let dir = tempfile::tempdir()?;
        let stem = dir.path().join("T");
        let mut table = Table::open(stem.clone())?;
        table.append(rows(&["{\"a\":1}", "{\"a\":2}"]), Extent::of("m1", rows(&["tag"])))?;
        append(&table.file("jsonl"), "{\"a\":3}\n{\"a\"")?;
        // When it is opened again
        let table = Table::open(stem)?;
        // Then the half is gone, from the disk too
        assert_eq!(table.rows(), ["{\"a\":1}", "{\"a\":2}"]);
        assert_eq!(fs::read_to_string(table.file("jsonl"))?.lines().count(), 2);
        assert!(table.has_tag("tag") && table.has_message("m1") && !table.has_message("m2"));
        Ok(())
    }
}
