//! A small factory, and what happens in it. Pure: the same day every time.

use serde_json::{Value, json};

use super::change::{Change, End, Entity, Operation, Transaction};
use crate::twins::document::{Object, object};

const LINES: u64 = 2;
const MACHINES: u64 = 6;
const SENSORS: u64 = 12;

/// What sensors report; most of what happens.
pub(super) const READINGS: [&str; 2] = ["Temperature", "Vibration"];

/// Transactions after which the same kinds of things happen again.
const ROUND: u64 = 150;

/// The models: name and properties with their DTDL schema.
const MODELS: [(&str, &[(&str, &str)]); 5] = [
    ("Site", &[("City", "string")]),
    ("Line", &[("Product", "string")]),
    ("Machine", &[("State", "string"), ("TargetSpeed", "integer"), ("SetBy", "string"), ("Shift", "string")]),
    ("Sensor", &[("Temperature", "double"), ("Vibration", "double")]),
    ("Order", &[("Pieces", "integer")]),
];

/// How the factory comes to be: models, the site, its lines, and each machine with its sensors.
pub(super) fn opening() -> Vec<Transaction> {
    let mut transactions = vec![Transaction::of(MODELS.iter().map(|(name, _)| model(name)).collect())];
    transactions.push(Transaction::of(vec![twin("plant-1", "Site", json!({"City": "Graz"}))]));
    for number in 0..LINES {
        let line = line(number);
        transactions.push(Transaction::of(vec![
            twin(&line, "Line", json!({"Product": "Gearbox"})),
            relationship(&line, "hasLine", ("plant-1", &line), json!({})),
        ]));
    }
    for number in 0..MACHINES {
        let (line, machine) = (line(number % LINES), machine(number));
        let properties = json!({"State": "running", "TargetSpeed": 100, "Shift": "early"});
        let mut changes = vec![
            twin(&machine, "Machine", properties),
            relationship(&machine, "hasMachine", (&line, &machine), json!({})),
        ];
        for number in (0..SENSORS).filter(|sensor| sensor % MACHINES == number) {
            let sensor = sensor(number);
            changes.push(twin(&sensor, "Sensor", reading(number, 0)));
            changes.push(relationship(kind_of_sensor(number), "hasSensor", (&machine, &sensor), json!({})));
        }
        transactions.push(Transaction::of(changes));
    }
    transactions
}

/// The transaction with this number, from 0 on.
pub(super) fn transaction(number: u64) -> Transaction {
    let round = number / ROUND;
    match number % ROUND {
        15 => Transaction::of(order_arrives(round)),
        40 => Transaction::of(vec![state_changes(round)]),
        65 => Transaction::of(vec![order_goes_on(round)]),
        90 => Transaction::of(vec![operator_sets(round)]),
        115 => round.checked_sub(1).map_or_else(
            || Transaction::of(shift_begins("late")),
            |before| Transaction::of(order_leaves(before)),
        ),
        // The operator thinks better of it.
        140 => Transaction { changes: vec![operator_sets(round + 1)], end: End::Rollback },
        _ => Transaction::of(vec![sensor_reports(number)]),
    }
}

fn sensor_reports(tick: u64) -> Change {
    // 5 and 12 have no common divisor: all have their turn.
    let number = tick * 5 % SENSORS;
    set(&sensor(number), "Sensor", reading(number, tick + MACHINES))
}

/// An order comes to a machine: two entities in one transaction.
fn order_arrives(round: u64) -> Vec<Change> {
    let (order, machine) = (order(round), machine(round % MACHINES));
    vec![
        twin(&order, "Order", json!({"Pieces": 20 + round % 5 * 10})),
        relationship(&job(round), "processes", (&machine, &order), json!({"Progress": 0})),
    ]
}

fn order_goes_on(round: u64) -> Change {
    let (order, machine) = (order(round), machine(round % MACHINES));
    let properties = json!({"Progress": 50});
    let change = relationship(&job(round), "processes", (&machine, &order), properties);
    Change { operation: Operation::Update, ..change }
}

/// Two deletions in one transaction.
fn order_leaves(round: u64) -> Vec<Change> {
    let (order, machine) = (order(round), machine(round % MACHINES));
    [relationship(&job(round), "processes", (&machine, &order), json!({})), twin(&order, "Order", json!({}))]
        .map(|change| Change { operation: Operation::Delete, ..change })
        .into()
}

fn state_changes(round: u64) -> Change {
    let state = match round % 3 {
        0 => "idle",
        1 => "running",
        _ => "maintenance",
    };
    // Three rounds about one machine, then the next one.
    set(&machine(round / 3 % MACHINES), "Machine", json!({"State": state}))
}

