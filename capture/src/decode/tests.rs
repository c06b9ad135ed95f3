//! Tests of the decoder: transactions in, items out.

mod wire;

use twinroute_common::event::{EntityKind, EventData, Item, Operation};
use twinroute_common::lsn::Lsn;

use self::wire::Wal;
use super::window::{WINDOW_BYTES_MAX, WINDOW_ROWS_MAX};
use crate::selection::Selection;
use crate::unpublished::PREFIX;

const ROOM: &str = r#"{"$dtId": "room1", "$metadata": {"$model": "m"}, "t": 1}"#;
const WARM_ROOM: &str = r#"{"$dtId": "room1", "$metadata": {"$model": "m"}, "t": 2}"#;
const STUB: &str = r#"{"$dtId": "room1"}"#;
const OTHER: &str = r#"{"$dtId": "room2", "$metadata": {"$model": "m"}}"#;

type Seen = (Operation, String, Option<String>, Option<String>);

fn events(items: &[Item]) -> Vec<Seen> {
    let text = |document: &Option<bytes::Bytes>| {
        document.as_ref().map(|json| String::from_utf8_lossy(json).into_owned())
    };
    let event = |item: &Item| match item {
        Item::Event(event) => (event.operation, event.entity_id.clone(), text(&event.old), text(&event.new)),
        other => panic!("no event: {other:?}"),
    };
    items.iter().map(event).collect()
}

fn seen(operation: Operation, id: &str, old: Option<&str>, new: Option<&str>) -> Seen {
    (operation, id.to_owned(), old.map(str::to_owned), new.map(str::to_owned))
}

fn only_event(items: &[Item]) -> &EventData {
    match items {
        [Item::Event(event)] => event,
        other => panic!("not one event: {other:?}"),
    }
}

#[test]
fn a_stub_and_its_update_are_one_create() {
    let items = Wal::new().insert("1", STUB).update("1", Some(STUB), ROOM).commit();
    assert_eq!(events(&items), [seen(Operation::Create, "room1", None, Some(ROOM))]);
}

#[test]
fn several_updates_are_one_with_the_first_old_and_the_last_new_document() {
    let items = Wal::new()
        .update("1", Some(STUB), ROOM)
        .update("1", Some(ROOM), WARM_ROOM)
        .update("2", Some(OTHER), OTHER)
        .commit();
    assert_eq!(
        events(&items),
        [
            seen(Operation::Update, "room1", Some(STUB), Some(WARM_ROOM)),
            seen(Operation::Update, "room2", Some(OTHER), Some(OTHER)),
        ]
    );
}

#[test]
fn what_was_created_and_deleted_never_was() {
    let items = Wal::new().insert("1", ROOM).delete("1", Some(ROOM)).commit();
    assert_eq!(events(&items), []);
}

#[test]
fn delete_and_create_of_one_twin_is_an_update_in_either_order() {
    let expected = [seen(Operation::Update, "room1", Some(ROOM), Some(WARM_ROOM))];
    let items = Wal::new().delete("1", Some(ROOM)).insert("2", WARM_ROOM).commit();
    assert_eq!(events(&items), expected);
    let items = Wal::new().insert("2", WARM_ROOM).delete("1", Some(ROOM)).commit();
    assert_eq!(events(&items), expected);
}

#[test]
fn a_row_that_becomes_another_twin_ends_one_and_begins_the_other_delete_first() {
    let items = Wal::new().update("1", Some(ROOM), OTHER).commit();
    assert_eq!(
        events(&items),
        [
            seen(Operation::Delete, "room1", Some(ROOM), None),
            seen(Operation::Create, "room2", None, Some(OTHER))
        ]
    );
    let ordinals: Vec<u32> = items.iter().map(|item| item.position().ordinal).collect();
    assert_eq!(ordinals, [0, 1]);
}

