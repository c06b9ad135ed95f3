//! The examples of docs/events.md are, byte for byte, what the fixtures become at each sink.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use rdkafka::message::Headers as _;
use twinroute_common::cloud_event::{CloudEvent, EventType};
use twinroute_common::format::EventFormat;
use twinroute_common::route::KustoTables;
use twinroute_delivery::sink::{kafka, kusto};
use twinroute_tests::{fixtures, kusto_stand_in};

use crate::{checkout, nothing, prose::block};

const PAGE: &str = "docs/events.md";

/// The update of one property, which the page shows at every sink.
const WORKED_EXAMPLE: &str = "worked-example";

/// The case whose event the page shows in each table.
const ROWS: [(EventType, &str); 3] = [
    (EventType::PropertyEvent, WORKED_EXAMPLE),
    (EventType::TwinLifecycle, "twin-create"),
    (EventType::RelationshipLifecycle, "relationship-create"),
];

#[test]
fn the_record_of_the_page_is_the_one_that_kafka_gets() -> Result<()> {
    let event = event(WORKED_EXAMPLE, EventType::TwinUpdate)?;
    let record = kafka::record("digital-twins", &event, 0);
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec());
    let mut sent = format!("key: {}\n", text(record.key)?);
    for header in record.headers.context("no headers")?.iter() {
        writeln!(sent, "{}: {}", header.key, text(header.value)?)?;
    }
    writeln!(sent, "\n{}", text(record.payload)?)?;
    assert_eq!(shown("", "key: ")?, sent);
    Ok(())
}

#[test]
fn the_message_of_the_page_is_the_one_that_mqtt_gets() -> Result<()> {
    let event = event(WORKED_EXAMPLE, EventType::TwinUpdate)?;
    let payload = String::from_utf8(event.to_structured_json())?;
    assert_eq!(shown("json", r#"{"specversion""#)?, format!("{payload}\n"));
    Ok(())
}

#[test]
fn the_rows_of_the_page_are_those_that_the_tables_get() -> Result<()> {
    let mut rows = String::new();
    for (event_type, case) in ROWS {
        let table = kusto::Table::of(event_type).context("no table")?;
        let name = table.name(&KustoTables::default()).to_owned();
        let mut line = Vec::new();
        kusto::push_row(&event(case, event_type)?, &mut line)?;
        let map = table.mapping_command(&name, &table.created_columns());
        let row = kusto_stand_in::ingested(&table.create_command(&name), &map, &String::from_utf8(line)?)?;
        writeln!(rows, "{name}\n{row}")?;
    }
    assert_eq!(shown("", "Adt")?, rows);
    Ok(())
}

#[test]
fn every_type_has_an_example_that_its_fixture_becomes() -> Result<()> {
    let page = checkout::read(PAGE)?;
    let (mut wrong, mut types) = (Vec::new(), BTreeSet::new());
    for row in rows(&page, "| type | subject | data | case |") {
        let [name, subject, data, case] = example(row).with_context(|| format!("no example: {row}"))?;
        let event_type = EventType::from_name(&format!("{}{name}", EventType::PREFIX));
        types.insert(event_type.with_context(|| format!("no type is called {name}"))?.name());
        let is_it = |event: &CloudEvent| {
            event.event_type.strip_prefix(EventType::PREFIX) == Some(name)
                && event.subject.as_deref() == Some(subject)
                && event.data == data
        };
        if !both(case)?.iter().any(is_it) {
            wrong.push(format!("{case} becomes no {name} of {subject} with {data}"));
        }
    }
    nothing(&wrong);
    // These two are no change of an entity, so no fixture becomes one.
    let others = [EventType::StreamGap, EventType::StreamPoison];
    let expected = EventType::ALL.into_iter().filter(|it| !others.contains(it));
    assert_eq!(types, expected.map(EventType::name).collect());
    Ok(())
}

#[test]
fn every_patch_is_the_one_that_its_fixture_becomes() -> Result<()> {
    let page = checkout::read(PAGE)?;
    let mut wrong = Vec::new();
    for row in rows(&page, "| what was written | `patch` | case |") {
        let (patch, case) = patch(row).with_context(|| format!("no patch: {row}"))?;
        let end = format!(r#","patch":{patch}}}"#);
        let events = fixtures::rendered(case, EventFormat::EventNotification)?;
        if !events.iter().any(|event| event.data.ends_with(end.as_bytes())) {
            wrong.push(format!("{case} becomes no {patch}"));
        }
    }
    nothing(&wrong);
    Ok(())
}

/// The rows of every table with this header; there is one.
fn rows<'p>(page: &'p str, header: &str) -> impl Iterator<Item = &'p str> {
    assert!(page.contains(header), "{PAGE} has no table {header}");
    let tables = page.split(header).skip(1);
    tables.flat_map(|table| table.lines().skip(2).take_while(|line| !line.is_empty()))
}

/// Type behind the prefix, subject, data and case of a row.
fn example(row: &str) -> Option<[&str; 4]> {
    let cells = row.strip_prefix("| `")?.strip_suffix("` |")?;
    cells.split("` | `").collect::<Vec<_>>().try_into().ok()
}

/// Patch and case of a row.
fn patch(row: &str) -> Option<(&str, &str)> {
    let (rest, case) = row.strip_prefix("| ")?.strip_suffix("` |")?.rsplit_once("` | `")?;
    let patch = rest.get(rest.find(" | `[")?..)?.strip_prefix(" | `")?;
    Some((patch, case))
}

/// The page's block that begins so.
fn shown(language: &str, start: &str) -> Result<String> {
    let page = checkout::read(PAGE)?;
    let block = block(&page, language, start);
    Ok(block.with_context(|| format!("{PAGE} has no block that begins with {start}"))?.to_owned())
}

/// What a case becomes in either format.
fn both(case: &str) -> Result<Vec<CloudEvent>> {
    let formats = [EventFormat::EventNotification, EventFormat::DataHistory];
    let events: Result<Vec<_>> = formats.into_iter().map(|format| fixtures::rendered(case, format)).collect();
    Ok(events?.concat())
}

/// The first event of that type that a case becomes.
fn event(case: &str, event_type: EventType) -> Result<CloudEvent> {
    let found = both(case)?.into_iter().find(|event| event.default_type == event_type);
    found.with_context(|| format!("{case} becomes no {}", event_type.name()))
}
