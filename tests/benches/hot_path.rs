//! What one event costs on its way: agtype to JSON, reading, rendering, filters, tables of many routes. Beside each time
//! stands the number of allocations.
//!
//! `cargo bench -p twinroute-tests --bench hot_path`

use std::hint::black_box;
use std::io::Write as _;

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use twinroute_capture::decode::document::{Document, Notation};
use twinroute_common::event::{EntityKind, EventData, Operation};
use twinroute_common::filter::{Candidate, Filter};
use twinroute_common::format::{EventFormat, TypeMappings};
use twinroute_common::matching::CompiledTable;
use twinroute_common::position::Position;
use twinroute_common::render::Renderer;
use twinroute_common::route::{
    Compression, DeliveryPolicy, Destination, Endpoint, EventRoute, KafkaAccess, KafkaOptions, RouteTable,
};

/// A twin of 400 bytes as AGE prints it.
fn twin(temperature: &str, second: u32) -> String {
    let stamp = format!(r#"{{"lastUpdateTime": "2026-01-01T12:00:{second:02}.000000Z"}}"#);
    format!(
        r#"{{"name": "Assembly hall 7, machine 12", "$dtId": "machine-0012", "$etag": "W/\"{second:08}\"", "Pressure": 101.3, "$metadata": {{"$model": "dtmi:factory:Machine;1", "Pressure": {{"lastUpdateTime": "2026-01-01T11:00:00.000000Z"}}, "Temperature": {stamp}, "$lastUpdateTime": "2026-01-01T12:00:{second:02}.000000Z"}}, "Temperature": {temperature}, "description": "Welding"}}"#
    )
}

fn update() -> EventData {
    EventData {
        position: Position::default(),
        operation: Operation::Update,
        kind: EntityKind::Twin,
        graph: "factory".to_owned(),
        label: "Twin".to_owned(),
        entity_id: "machine-0012".to_owned(),
        ordering_key: "machine-0012".to_owned(),
        old: Some(twin("24.5", 1).into()),
        new: Some(twin("26.0", 2).into()),
        commit_time_us: 1_770_000_000_000_000,
        xid: 742,
        traceparent: String::new(),
    }
}

fn measured<T>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut work: impl FnMut() -> T) {
    let used = allocation_counter::measure(|| {
        black_box(work());
    });
    let line = format!("{name}: {} allocations, {} bytes\n", used.count_total, used.bytes_total);
    // A bench whose output is closed has nobody to tell.
    let _closed = std::io::stderr().write_all(line.as_bytes());
    group.bench_function(name, |bencher| bencher.iter(&mut work));
}

fn agtype(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("agtype to JSON, checked");
    let small = Bytes::from(twin("26.0", 2));
    let large =
        Bytes::from(format!(r#"{{"$dtId": "a", "twins": [{}]}}"#, vec![twin("26.0", 2); 100].join(", ")));
    for (name, text) in [("400 B", small), ("40 KB", large)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        measured(&mut group, name, || Document::read(black_box(&text), Notation::Agtype));
    }
    group.finish();
}

fn render(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("an update of a 400 B twin");
    let (event, renderer, types) = (
        update(),
        Renderer::new("https://graph.example.com/", "7412345678901234567"),
        TypeMappings::default(),
    );
    measured(&mut group, "read both documents", || renderer.open(black_box(&event)).is_ok());
    let Ok(change) = renderer.open(&event) else { return };
    for format in [EventFormat::EventNotification, EventFormat::DataHistory] {
        let name = format!("render {}", format.name());
        measured(&mut group, &name, || change.render(format, black_box(&types)));
    }
    group.finish();
}

fn filters(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a filter");
    let (event, renderer) = (update(), Renderer::new("https://graph.example.com/", "1"));
    let Ok(change) = renderer.open(&event) else { return };
    let rendered = change.render(EventFormat::EventNotification, &TypeMappings::default());
    let Some(rendered) = rendered.first() else { return };
    for text in [
        "type = 'Microsoft.DigitalTwins.Twin.Update'",
        "type = 'Microsoft.DigitalTwins.Twin.Create' OR type = 'Microsoft.DigitalTwins.Twin.Delete'",
        "$new.Temperature > 25 AND $old.Temperature <= 25",
        "CHANGED($new.Temperature)",
        "STARTS_WITH($new.$metadata.$model, 'dtmi:factory:')",
    ] {
        let Ok(filter) = Filter::parse(text) else { continue };
        let candidate = Candidate::new(rendered, change.before(), change.after());
        measured(&mut group, text, || filter.verdict(black_box(&candidate)));
    }
    let Ok(on_body) = Filter::parse("STARTS_WITH($body.modelId, 'dtmi:factory:')") else { return };
    measured(&mut group, "STARTS_WITH($body.modelId, …), the data read first", || {
        on_body.verdict(&Candidate::new(black_box(rendered), change.before(), change.after()))
    });
    group.finish();
}

fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("an update through a table");
    let (event, renderer) = (update(), Renderer::new("https://graph.example.com/", "1"));
    let of_subject = |number: u32| format!("subject = 'machine-{number:04}'");
    let of_model =
        |number: u32| format!("STARTS_WITH($body.modelId, 'dtmi:factory:Machine;{}')", number - 11);
    let of_type = |number: u32| match number {
        12 => "type = 'Microsoft.DigitalTwins.Twin.Update'".to_owned(),
        _ => format!("type = 'Microsoft.DigitalTwins.Twin.Delete' AND $body.n = {number}"),
    };
    let kinds: [(&str, &dyn Fn(u32) -> String); 3] =
        [("by subject", &of_subject), ("by model", &of_model), ("by type", &of_type)];
    for (name, filter) in kinds {
        for count in [1, 1_000] {
            let (table, _) = CompiledTable::new(&table((0..count).map(|number| filter(12 + number))));
            measured(&mut group, &format!("{count} routes {name}, one matches"), || {
                table.deliveries(black_box(&event), &renderer)
            });
        }
    }
    group.finish();
}

fn table(filters: impl Iterator<Item = String>) -> RouteTable {
    let access = KafkaAccess::Brokers { brokers: vec!["broker:9093".to_owned()], tls: None, sasl: None };
    let endpoint = Endpoint {
        name: "kafka".to_owned(),
        destination: Destination::Kafka(KafkaOptions {
            access,
            topic: "twins".to_owned(),
            compression: Compression::None,
        }),
        policy: DeliveryPolicy::default(),
        dead_letter: None,
    };
    let route = |(number, filter): (usize, String)| EventRoute {
        name: format!("route-{number}"),
        endpoint_name: "kafka".to_owned(),
        filter,
        format: EventFormat::EventNotification,
        types: TypeMappings::default(),
        disabled: false,
        notify_gaps: false,
    };
    RouteTable {
        version: 1,
        endpoints: [("kafka".to_owned(), endpoint)].into(),
        routes: filters.enumerate().map(route).map(|route| (route.name.clone(), route)).collect(),
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    agtype(&mut criterion);
    render(&mut criterion);
    filters(&mut criterion);
    tables(&mut criterion);
    criterion.final_summary();
}
