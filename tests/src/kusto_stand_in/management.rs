//! Carries out control commands on the store.

use super::{
    column::schema, command::Command, error::Refusal, mapping::Mapping, reply::Reply, resources::Resources,
    store::Store,
};

/// What `.get kusto identity token` hands out, and ingestion messages must carry.
pub(super) const IDENTITY_TOKEN: &str = "identity-token-of-the-kusto-stand-in";

const TABLE_COLUMNS: [&str; 5] = ["TableName", "Schema", "DatabaseName", "Folder", "DocString"];
const MAPPING_COLUMNS: [&str; 5] = ["Name", "Kind", "Mapping", "Database", "Table"];

/// Answers `command` in the context of `database`.
pub(super) fn execute(
    store: &mut Store,
    resources: &Resources,
    database: &str,
    command: Command,
) -> Result<Reply, Refusal> {
    match command {
        Command::IngestionResources => Ok(Reply::new(["ResourceTypeName", "StorageRoot"], resources.rows())),
        Command::IdentityToken => Ok(Reply::new(["AuthorizationContext"], [[IDENTITY_TOKEN.to_owned()]])),
        Command::Version => {
            let version = ["1.0", "DataManagement", "Stand-in"].map(str::to_owned);
            Ok(Reply::new(["BuildVersion", "ServiceType", "ProductVersion"], [version]))
        }
        Command::CreateTable { table, columns } => {
            if store.table(database, &table).is_err() {
                let made = store.table_or_new(database, &table)?;
                made.merge_columns(columns).map_err(|e| Refusal::internal(&e))?;
            }
            table_schema(store, database, &table)
        }
        Command::MergeTable { table, columns } => {
            let merged = store.table_or_new(database, &table)?;
            for column in &columns {
                let other = merged.columns().iter().find(|c| c.name == column.name);
                if other.is_some_and(|other| other.of != column.of) {
                    let text = format!("column {} has another type", column.name);
                    return Err(Refusal::invalid(text));
                }
            }
            merged.merge_columns(columns).map_err(|e| Refusal::internal(&e))?;
            table_schema(store, database, &table)
        }
        Command::CreateMapping { table, mapping, text } => {
            if store.table(database, &table)?.mappings().contains_key(&mapping) {
                return Err(Refusal::exists_already("MappingPersistent", &mapping));
            }
            set_mapping(store, database, &table, mapping, text)
        }
        Command::SetMapping { table, mapping, text } => set_mapping(store, database, &table, mapping, text),
        Command::DropTable { table } => {
            store.drop_table(database, &table)?;
            Ok(tables(store, database))
        }
        Command::Tables => Ok(tables(store, database)),
        Command::TableSchema { table } => table_schema(store, database, &table),
        Command::Mappings { table } => {
            let mappings = store.table(database, &table)?.mappings();
            let row = |(name, text): (&String, &String)| mapping_row(database, &table, name, text);
            Ok(Reply::new(MAPPING_COLUMNS, mappings.iter().map(row)))
        }
        Command::Failures => {
            let row = |f: &super::store::Failure| [f.table.clone(), f.blob.clone(), f.reason.clone()];
            Ok(Reply::new(["Table", "IngestionSourcePath", "Details"], store.failures().iter().map(row)))
        }
    }
}

fn set_mapping(
    store: &mut Store,
    database: &str,
    table: &str,
    name: String,
    text: String,
) -> Result<Reply, Refusal> {
    // One that cannot be applied is refused here, not at the first blob.
    Mapping::parse(&text)?;
    let row = mapping_row(database, table, &name, &text);
    let table = store.table_mut(database, table)?;
    table.set_mapping(name, text).map_err(|e| Refusal::internal(&e))?;
    Ok(Reply::new(MAPPING_COLUMNS, [row]))
}

fn mapping_row(database: &str, table: &str, name: &str, text: &str) -> [String; 5] {
    [name, "Json", text, database, table].map(str::to_owned)
}

fn tables(store: &Store, database: &str) -> Reply {
    let row = |table| [table, database, "", ""].map(str::to_owned);
    Reply::new(["TableName", "DatabaseName", "Folder", "DocString"], store.names(database).map(row))
}

fn table_schema(store: &Store, database: &str, table: &str) -> Result<Reply, Refusal> {
    let columns = schema(store.table(database, table)?.columns());
    let row = [table, &columns, database, "", ""].map(str::to_owned);
    Ok(Reply::new(TABLE_COLUMNS, [row]))
}
