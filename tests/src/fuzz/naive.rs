//! A second reading of the filter language, from its description: slow, on plain values, with numbers as doubles.

use std::cmp::Ordering;

use serde_json::Value;
use twinroute_common::filter::syntax::{
    Comparison, Condition, ConditionKind, Factor, Literal, Membership, Path, Scale, Search, Sign, Sum, Term,
};

use super::samples::Plain;

/// True, false, or undefined.
pub(super) fn verdict(condition: &Condition, event: &Plain) -> Option<bool> {
    match &condition.kind {
        ConditionKind::Constant(value) => Some(*value),
        ConditionKind::Or(parts) => {
            let all: Vec<_> = parts.iter().map(|part| verdict(part, event)).collect();
            if all.contains(&Some(true)) {
                Some(true)
            } else {
                all.iter().all(Option::is_some).then_some(false)
            }
        }
        ConditionKind::And(parts) => {
            let all: Vec<_> = parts.iter().map(|part| verdict(part, event)).collect();
            if all.contains(&Some(false)) {
                Some(false)
            } else {
                all.iter().all(Option::is_some).then_some(true)
            }
        }
        ConditionKind::Not(part) => verdict(part, event).map(|value| !value),
        ConditionKind::Compare { left, operator, right } => match operator {
            Comparison::Equal => equal(left, right, event),
            Comparison::NotEqual => equal(left, right, event).map(|value| !value),
            order => {
                let ordering = order_of(&first_reading(left, event)?, &first_reading(right, event)?)?;
                Some(match order {
                    Comparison::Less => ordering == Ordering::Less,
                    Comparison::LessOrEqual => ordering != Ordering::Greater,
                    Comparison::Greater => ordering == Ordering::Greater,
                    _ => ordering != Ordering::Less,
                })
            }
        },
        ConditionKind::In { operand, list, membership } => {
            let equals: Vec<_> = list.iter().map(|literal| equal(operand, &alone(literal), event)).collect();
            let is_in = if equals.contains(&Some(true)) {
                Some(true)
            } else {
                equals.iter().all(Option::is_some).then_some(false)
            };
            if *membership == Membership::In { is_in } else { is_in.map(|value| !value) }
        }
        ConditionKind::Search { search, text, part } => any_reading(text, part, event, |text, part| {
            let (Value::String(text), Value::String(part)) = (text, part) else { return None };
            Some(match search {
                Search::Start => text.starts_with(part.as_str()),
                Search::End => text.ends_with(part.as_str()),
                Search::Anywhere => text.contains(part.as_str()),
            })
        }),
        ConditionKind::IsDefined(path) => Some(!readings_of_path(path, event).is_empty()),
        ConditionKind::Changed(path) => {
            let (old, new) = (event.old.as_ref()?, event.new.as_ref()?);
            if path.first != "$new" && path.first != "$old" {
                return None;
            }
            Some(match (below(old, &path.steps), below(new, &path.steps)) {
                (Some(old), Some(new)) => !same(&old, &new),
                (None, None) => false,
                _ => true,
            })
        }
    }
}

fn alone(literal: &Literal) -> Sum {
    let first = Term { first: Factor::Literal(literal.clone()), rest: Vec::new() };
    Sum { first, rest: Vec::new() }
}

fn is_null_literal(sum: &Sum) -> bool {
    matches!(sum.single(), Some(Factor::Literal(Literal::Null)))
}

fn equal(left: &Sum, right: &Sum, event: &Plain) -> Option<bool> {
    let other = match (is_null_literal(left), is_null_literal(right)) {
        (true, _) => Some(right),
        (_, true) => Some(left),
        _ => None,
    };
    if let Some(other) = other {
        return Some(readings(other, event).iter().all(Value::is_null));
    }
    any_reading(left, right, event, |left, right| Some(same(left, right)))
}

/// True when it is for any reading of both, false when for none, undefined when there are none.
fn any_reading(
    left: &Sum,
    right: &Sum,
    event: &Plain,
    test: impl Fn(&Value, &Value) -> Option<bool>,
) -> Option<bool> {
    let rights = readings(right, event);
    let mut answer = None;
    for left in readings(left, event) {
        for right in &rights {
            answer = match (answer, test(&left, right)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (known, None) => known,
                (_, some) => some,
            };
        }
    }
    answer
}

/// All that an operand stands for: nothing when it is missing, several names for `type`.
fn readings(sum: &Sum, event: &Plain) -> Vec<Value> {
    if let Some(Factor::Path(path)) = sum.single() {
        return readings_of_path(path, event);
    }
    first_reading(sum, event).into_iter().collect()
}

fn first_reading(sum: &Sum, event: &Plain) -> Option<Value> {
    if let Some(factor) = sum.single() {
        return of_factor(factor, event);
    }
    let mut total = of_term(&sum.first, event)?;
    for (sign, term) in &sum.rest {
        let term = number(&of_term(term, event)?)?;
        total = finite(match sign {
            Sign::Plus => number(&total)? + term,
            Sign::Minus => number(&total)? - term,
        })?;
    }
    Some(total)
}

fn of_term(term: &Term, event: &Plain) -> Option<Value> {
    let mut total = of_factor(&term.first, event)?;
    for (scale, factor) in &term.rest {
        let factor = number(&of_factor(factor, event)?)?;
        total = finite(match scale {
            Scale::Times => number(&total)? * factor,
            Scale::Over if factor == 0.0 => return None,
            Scale::Over => number(&total)? / factor,
        })?;
    }
    Some(total)
}

fn of_factor(factor: &Factor, event: &Plain) -> Option<Value> {
    match factor {
        Factor::Literal(Literal::Text(text)) => Some(text.as_str().into()),
        Factor::Literal(Literal::Number(text)) => serde_json::from_str(text).ok(),
        Factor::Literal(Literal::Boolean(value)) => Some((*value).into()),
        Factor::Literal(Literal::Null) => Some(Value::Null),
        Factor::Path(path) => readings_of_path(path, event).into_iter().next(),
        Factor::Abs(sum) => finite(number(&first_reading(sum, event)?)?.abs()),
    }
}

fn readings_of_path(path: &Path, event: &Plain) -> Vec<Value> {
    let attribute = |text: &str| vec![Value::from(text)];
    let document = |document: Option<&Value>| {
        document.and_then(|document| below(document, &path.steps)).into_iter().collect()
    };
    match path.first.as_str() {
        "$body" => document(Some(&event.body)),
        "$old" => document(event.old.as_ref()),
        "$new" => document(event.new.as_ref()),
        _ if !path.steps.is_empty() => Vec::new(),
        "type" => event.names_of_type.iter().map(|name| Value::from(name.as_str())).collect(),
        "source" => attribute(&event.source),
        "subject" => attribute(&event.subject),
        "time" => attribute(&event.time),
        "id" => attribute(&event.id),
        "specversion" => attribute("1.0"),
        "datacontenttype" => attribute("application/json"),
        _ => Vec::new(),
    }
}

fn below(value: &Value, steps: &[String]) -> Option<Value> {
    steps.iter().try_fold(value.clone(), |value, step| value.as_object()?.get(step).cloned())
}

fn order_of(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => number(left)?.partial_cmp(&number(right)?),
        (Value::String(left), Value::String(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        _ => None,
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => number(left) == number(right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn finite(number: f64) -> Option<Value> {
    serde_json::Number::from_f64(number).map(Value::Number)
}
