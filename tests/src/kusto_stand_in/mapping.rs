//! A JSON ingestion mapping: which member of a document goes into which column.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{column::Column, error::Refusal};

/// A mapping that was read and can be applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    columns: Vec<(String, Source)>,
}

/// Where the value of a column comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Path(Vec<Step>),
    Constant(String),
}

/// One step down a document.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

/// An element of the mapping as Kusto's documentation writes it, with the older form, where the
/// path stands beside the column.
#[derive(Deserialize)]
struct Element {
    #[serde(alias = "Column", alias = "ColumnName", alias = "columnName")]
    column: String,
    #[serde(default, alias = "Path")]
    path: Option<String>,
    #[serde(default, alias = "Properties")]
    properties: Properties,
}

#[derive(Default, Deserialize)]
struct Properties {
    #[serde(default, alias = "Path")]
    path: Option<String>,
    #[serde(default, alias = "ConstValue", alias = "constValue")]
    constant: Option<String>,
    #[serde(default, alias = "Transform")]
    transform: Option<String>,
}

impl Mapping {
    /// Reads the JSON array of a mapping.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let elements: Vec<Element> = serde_json::from_str(text)
            .map_err(|e| Refusal::invalid(format!("the mapping is not one: {e}")))?;
        let columns = elements.into_iter().map(|element| {
            let properties = element.properties;
            if let Some(transform) = properties.transform {
                let text = format!("the stand-in does not know the transform {transform}");
                return Err(Refusal::invalid(text));
            }
            let source = match (properties.constant, properties.path.or(element.path)) {
                (Some(constant), _) => Source::Constant(constant),
                (None, Some(path)) => Source::Path(steps(&path)?),
                (None, None) => return Err(Refusal::invalid("a column has neither Path nor ConstValue")),
            };
            Ok((element.column, source))
        });
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
    }

    /// What Kusto does without a mapping: each column from the member of its name.
    pub(super) fn by_name(columns: &[Column]) -> Self {
        let source = |name: &String| Source::Path(vec![Step::Member(name.clone())]);
        Self { columns: columns.iter().map(|c| (c.name.clone(), source(&c.name))).collect() }
    }

    /// The row that `document` becomes in a table with `columns`, as JSON text; each column is
    /// there, in the table's order.
    pub(super) fn row(&self, columns: &[Column], document: &RawValue) -> String {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| {
                let source = self.columns.iter().find(|(name, _)| *name == column.name);
                let value = source.and_then(|(_, source)| source.read(document));
                let name = serde_json::Value::from(column.name.as_str());
                format!("{name}:{}", column.of.ingest(value.as_deref()))
            })
            .collect();
        format!("{{{}}}", cells.join(","))
    }
}

impl Source {
    fn read(&self, document: &RawValue) -> Option<Box<RawValue>> {
        match self {
            Self::Constant(text) => serde_json::value::to_raw_value(text).ok(),
            Self::Path(steps) => steps.iter().try_fold(document.to_owned(), |value, step| match step {
                Step::Member(name) => {
                    serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(value.get()).ok()?.remove(name)
                }
                Step::Element(index) => {
                    serde_json::from_str::<Vec<Box<RawValue>>>(value.get()).ok()?.into_iter().nth(*index)
                }
            }),
        }
    }
}

/// Reads a path: `$`, then `.name`, `['name']`, `["name"]` or `[0]` as often as needed.
fn steps(path: &str) -> Result<Vec<Step>, Refusal> {
    let invalid = || Refusal::invalid(format!("{path} is not a JSON path"));
    let mut rest = path.strip_prefix('$').ok_or_else(invalid)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inner, after) = after.split_once(']').ok_or_else(invalid)?;
            let name = ['\'', '"'].iter().find_map(|quote| inner.strip_prefix(*quote)?.strip_suffix(*quote));
            steps.push(match name {
                Some(name) => Step::Member(name.to_owned()),
                None => Step::Element(inner.parse().map_err(|_| invalid())?),
            });
            rest = after;
        } else {
            let after = rest.strip_prefix('.').ok_or_else(invalid)?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, next) = after.split_at_checked(end).ok_or_else(invalid)?;
            if name.is_empty() {
                return Err(invalid());
            }
            steps.push(Step::Member(name.to_owned()));
            rest = next;
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::{super::column::Type, *};

    fn column(name: &str, of: Type) -> Column {
        Column { name: name.to_owned(), of }
    }

    #[test]
    fn a_document_becomes_a_row_in_the_tables_order() -> Result<()> {
        // Given a mapping in both forms, one column without a source
        let mapping = Mapping::parse(
            r#"[{"column": "Value", "Properties": {"Path": "$.a['b'][1]"}},
                {"column": "Id", "path": "$.id", "datatype": "string"},
                {"Column": "Kind", "Properties": {"ConstValue": "k"}}]"#,
        )?;
        let columns = [
            column("Id", Type::String),
            column("Value", Type::Dynamic),
            column("Kind", Type::String),
            column("Left", Type::Real),
        ];
        // When a document is mapped
        let document = RawValue::from_string(r#"{"id":"x","a":{"b":[1,150.0]}}"#.to_owned())?;
        // Then its bytes are kept
        let row = r#"{"Id":"x","Value":150.0,"Kind":"k","Left":null}"#;
        assert_eq!(mapping.row(&columns, &document), row);
        Ok(())
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for path in ["a", "$a", "$.", "$.a[", "$[x]"] {
            assert!(steps(path).is_err(), "{path}");
        }
    }
}
