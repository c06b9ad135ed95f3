//! The known key that an unknown one was probably meant to be.

use serde_json::Value;

use super::yaml::section;
use crate::spelling::{edits, is_near};

/// The nearest key of `defaults`: the fewest edits in the last name, those of the same section first.
pub(super) fn nearest_key(defaults: &Value, path: &[String]) -> Option<String> {
    let (name, parent) = path.split_last()?;
    let mut known = Vec::new();
    collect(defaults, &mut Vec::new(), &mut known);
    known
        .into_iter()
        .filter_map(|candidate| {
            let (known_name, known_parent) = candidate.split_last()?;
            let edits = edits(name, known_name);
            let elsewhere = usize::from(known_parent != parent);
            is_near(name, edits).then(|| ((elsewhere + edits, elsewhere), candidate.join(".")))
        })
        .min()
        .map(|(_, key)| key)
}

fn collect(value: &Value, path: &mut Vec<String>, known: &mut Vec<Vec<String>>) {
    for (name, member) in section(value).into_iter().flatten() {
        path.push(name.clone());
        known.push(path.clone());
        collect(member, path, known);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_key_and_a_lost_section_too() {
        let defaults = json!({"grpc": {"listen": "", "message_bytes_max": 1}, "http": {"listen": ""}});
        let near = |path: &[&str]| {
            nearest_key(&defaults, &path.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(near(&["http", "lisen"]).as_deref(), Some("http.listen"));
        assert_eq!(near(&["grpc", "mesage_byte_max"]).as_deref(), Some("grpc.message_bytes_max"));
        assert_eq!(near(&["listen"]).as_deref(), Some("grpc.listen"));
        assert_eq!(near(&["gprc"]), None, "two edits of four letters make another word");
        assert_eq!(near(&["gr"]), None);
    }
}
