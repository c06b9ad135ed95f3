//! What is written about the code, held against the code: links, commands, keys, metrics, examples, habits.

mod checkout;
mod containers;
mod events;
mod examples;
mod filters;
mod invariants;
mod links;
mod names;
mod prose;
mod sources;

/// Fails with the list of what was found.
fn nothing(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
