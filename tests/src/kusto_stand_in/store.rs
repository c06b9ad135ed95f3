//! All databases of the stand-in: tables by database and name.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{error::Refusal, table::Table};

/// Any database that is named exists; its tables are made by commands.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    tables: BTreeMap<(String, String), Table>,
    failures: Vec<Failure>,
}

/// An ingestion that could not be done.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) table: String,
    pub(super) blob: String,
    pub(super) reason: String,
}

impl Store {
    /// The tables below `dir`: one folder per database.
    pub(super) fn open(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut tables = BTreeMap::new();
        for database in fs::read_dir(&dir)? {
            let database = database?;
            if !database.file_type()?.is_dir() {
                continue;
            }
            let name = database.file_name().to_string_lossy().into_owned();
            for file in fs::read_dir(database.path())? {
                let file = file?.file_name().to_string_lossy().into_owned();
                if let Some(table) = file.strip_suffix(".schema.json") {
                    let stem = database.path().join(table);
                    tables.insert((name.clone(), table.to_owned()), Table::open(stem)?);
                }
            }
        }
        Ok(Self { dir, tables, failures: Vec::new() })
    }

    pub(super) fn table(&self, database: &str, table: &str) -> Result<&Table, Refusal> {
        self.tables
            .get(&(database.to_owned(), table.to_owned()))
            .ok_or_else(|| Refusal::not_found("Table", table))
    }

    pub(super) fn table_mut(&mut self, database: &str, table: &str) -> Result<&mut Table, Refusal> {
        self.tables
            .get_mut(&(database.to_owned(), table.to_owned()))
            .ok_or_else(|| Refusal::not_found("Table", table))
    }

    /// The table, made empty and without columns when it is not there.
    pub(super) fn table_or_new(&mut self, database: &str, table: &str) -> Result<&mut Table, Refusal> {
        for name in [database, table] {
            let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ');
            if name.is_empty() || !name.chars().all(valid) {
                return Err(Refusal::invalid(format!("'{name}' is not a name")));
            }
        }
        let stem = self.dir.join(database).join(table);
        let key = (database.to_owned(), table.to_owned());
        match self.tables.entry(key) {
            std::collections::btree_map::Entry::Occupied(there) => Ok(there.into_mut()),
            std::collections::btree_map::Entry::Vacant(free) => {
                let made = fs::create_dir_all(self.dir.join(database))
                    .context("cannot create the database's folder")
                    .and_then(|()| Table::open(stem));
                Ok(free.insert(made.map_err(|e| Refusal::internal(&e))?))
            }
        }
    }

    pub(super) fn drop_table(&mut self, database: &str, table: &str) -> Result<(), Refusal> {
        let key = (database.to_owned(), table.to_owned());
        let table = self.tables.remove(&key).ok_or_else(|| Refusal::not_found("Table", table))?;
        table.delete().map_err(|e| Refusal::internal(&e))
    }

    /// The names of the tables of a database.
    pub(super) fn names<'a>(&'a self, database: &'a str) -> impl Iterator<Item = &'a str> {
        let of_database = self.tables.keys().filter(move |(d, _)| d == database);
        of_database.map(|(_, table)| table.as_str())
    }

    /// The databases that have a table of this name.
    pub(super) fn databases_with<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self.tables.keys().filter(move |(_, t)| t == table);
        of_name.map(|(database, _)| database.as_str())
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failures.push(failure);
    }

    pub(super) fn failures(&self) -> &[Failure] {
        &self.failures
    }
}
