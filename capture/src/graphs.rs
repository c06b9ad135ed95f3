//! Which graphs are captured: `source.graphs`, names of schemas and patterns such as `twins_*`.

/// Longest name of a schema, in bytes (PostgreSQL manual, section "Identifiers and Key Words").
const NAME_BYTES_MAX: usize = 63;

/// Schemas that no pattern means: PostgreSQL's and AGE's own, and ours, whose changes would make changes without end.
const NEVER_BY_PATTERN: [&str; 4] = ["information_schema", "ag_catalog", "twinroute", "twinroute_routes"];

/// Names and patterns of graphs. In a pattern each `*` stands for any characters, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graphs(Vec<String>);

impl Graphs {
    /// As they are configured.
    #[must_use]
    pub fn new(configured: &[String]) -> Self {
        Self(configured.to_vec())
    }

    /// What is wrong with them, for who wrote the configuration.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        if self.0.is_empty() {
            return Some("name at least one graph, such as [digitaltwins] or [twins_*]".to_owned());
        }
        self.0.iter().find_map(|one| {
            if one.trim().is_empty() {
                return Some("a name is empty; name graphs, as in [digitaltwins] or [twins_*]".to_owned());
            }
            if one.bytes().all(|byte| byte == b'*') {
                let why = "means every schema of the database, also those that hold no twins";
                return Some(format!("`{one}` {why}; name graphs, or a part of their names as in twins_*"));
            }
            let literal = one.bytes().filter(|byte| *byte != b'*').count();
            (literal > NAME_BYTES_MAX)
                .then(|| format!("`{one}` fits no schema: their names have {NAME_BYTES_MAX} bytes at most"))
        })
    }

    /// The schema is one of the graphs.
    #[must_use]
    pub fn contain(&self, schema: &str) -> bool {
        self.0.iter().any(|one| means(one, schema))
    }

    /// The names and patterns that mean none of `schemas`.
    pub fn without_schema(&self, schemas: &[String]) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|one| !schemas.iter().any(|schema| means(one, schema)))
    }
}

fn means(one: &str, schema: &str) -> bool {
    if !one.contains('*') {
        return one == schema;
    }
    !schema.starts_with("pg_") && !NEVER_BY_PATTERN.contains(&schema) && fits(one, schema)
}

/// The first part begins the name, the last ends it, and those between follow one another.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graphs(configured: &[&str]) -> Graphs {
        Graphs(configured.iter().map(|&one| one.to_owned()).collect())
    }

    #[test]
    fn a_star_stands_for_any_characters_and_all_else_for_itself() {
        let cases = [
            ("twins", "twins", true),
            ("twins", "twins_a", false),
            ("twins_*", "twins_a", true),
            ("twins_*", "twins_", true),
            ("twins_*", "twinsXa", false),
            ("twins_*", "my_twins_a", false),
            ("*_twins", "eu_twins", true),
            ("*_twins", "eu_twins_old", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a**c", "abc", true),
            ("ab*ba", "aba", false),
            ("a*b", "aXbXb", true),
            ("twins_?", "twins_a", false),
            ("Ä*", "Äpfel", true),
        ];
        for (pattern, schema, expected) in cases {
            assert_eq!(graphs(&[pattern]).contain(schema), expected, "{pattern} {schema}");
        }
    }

    #[test]
    fn no_pattern_means_a_schema_of_the_systems() {
        let wide = graphs(&["*t*", "p*", "*a*"]);
        for schema in
            ["pg_catalog", "pg_toast", "information_schema", "ag_catalog", "twinroute", "twinroute_routes"]
        {
            assert!(!wide.contain(schema), "{schema}");
        }
        assert!(wide.contain("twins"));
    }

    #[test]
    fn what_cannot_be_meant_is_a_mistake() {
        for good in [&["digitaltwins"][..], &["twins_*", "My Graph"], &["*a"]] {
            assert_eq!(graphs(good).mistake(), None, "{good:?}");
        }
        let long = "x".repeat(64);
        let cases = [
            (&[][..], "at least one"),
            (&["twins", " "][..], "is empty"),
            (&["*"][..], "every schema"),
            (&["**"][..], "every schema"),
            (&[long.as_str()][..], "63 bytes"),
        ];
        for (bad, words) in cases {
            let mistake = graphs(bad).mistake().unwrap_or_default();
            assert!(mistake.contains(words), "{bad:?}: {mistake}");
        }
    }

    #[test]
    fn what_means_no_schema_is_told() {
        let graphs = graphs(&["twins_*", "digitaltwins", "plants_*"]);
        let schemas = ["twins_a".to_owned(), "public".to_owned()];
        assert_eq!(graphs.without_schema(&schemas).collect::<Vec<_>>(), ["digitaltwins", "plants_*"]);
    }
}
