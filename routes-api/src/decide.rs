//! What a request makes of the catalog: one write, or a refusal. Pure.

mod endpoint;
mod mask;
mod route;
mod secrets;

use std::collections::BTreeMap;

use crate::catalog::{Entry, Origin};
use crate::refusal::{Kind, Refusal};

pub use endpoint::{create_endpoint, delete_endpoint, update_endpoint};
pub use route::{create_route, delete_route, read_route, update_route};
pub use secrets::{Keeping, redact};

/// The entry of that name that the API may change, when its etag is the given one (empty: any).
fn changeable<'a, T>(
    entries: &'a BTreeMap<String, Entry<T>>,
    kind: Kind,
    name: &str,
    etag: &str,
) -> Result<&'a Entry<T>, Refusal> {
    let entry = entries.get(name).ok_or_else(|| Refusal::NotFound { kind, name: name.to_owned() })?;
    if let Origin::File(path) = &entry.origin {
        return Err(Refusal::file_managed(kind, name, path));
    }
    let present = entry.etag();
    if !etag.is_empty() && etag != present {
        return Err(Refusal::EtagMismatch { kind, name: name.to_owned(), present });
    }
    Ok(entry)
}

/// Refuses a name that is taken, and one more than there may be.
fn creatable<T>(
    entries: &BTreeMap<String, Entry<T>>,
    kind: Kind,
    name: &str,
    (max, key): (usize, &'static str),
) -> Result<(), Refusal> {
    match entries.get(name) {
        Some(Entry { origin: Origin::File(path), .. }) => Err(Refusal::file_managed(kind, name, path)),
        Some(_) => Err(Refusal::AlreadyExists { kind, name: name.to_owned() }),
        None if entries.len() >= max => Err(Refusal::TooMany { kind, max, key }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
