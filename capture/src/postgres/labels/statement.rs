//! The statements that publish labels. Each is one `DO` block, so that whoever runs it, with whatever client, does all of
//! it or nothing.

use super::Label;
use crate::postgres::sql::{dollar_quoted, identifier, literal};
use crate::unpublished::{PREFIX, Unpublished};

/// Gives a label's table its old rows.
pub(super) fn identity(label: &Label) -> String {
    format!("ALTER TABLE ONLY {} REPLICA IDENTITY FULL", label.name())
}

/// Takes a label into a publication's list.
pub(super) fn publish_label(publication: &str, label: &Label) -> String {
    // ONLY: AGE's labels inherit from one another, and a parent would bring its children along.
    let add = format!("ALTER PUBLICATION {} ADD TABLE ONLY {}", identifier(publication), label.name());
    block(std::iter::once(label), &add)
}

/// Takes a graph into a publication, with all labels that it will have; those that it has are `labels`.
pub(super) fn publish_graph<'l>(
    publication: &str,
    graph: &str,
    labels: impl Iterator<Item = &'l Label> + Clone,
) -> String {
    let publication = identifier(publication);
    let add = format!("ALTER PUBLICATION {publication} ADD TABLES IN SCHEMA {}", identifier(graph));
    block(labels, &add)
}

/// Publishes while nobody writes, and leaves word of what was written before.
fn block<'l>(labels: impl Iterator<Item = &'l Label> + Clone, add: &str) -> String {
    let mut body = String::from("BEGIN ");
    for label in labels.clone() {
        // Either waits for all transactions that write to the table, and keeps others from it until the end.
        if label.identity_full {
            body.push_str(&format!("LOCK TABLE ONLY {} IN SHARE ROW EXCLUSIVE MODE; ", label.name()));
        } else {
            body.push_str(&format!("{}; ", identity(label)));
        }
    }
    for label in labels.filter(|label| !label.published) {
        // A table without any page was never written to, or was emptied since.
        let size = format!("pg_catalog.pg_relation_size({}::regclass)", literal(&label.name()));
        body.push_str(&format!("IF {size} > 0 THEN PERFORM {}; END IF; ", emit(label)));
    }
    body.push_str(add);
    body.push_str("; END");
    format!("DO {}", dollar_quoted(&body))
}

/// Leaves word of what was written to a label before it was published.
pub(super) fn word(label: &Label) -> String {
    format!("SELECT {}", emit(label))
}

fn emit(label: &Label) -> String {
    let unpublished =
        Unpublished { graph: label.schema.clone(), label: label.table.clone(), since: label.since };
    let content = serde_json::to_string(&unpublished).unwrap_or_default();
    format!("pg_catalog.pg_logical_emit_message(true, {}, {})", literal(PREFIX), literal(&content))
}

#[cfg(test)]
mod tests {
    use twinroute_common::lsn::Lsn;

    use super::*;

    fn label(table: &str, identity_full: bool, published: bool) -> Label {
        Label {
            oid: 1,
            schema: "twins".to_owned(),
            table: table.to_owned(),
            identity_full,
            published,
            since: Some(Lsn(0x40)),
        }
    }

    #[test]
    fn a_label_is_published_in_one_step_with_word_of_what_it_had() {
        let expected = "DO $twinroute$BEGIN ALTER TABLE ONLY \"twins\".\"Room\" REPLICA IDENTITY FULL; \
            IF pg_catalog.pg_relation_size('\"twins\".\"Room\"'::regclass) > 0 THEN \
            PERFORM pg_catalog.pg_logical_emit_message(true, 'twinroute/unpublished', \
            '{\"graph\":\"twins\",\"label\":\"Room\",\"since\":64}'); END IF; \
            ALTER PUBLICATION \"p\" ADD TABLE ONLY \"twins\".\"Room\"; END$twinroute$";
        assert_eq!(publish_label("p", &label("Room", false, false)), expected);
    }

    #[test]
    fn a_graph_is_published_with_its_labels_locked_and_word_of_those_that_were_not_in() {
        let labels = [label("Room", true, false), label("Floor", true, true)];
        let statement = publish_graph("p", "twins", labels.iter());
        assert_eq!(statement.matches("LOCK TABLE ONLY").count(), 2, "{statement}");
        assert_eq!(statement.matches("pg_logical_emit_message").count(), 1, "{statement}");
        assert!(statement.contains("ADD TABLES IN SCHEMA \"twins\"; END"), "{statement}");
    }

    #[test]
    fn a_name_cannot_end_the_block() {
        let statement = publish_label("p", &label("x$twinroute$; DROP TABLE y; '", true, false));
        assert!(statement.starts_with("DO $twinroute_$BEGIN"), "{statement}");
        assert!(statement.contains("DROP TABLE y; ''\"'::regclass"), "{statement}");
    }
}
