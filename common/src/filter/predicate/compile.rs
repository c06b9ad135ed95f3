//! From the syntax tree to a predicate. What depends on the filter alone is decided here: the null idiom, and which
//! default types `type` can mean.

use super::{Amount, EmittedType, OrderTest, Predicate, Test};
use crate::cloud_event::{EventType, TypeSet};
use crate::filter::Verdict;
use crate::filter::field::{AttributeName, Field};
use crate::filter::syntax::{
    Comparison, Condition, ConditionKind, Factor, Literal, Membership, Scale, Search, Sign, Sum, Term,
};

/// The names that `type` has, and that it is compared under.
const TYPE_NAMES: [AttributeName; 3] =
    [AttributeName::EmittedType, AttributeName::DefaultType, AttributeName::AzureType];

impl Predicate {
    /// Makes a condition ready to be asked.
    pub(in crate::filter) fn compile(condition: &Condition) -> Self {
        let all = |parts: &[Condition]| parts.iter().map(Self::compile).collect();
        let test = match &condition.kind {
            ConditionKind::Constant(value) => Test::Constant(Verdict::from(*value)),
            ConditionKind::Or(parts) => Test::Any(all(parts)),
            ConditionKind::And(parts) => Test::All(all(parts)),
            ConditionKind::Not(part) => Test::Not(Box::new(Self::compile(part))),
            ConditionKind::Compare { left, operator, right } => compare(left, *operator, right, condition),
            ConditionKind::In { operand, list, membership } => {
                let is_in = any(list.iter().map(|literal| equal_literal(operand, literal)), condition);
                match membership {
                    Membership::In => is_in,
                    Membership::NotIn => not(is_in, condition),
                }
            }
            ConditionKind::Search { search, text, part } => search_in(*search, text, part, condition),
            ConditionKind::IsDefined(path) => Test::IsDefined(Field::of(path)),
            ConditionKind::Changed(path) => match (path.first.as_str(), Field::of(path)) {
                ("$new" | "$old", Field::Document { steps, .. }) => Test::Changed(steps),
                _ => Test::Constant(Verdict::Undefined),
            },
        };
        Self { test, span: condition.span.clone() }
    }
}

fn compare(left: &Sum, operator: Comparison, right: &Sum, whole: &Condition) -> Test {
    let order = match operator {
        Comparison::Equal => return equal(left, right, whole),
        Comparison::NotEqual => return not(equal(left, right, whole), whole),
        Comparison::Less => OrderTest::Less,
        Comparison::LessOrEqual => OrderTest::LessOrEqual,
        Comparison::Greater => OrderTest::Greater,
        Comparison::GreaterOrEqual => OrderTest::GreaterOrEqual,
    };
    Test::Order(Amount::of(left), order, Amount::of(right))
}

fn equal(left: &Sum, right: &Sum, whole: &Condition) -> Test {
    match (left.single(), right.single()) {
        (Some(Factor::Literal(literal)), _) => equal_literal(right, literal),
        (_, Some(Factor::Literal(literal))) => equal_literal(left, literal),
        _ => {
            let pairs = readings(left)
                .flat_map(|left| readings(right).map(move |right| Test::Equal(left.clone(), right)));
            any(pairs, whole)
        }
    }
}

/// `sum = literal`; null stands for a missing value too.
fn equal_literal(sum: &Sum, literal: &Literal) -> Test {
    match (literal, sum.single()) {
        (Literal::Null, Some(Factor::Literal(other))) => {
            Test::Constant(Verdict::from(*other == Literal::Null))
        }
        (Literal::Null, _) => Test::IsNull(Amount::of(sum)),
        (Literal::Text(text), Some(factor)) if is_type(factor) => Test::Type {
            defaults: types_where(|name| name == text),
            emitted: EmittedType::Is([text.as_str().into()].into()),
        },
        // No name of a type is anything but text.
        _ => Test::Equal(Amount::of(sum), Amount::of_literal(literal)),
    }
}

fn search_in(search: Search, text: &Sum, part: &Sum, whole: &Condition) -> Test {
    if let (Some(factor), Some(Factor::Literal(Literal::Text(part)))) = (text.single(), part.single())
        && is_type(factor)
    {
        return Test::Type {
            defaults: types_where(|name| search.finds(name, part)),
            emitted: EmittedType::Finds(search, part.as_str().into()),
        };
    }
    let pairs = readings(text)
        .flat_map(|text| readings(part).map(move |part| Test::Search(search, text.clone(), part)));
    any(pairs, whole)
}

/// The types for one of whose own names `holds` does.
fn types_where(holds: impl Fn(&str) -> bool) -> TypeSet {
    EventType::ALL.into_iter().filter(|it| holds(it.name()) || holds(it.azure_name())).collect()
}

/// An operand under each of its names: `type` has three, everything else has one.
fn readings(sum: &Sum) -> impl Iterator<Item = Amount> {
    let names = match sum.single() {
        Some(factor) if is_type(factor) => TYPE_NAMES.map(|name| Some(Amount::Field(Field::Attribute(name)))),
        _ => [Some(Amount::of(sum)), None, None],
    };
    names.into_iter().flatten()
}

fn is_type(factor: &Factor) -> bool {
    matches!(factor, Factor::Path(path) if path.first == "type" && path.steps.is_empty())
}

fn any(tests: impl Iterator<Item = Test>, whole: &Condition) -> Test {
    let mut tests: Vec<Test> = tests.collect();
    match (tests.pop(), tests.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            tests.extend(last);
            Test::Any(tests.into_iter().map(|test| Predicate { test, span: whole.span.clone() }).collect())
        }
    }
}

fn not(test: Test, whole: &Condition) -> Test {
    Test::Not(Box::new(Predicate { test, span: whole.span.clone() }))
}

impl Amount {
    fn of(sum: &Sum) -> Self {
        let first = Self::of_term(&sum.first);
        if sum.rest.is_empty() {
            return first;
        }
        let rest = sum.rest.iter().map(|(sign, term)| (*sign, Self::of_term(term)));
        Self::Sum(std::iter::once((Sign::Plus, first)).chain(rest).collect())
    }

    fn of_term(term: &Term) -> Self {
        let first = Self::of_factor(&term.first);
        if term.rest.is_empty() {
            return first;
        }
        let rest = term.rest.iter().map(|(scale, factor)| (*scale, Self::of_factor(factor)));
        Self::Product(std::iter::once((Scale::Times, first)).chain(rest).collect())
    }

    fn of_factor(factor: &Factor) -> Self {
        match factor {
            Factor::Literal(literal) => Self::of_literal(literal),
            Factor::Path(path) => Self::Field(Field::of(path)),
            Factor::Abs(sum) => Self::Absolute(Box::new(Self::of(sum))),
        }
    }

    fn of_literal(literal: &Literal) -> Self {
        match literal {
            Literal::Text(text) => Self::Text(text.as_str().into()),
            Literal::Number(text) => Self::Number(text.as_str().into()),
            Literal::Boolean(value) => Self::Boolean(*value),
            Literal::Null => Self::Null,
        }
    }
}