/// Two properties of one twin in one write.
fn operator_sets(round: u64) -> Change {
    let by = if round.is_multiple_of(2) { "anna" } else { "jonas" };
    let speed = 105 + round * 35 % 60;
    set(&machine((round + 1) % MACHINES), "Machine", json!({"TargetSpeed": speed, "SetBy": by}))
}

/// All machines in one transaction.
fn shift_begins(shift: &str) -> Vec<Change> {
    (0..MACHINES).map(|number| set(&machine(number), "Machine", json!({"Shift": shift}))).collect()
}

/// What a sensor reports at a time: a slow wave with one decimal.
fn reading(number: u64, tick: u64) -> Value {
    let wave = (tick as f64 / 200.0 + number as f64).sin();
    let one_decimal = |value: f64| (value * 10.0).round() / 10.0;
    if number < MACHINES {
        json!({"Temperature": one_decimal(60.0 + 25.0 * wave)})
    } else {
        json!({"Vibration": one_decimal(3.0 + 2.0 * wave)})
    }
}

fn line(number: u64) -> String {
    format!("line-{}", number + 1)
}

fn machine(number: u64) -> String {
    let kind = match number / LINES {
        0 => "press",
        1 => "robot",
        _ => "oven",
    };
    format!("{kind}-{}", number % LINES + 1)
}

/// The first sensor of each machine measures its temperature, the second its vibration.
fn sensor(number: u64) -> String {
    format!("{}-{}", machine(number % MACHINES), kind_of_sensor(number))
}

fn kind_of_sensor(number: u64) -> &'static str {
    if number < MACHINES { "temp" } else { "vibr" }
}

fn order(round: u64) -> String {
    format!("order-{}", round + 1)
}

fn job(round: u64) -> String {
    format!("job-{}", round + 1)
}

fn dtmi(model: &str) -> String {
    format!("dtmi:factory:{model};1")
}

fn model(name: &str) -> Change {
    Change { entity: Entity::Model(dtmi(name)), operation: Operation::Create, properties: Object::new() }
}

/// The DTDL of a model.
pub(super) fn dtdl(dtmi_wanted: &str) -> Value {
    let found = MODELS.iter().find(|(name, _)| dtmi(name) == dtmi_wanted);
    let (name, properties) = found.copied().unwrap_or_default();
    let contents: Vec<Value> = properties
        .iter()
        .map(|(name, schema)| json!({"@type": "Property", "name": name, "schema": schema, "writable": true}))
        .collect();
    json!({
        "@context": "dtmi:dtdl:context;2",
        "@id": dtmi_wanted,
        "@type": "Interface",
        "displayName": name,
        "contents": contents,
    })
}

fn twin(id: &str, model: &str, properties: Value) -> Change {
    let entity = Entity::Twin { id: id.to_owned(), model: dtmi(model) };
    Change { entity, operation: Operation::Create, properties: object(properties) }
}

fn set(id: &str, model: &str, properties: Value) -> Change {
    Change { operation: Operation::Update, ..twin(id, model, properties) }
}

fn relationship(id: &str, name: &str, (source, target): (&str, &str), properties: Value) -> Change {
    let entity = Entity::Relationship {
        id: id.to_owned(),
        name: name.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
    };
    Change { entity, operation: Operation::Create, properties: object(properties) }
}

#[cfg(test)]
mod tests {
    use hashbrown::HashSet;

    use super::*;

    #[test]
    fn a_day_makes_sense() {
        // Given the factory
        let mut alive = HashSet::new();
        let mut dead = HashSet::new();
        let day = (0..10 * ROUND).map(transaction);
        for transaction in opening().into_iter().chain(day) {
            let mut touched = HashSet::new();
            for Change { entity, operation, .. } in transaction.changes {
                let subject = entity.subject();
                // Then a transaction touches nothing twice
                assert!(touched.insert(subject.clone()), "{subject} twice");
                // And what changes is there, and what is created was never there
                if let Entity::Relationship { source, target, .. } = &entity {
                    let ends = [source, target].map(|end| alive.contains(end));
                    assert_eq!(ends, [true, true], "{subject}");
                }
                match operation {
                    Operation::Create => {
                        assert!(!dead.contains(&subject) && alive.insert(subject.clone()), "{subject}");
                    }
                    Operation::Update => assert!(alive.contains(&subject), "{subject}"),
                    Operation::Delete => {
                        assert!(alive.remove(&subject) && dead.insert(subject.clone()), "{subject}");
                    }
                }
            }
        }
        assert!(!dead.is_empty());
    }

    #[test]
    fn models_describe_what_they_are_for() {
        let model = dtdl("dtmi:factory:Order;1");
        assert_eq!(model["contents"][0]["name"], "Pieces");
    }
}
