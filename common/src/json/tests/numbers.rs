//! Tests of numbers' equality and order.

use proptest::prelude::*;

use std::cmp::Ordering;

use super::same;
use crate::json::compare_numbers as compare;

#[test]
fn numbers_are_the_same_when_their_values_are() {
    for (left, right) in [
        ("150", "150.0"),
        ("150", "1.5e2"),
        ("150", "1500E-1"),
        ("0", "-0"),
        ("0", "0.000e-99"),
        ("0e5", "-0.0e99999999999999999999999999999999999999999999999999"),
        ("0.001", "1e-3"),
        ("5.972e+24", "5972000000000000000000000"),
        ("1e400", "10e399"),
        ("-1.10", "-1.1"),
        ("1e0000000000000000000000000000000000000000000000000000002", "100"),
        ("1e-0000000000000000000000000000000000000000000000000000002", "0.01"),
        ("1e1000000000000000000000000000000000000", "10e999999999999999999999999999999999999"),
        ("1e-1000000000000000000000000000000000000", "0.1e-999999999999999999999999999999999999"),
        ("10e-10000000000000000000000000000000000000000", "1e-9999999999999999999999999999999999999999"),
        ("0.01e10000000000000000000000000000000000000001", "1e9999999999999999999999999999999999999999"),
    ] {
        assert!(same(left, right), "{left} {right}");
    }
}

#[test]
fn numbers_are_not_rounded() {
    for (left, right) in [
        ("9007199254740992", "9007199254740993"),
        ("0.1", "0.1000000000000000055511151231257827"),
        ("1", "-1"),
        ("1", "10"),
        ("1", "11"),
        ("1e400", "1e401"),
        ("1e-400", "0"),
        ("1e99999999999999999999999999999999999999999", "1e99999999999999999999999999999999999999998"),
        ("1e99999999999999999999999999999999999999999", "1e-99999999999999999999999999999999999999999"),
        ("1e340282366920938463463374607431768211456", "1e0"),
    ] {
        assert!(!same(left, right), "{left} {right}");
    }
}

#[test]
fn numbers_are_ordered_by_value() {
    let ascending = [
        "-1e9999999999999999999999999999999999999999",
        "-1e9999999999999999999999999999999999999998",
        "-1e400",
        "-9007199254740993",
        "-9007199254740992",
        "-10",
        "-1.5",
        "-1e-400",
        "-1e-9999999999999999999999999999999999999999",
        "0",
        "1e-9999999999999999999999999999999999999999",
        "1e-9999999999999999999999999999999999999998",
        "1e-400",
        "0.1",
        "0.1000000000000000055511151231257827",
        "0.11",
        "9",
        "10",
        "9007199254740992",
        "9007199254740993",
        "1e400",
        "1e9999999999999999999999999999999999999999",
    ];
    for (place, left) in ascending.iter().enumerate() {
        for (other, right) in ascending.iter().enumerate() {
            assert_eq!(compare(left, right), place.cmp(&other), "{left} {right}");
        }
    }
    for (left, right) in [("150", "150.0"), ("0", "-0"), ("1e400", "10e399"), ("0.10", "1e-1")] {
        assert_eq!(compare(left, right), Ordering::Equal, "{left} {right}");
    }
}

/// Digits, the place of the point among them, and zeros that change nothing.
fn written(digits: &str, point: usize, zeros: usize, exponent: i64) -> String {
    let (whole, fraction) = digits.split_at(point);
    let whole = if whole.is_empty() { "0" } else { whole };
    let exponent = exponent + i64::try_from(digits.len() - point).unwrap_or(0);
    format!("{whole}.{fraction}{}e{exponent}", "0".repeat(zeros + 1))
}

proptest! {
    #[test]
    fn moving_the_point_and_the_exponent_changes_nothing(
        digits in "[1-9][0-9]{0,40}", left in 0_usize..41, right in 0_usize..41, zeros in 0_usize..9,
        exponent in -1000_i64..1000,
    ) {
        let (left, right) = (left.min(digits.len()), right.min(digits.len()));
        // given: whole parts without leading zeros, as JSON wants them; 0.ddd where the point comes first
        let left = written(&digits, left, zeros, exponent);
        let right = written(&digits, right, 0, exponent);
        prop_assert!(same(&left, &right), "{left} {right}");
        let next = format!("{}e{exponent}", digits.clone() + "1");
        prop_assert!(!same(&left, &next), "{left} {next}");
        prop_assert_eq!(compare(&left, &right), Ordering::Equal);
        prop_assert_eq!(compare(&left, &next), Ordering::Less);
    }

    #[test]
    fn numbers_that_doubles_hold_are_ordered_as_doubles(left in any::<f64>(), right in any::<f64>()) {
        prop_assume!(left.is_finite() && right.is_finite());
        for (left_text, right_text) in [(left.to_string(), right.to_string()), (format!("{left:e}"), format!("{right:e}"))] {
            prop_assert_eq!(Some(compare(&left_text, &right_text)), left.partial_cmp(&right));
        }
    }

    #[test]
    fn small_numbers_are_ordered_as_whole_numbers(left in -99_999_999_i64..99_999_999, right in -99_999_999_i64..99_999_999) {
        let hundredth = |number: i64| {
            format!("{}{}.{:02}", if number < 0 { "-" } else { "" }, number.abs() / 100, number.abs() % 100)
        };
        prop_assert_eq!(compare(&hundredth(left), &hundredth(right)), left.cmp(&right));
    }
}
