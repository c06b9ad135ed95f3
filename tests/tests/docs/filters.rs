//! The examples of docs/filters.md answer as the page says, on the change that it shows.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use twinroute_common::event::{EntityKind, EventData, Operation};
use twinroute_common::filter::{Candidate, Filter, Verdict};
use twinroute_common::format::{EventFormat, TypeMappings};
use twinroute_common::position::Position;
use twinroute_common::render::Renderer;

use crate::{checkout, nothing, prose::block};

#[test]
fn every_filter_of_the_page_answers_as_it_says() -> Result<()> {
    // Given the page's change
    let page = checkout::read("docs/filters.md")?;
    let (_, after) = page.split_once("\nafter:\n").context("the page shows no document after")?;
    let document = |text: &str| {
        let text = block(text, "json", "{").context("a document is missing")?;
        Ok::<_, anyhow::Error>(Some(Bytes::from(text.trim().to_owned())))
    };
    let event = EventData {
        position: Position::default(),
        operation: Operation::Update,
        kind: EntityKind::Twin,
        graph: "factory".to_owned(),
        label: "Twin".to_owned(),
        entity_id: "room1".to_owned(),
        ordering_key: "room1".to_owned(),
        old: document(&page)?,
        new: document(after)?,
        commit_time_us: 0,
        xid: 1,
        traceparent: String::new(),
    };
    let renderer = Renderer::new("https://graph.example.com/", "1");
    let change = renderer.open(&event)?;
    let rendered = change.render(EventFormat::EventNotification, &TypeMappings::default());
    let candidate = Candidate::new(rendered.first().context("no event")?, change.before(), change.after());
    // When each filter of its tables is asked
    let mut wrong = Vec::new();
    let rows = page.lines().filter_map(example);
    let count = rows.clone().count();
    for (filter, expected) in rows {
        let answer = match Filter::parse(filter) {
            Err(_) => "refused",
            Ok(filter) => match filter.verdict(&candidate) {
                Verdict::True => "true",
                Verdict::False => "false",
                Verdict::Undefined => "undefined",
            },
        };
        if answer != expected {
            wrong.push(format!("{filter}: the page says {expected}, the filter {answer}"));
        }
    }
    // Then it answers as the page says
    nothing(&wrong);
    assert!(count >= 55, "only {count} examples were found");
    Ok(())
}

/// The filter and the answer of a table's row.
fn example(line: &str) -> Option<(&str, &str)> {
    let (filter, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
    let answer = rest.split(" |").next()?;
    ["true", "false", "undefined", "refused"].contains(&answer).then_some((filter, answer))
}
