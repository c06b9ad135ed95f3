//! Answers in the shape of Kusto's REST API, version 1: `Tables` of `Columns` and `Rows`.

use serde_json::{Value, json};

/// A table whose columns are all strings: no command that is answered here needs another type.
pub(super) struct Reply {
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Reply {
    pub(super) fn new<const N: usize>(
        columns: [&'static str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        Self { columns: columns.into(), rows: rows.into_iter().map(Vec::from).collect() }
    }

    pub(super) fn body(&self) -> Value {
        let column = |name| json!({"ColumnName": name, "DataType": "String", "ColumnType": "string"});
        let columns: Vec<Value> = self.columns.iter().map(column).collect();
        json!({"Tables": [{"TableName": "Table_0", "Columns": columns, "Rows": self.rows}]})
    }
}
