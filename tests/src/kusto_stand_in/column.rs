//! Columns, their types, and how a JSON value becomes a value of one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Kusto's scalar types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Type {
    Bool,
    DateTime,
    Decimal,
    Dynamic,
    Guid,
    Int,
    Long,
    Real,
    String,
    TimeSpan,
}

impl Type {
    /// By its name in a command.
    pub(super) fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.to_lowercase().into()).ok()
    }

    /// Its name in a schema.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::DateTime => "datetime",
            Self::Decimal => "decimal",
            Self::Dynamic => "dynamic",
            Self::Guid => "guid",
            Self::Int => "int",
            Self::Long => "long",
            Self::Real => "real",
            Self::String => "string",
            Self::TimeSpan => "timespan",
        }
    }

    /// The JSON text of what a column of this type holds after `value` was ingested into it. What
    /// does not fit becomes null, as in Kusto; a string is never null, but empty.
    pub(super) fn ingest(self, value: Option<&RawValue>) -> String {
        let text = value.map_or("null", RawValue::get).trim();
        let string = serde_json::from_str::<String>(text).ok();
        let scalar = string.as_deref().unwrap_or(text);
        let fits = match self {
            Self::Dynamic => return text.to_owned(),
            Self::String => return quoted(if text == "null" { "" } else { scalar }),
            Self::Bool => matches!(scalar, "true" | "false"),
            Self::Int => scalar.parse::<i32>().is_ok(),
            Self::Long => scalar.parse::<i64>().is_ok(),
            Self::Real | Self::Decimal => {
                scalar.parse::<f64>().is_ok_and(f64::is_finite)
                    && serde_json::from_str::<serde_json::Number>(scalar).is_ok()
            }
            Self::DateTime => {
                return quoted_if(scalar, scalar.parse::<jiff::Timestamp>().is_ok());
            }
            Self::Guid => return quoted_if(scalar, scalar.parse::<uuid::Uuid>().is_ok()),
            Self::TimeSpan => return quoted_if(scalar, string.is_some()),
        };
        (if fits { scalar } else { "null" }).to_owned()
    }
}

fn quoted_if(text: &str, fits: bool) -> String {
    if fits { quoted(text) } else { "null".to_owned() }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) of: Type,
}

/// `A:string,B:long`, as `.show table T cslschema` writes it.
pub(super) fn schema(columns: &[Column]) -> String {
    let columns: Vec<String> =
        columns.iter().map(|column| format!("{}:{}", column.name, column.of.name())).collect();
    columns.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_kusto_would_keep() -> serde_json::Result<()> {
        for (of, value, expected) in [
            (Type::String, "\"a\"", "\"a\""),
            (Type::String, "5", "\"5\""),
            (Type::String, "null", "\"\""),
            (Type::Dynamic, "{\"a\": 150.0}", "{\"a\": 150.0}"),
            (Type::Long, "\"7\"", "7"),
            (Type::Long, "7.5", "null"),
            (Type::Real, "5.972e+24", "5.972e+24"),
            (Type::Real, "\"NaN\"", "null"),
            (Type::Bool, "true", "true"),
            (Type::DateTime, "\"2026-01-01T11:00:00.5Z\"", "\"2026-01-01T11:00:00.5Z\""),
            (Type::DateTime, "\"yesterday\"", "null"),
        ] {
            let raw = RawValue::from_string(value.to_owned())?;
            assert_eq!(of.ingest(Some(&raw)), expected, "{of:?} from {value}");
        }
        assert_eq!(Type::Long.ingest(None), "null");
        Ok(())
    }
}
