//! Conversions between endpoints, routes and tables and their protobuf form. Everything that is wrong is named by field.

mod endpoint;
mod event_route;
mod identity;
mod kafka;
mod kusto;
mod mqtt;
mod policy;
mod secret;
mod table;
mod url;

pub use secret::secret_fields;
pub use table::{Refused, delta_from_wire, table_from_wire};

use super::violation::Reading;

/// Checks the name of an endpoint or a route.
fn name(reading: &mut Reading, field: &str, name: String) -> String {
    let shaped = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    if !shaped || !(2..=50).contains(&name.len()) {
        let rule = "a name has 2 to 50 characters, letters, digits and `-`, and starts with a letter";
        reading.refuse(field, format!("is `{name}`; {rule}"));
    }
    name
}

/// The text, unless it is empty.
fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