#[test]
fn rows_at_one_lsn_are_counted_before_any_filter() {
    // given two rows of one statement, the first of which is no entity
    let items = Wal::new().insert("1", r#"{"name": "nobody"}"#).same_lsn().insert("2", ROOM).commit();
    assert_eq!(only_event(&items).position.ordinal, 2);
}

#[test]
fn an_update_without_its_old_row_has_no_old_document() {
    let items = Wal::new().update("1", None, ROOM).commit();
    assert_eq!(events(&items), [seen(Operation::Update, "room1", None, Some(ROOM))]);
}

#[test]
fn a_delete_by_key_alone_is_skipped_unless_the_transaction_showed_the_document() {
    let items = Wal::new().delete("1", None).commit();
    assert_eq!(events(&items), []);
    let items = Wal::new().update("1", None, ROOM).delete("1", None).commit();
    assert_eq!(events(&items), [seen(Operation::Delete, "room1", Some(ROOM), None)]);
}

#[test]
fn an_unchanged_toasted_document_is_the_old_one() {
    let items = Wal::new().update_unchanged("1", Some(ROOM)).commit();
    assert_eq!(events(&items), [seen(Operation::Update, "room1", Some(ROOM), Some(ROOM))]);
    let items = Wal::new().update_unchanged("1", None).commit();
    assert_eq!(events(&items), []);
}

#[test]
fn a_row_that_cannot_be_read_is_poison_in_its_place_and_the_others_go_on() {
    let broken = r#"{"$dtId": "room9", "t": tru}"#;
    let items = Wal::new().insert("1", ROOM).insert("2", broken).insert("3", OTHER).commit();
    let [Item::Event(_), Item::Poison(poison), Item::Event(_)] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert_eq!(poison.ordering_key, "room9");
    assert_eq!(poison.reason, "a value was expected at byte 24");
    assert_eq!(poison.raw.as_ref(), broken.as_bytes());
}

#[test]
fn a_poison_row_without_twin_id_is_keyed_by_its_row() {
    let items = Wal::new().insert("42", "[").commit();
    let [Item::Poison(poison)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(poison.ordering_key, "42");
}

#[test]
fn an_unreadable_old_document_is_as_if_absent_but_not_for_a_delete() {
    let items = Wal::new().update("1", Some("{"), ROOM).commit();
    assert_eq!(events(&items), [seen(Operation::Update, "room1", None, Some(ROOM))]);
    let items = Wal::new().delete("1", Some("{")).commit();
    assert!(matches!(items.as_slice(), [Item::Poison(_)]), "{items:?}");
}

#[test]
fn a_document_above_the_bound_is_poison_with_a_prefix_of_it() {
    let large = format!(r#"{{"$dtId": "big", "p": "{}"}}"#, "x".repeat(100_000));
    let items = Wal::new().event_bytes_max(1_000).insert("1", &large).commit();
    let [Item::Poison(poison)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(poison.ordering_key, "big");
    assert_eq!(poison.raw_size_bytes, large.len() as u64);
    assert_eq!(poison.raw.len(), 64 << 10);
}

#[test]
fn a_large_document_is_poison_in_each_kind_of_change_and_the_others_go_on() {
    // given rows of which the new document, the old one, or both are larger than an event may be
    let large = format!(r#"{{"$dtId": "big", "p": "{}"}}"#, "x".repeat(100_000));
    let rows = |wal: Wal| {
        wal.insert("0", ROOM)
            .insert("1", &large)
            .update("2", Some(OTHER), &large)
            .update("3", Some(&large), &large)
            .update_unchanged("4", Some(&large))
            .delete("5", Some(&large))
            .update("6", Some(&large), OTHER)
            .commit()
    };
    let whole = rows(Wal::new().event_bytes_max(1_000));
    // when they come in pieces
    let in_pieces = rows(Wal::new().event_bytes_max(1_000).in_pieces(7_777));
    // then it makes no difference
    assert_eq!(whole, in_pieces);
    let kinds: Vec<_> = whole.iter().map(|item| matches!(item, Item::Poison(_))).collect();
    assert_eq!(kinds, [false, true, true, true, true, true, false]);
    // and of a small document after a large one the old one is not known
    let seen_last = seen(Operation::Update, "room2", None, Some(OTHER));
    assert_eq!(whole.last().map(|last| events(std::slice::from_ref(last))), Some(vec![seen_last]));
}

#[test]
fn a_large_message_with_documents_below_the_bound_is_an_event() {
    let padded = format!(r#"{{"$dtId": "room1", "$metadata": {{}}, "p": "{}"}}"#, "x".repeat(2 << 20));
    let items = Wal::new().in_pieces(65_536).update("1", Some(&padded), &padded).commit();
    assert_eq!(events(&items), [seen(Operation::Update, "room1", Some(&padded), Some(&padded))]);
}

#[test]
fn a_truncated_table_is_a_hole_in_the_stream() {
    let items = Wal::new().truncate().commit();
    let [Item::Discontinuity(gap)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(gap.reason, "graph.Twin was truncated");
}

#[test]
fn word_of_rows_that_were_never_published_is_a_hole_in_the_stream_where_it_stands() {
    let word = r#"{"graph": "graph", "label": "Room", "since": 4096}"#;
    let items = Wal::new().insert("1", ROOM).word(PREFIX, word).insert("2", OTHER).commit();
    let [Item::Event(before), Item::Discontinuity(gap), Item::Event(after)] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert!(before.position < gap.position && gap.position < after.position);
    assert_eq!(gap.last_known.map(|at| at.commit_lsn), Some(Lsn(4096)));
    assert!(gap.reason.starts_with("graph.Room was written to"), "{}", gap.reason);
}

#[test]
fn word_of_others_and_of_other_graphs_says_nothing() {
    let word = r#"{"graph": "graph", "label": "Room", "since": null}"#;
    assert_eq!(Wal::new().word("outbox", word).commit(), []);
    assert_eq!(Wal::new().only("twins_*").word(PREFIX, word).commit(), []);
    // and what is ours is told, whatever it says
    assert!(matches!(Wal::new().word(PREFIX, "?").commit().as_slice(), [Item::Discontinuity(_)]));
}

#[test]
fn a_graph_that_is_published_and_not_configured_is_skipped() {
    assert_eq!(Wal::new().only("twins_*").insert("1", ROOM).truncate().commit(), []);
    assert_eq!(Wal::new().only("gra*").insert("1", ROOM).commit().len(), 1);
}

#[test]
fn relationships_wait_for_their_source_and_are_keyed_by_it() {
    let edge = r#"{"$sourceId": "room1", "$targetId": "room2", "$relationshipId": "r1"}"#;
    let items = Wal::new().insert("1", r#"{"$relationshipId": "r1"}"#).update("1", None, edge).commit();
    let event = only_event(&items);
    assert_eq!((event.kind, event.operation), (EntityKind::Relationship, Operation::Create));
    assert_eq!((event.entity_id.as_str(), event.ordering_key.as_str()), ("r1", "room1"));
}

#[test]
fn a_large_transaction_comes_in_windows_that_depend_on_its_rows_alone() {
    // given a transaction of one and a half windows over two twins
    let mut wal = Wal::new();
    for row in 0..WINDOW_ROWS_MAX * 3 / 2 {
        let (id, document) = if row % 2 == 0 { ("1", ROOM) } else { ("2", OTHER) };
        wal = wal.update(id, Some(document), document);
    }
    // then each twin has an event per window, the second with what the first window left
    let items = wal.commit();
    assert_eq!(items.len(), 4);
    assert!(items.is_sorted_by_key(Item::position));
}

#[test]
fn windows_are_bounded_in_bytes_too() {
    let padded = format!(r#"{{"$dtId": "room1", "$metadata": {{}}, "p": "{}"}}"#, "x".repeat(1 << 20));
    let mut wal = Wal::new();
    for _ in 0..WINDOW_BYTES_MAX >> 20 {
        wal = wal.update("1", None, &padded);
    }
    let items = wal.update("1", None, ROOM).commit();
    assert_eq!(items.len(), 2);
}

#[test]
fn a_stub_at_a_windows_end_is_carried_into_the_next_one() {
    let mut wal = Wal::new();
    for _ in 1..WINDOW_ROWS_MAX {
        wal = wal.update("2", Some(OTHER), OTHER);
    }
    let items = wal.insert("1", STUB).update("1", Some(STUB), ROOM).commit();
    let room: Vec<_> = events(&items).into_iter().filter(|event| event.1 == "room1").collect();
    assert_eq!(room, [seen(Operation::Create, "room1", None, Some(ROOM))]);
}

#[test]
fn of_many_stubs_the_latest_are_carried_and_each_gives_one_event() {
    // given a window full of stubs, and the row that fills in the last of them
    let mut wal = Wal::new();
    let stub = |row: usize| format!(r#"{{"$dtId": "twin{row}"}}"#);
    for row in 0..WINDOW_ROWS_MAX {
        wal = wal.insert(&row.to_string(), &stub(row));
    }
    let last = WINDOW_ROWS_MAX - 1;
    let filled = format!(r#"{{"$dtId": "twin{last}", "$metadata": {{}}}}"#);
    let items = wal.update(&last.to_string(), Some(&stub(last)), &filled).commit();
    // then each twin is created once, the last one as it was filled in
    assert_eq!(items.len(), WINDOW_ROWS_MAX);
    assert!(items.is_sorted_by_key(Item::position));
    let id = format!("twin{last}");
    let of_last = items.last().map(|item| events(std::slice::from_ref(item)));
    assert_eq!(of_last, Some(vec![seen(Operation::Create, &id, None, Some(&filled))]));
}

#[test]
fn decoding_again_gives_the_same_items() {
    let decode = || {
        let wal = Wal::new().insert("1", STUB).update("1", Some(STUB), ROOM).same_lsn().insert("2", OTHER);
        wal.delete("3", Some(WARM_ROOM)).commit()
    };
    assert_eq!(decode(), decode());
}

#[test]
fn of_what_is_not_selected_nothing_comes_and_what_has_no_kind_comes_with_its_table() {
    let items = |label: &str, kind: EntityKind| {
        let selection =
            Selection { labels: vec![label.to_owned()], kinds: vec![kind], ..Selection::default() };
        Wal::new().selecting(selection).insert("1", ROOM).insert("2", "{").truncate().commit()
    };
    // another label: neither rows, nor those that cannot be read, nor that all are gone
    assert_eq!(items("Lamp", EntityKind::Twin), []);
    // another kind: a row that cannot be read has none, and a truncation is of all
    let other = items("Twin", EntityKind::Model);
    assert!(matches!(other.as_slice(), [Item::Poison(_), Item::Discontinuity(_)]), "{other:?}");
    assert_eq!(items("Twin", EntityKind::Twin).len(), 3);
}
