//! Equality and order of numbers as their text says, without rounding them.

use std::cmp::Ordering;

/// Whether two JSON numbers have the same value, whatever their size and however they are written.
pub(super) fn same(left: &str, right: &str) -> bool {
    let (left, right) = (Decimal::read(left), Decimal::read(right));
    match (left.significant_count, right.significant_count) {
        (0, 0) => true,
        (ours, theirs) => {
            ours == theirs
                && left.negative == right.negative
                && left.power() == right.power()
                && left.significant().eq(right.significant())
        }
    }
}

/// The order of two numbers by value, whatever their size and however they are written.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    if let Some(ordering) = small(left).zip(small(right)).and_then(|(left, right)| left.partial_cmp(&right)) {
        return ordering;
    }
    let (left, right) = (Decimal::read(left), Decimal::read(right));
    left.sign().cmp(&right.sign()).then_with(|| {
        let magnitude =
            left.power().cmp(&right.power()).then_with(|| left.significant().cmp(right.significant()));
        if left.negative { magnitude.reverse() } else { magnitude }
    })
}

/// The number as a double, if that tells it from every other small one: up to 15 significant digits do, as long as no
/// exponent leads out of a double's range.
fn small(number: &str) -> Option<f64> {
    let is_small = number.len() <= 15 && !number.contains(['e', 'E']);
    is_small.then(|| number.parse().ok()).flatten()
}

/// A number as ± 0.significant digits × 10^power; the significant digits neither start nor end with 0.
#[derive(Clone, Copy)]
struct Decimal<'n> {
    negative: bool,
    whole: &'n str,
    fraction: &'n str,
    exponent: &'n str,
    leading_zeros: usize,
    significant_count: usize,
}

impl<'n> Decimal<'n> {
    /// Takes a checked number apart.
    fn read(number: &'n str) -> Self {
        let (negative, unsigned) = signed(number);
        let (digits, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, ""));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        let is_zero = |digit: &u8| *digit == b'0';
        let leading_zeros = all().take_while(is_zero).count();
        let count = whole.len() + fraction.len();
        let significant_count = if leading_zeros == count {
            0
        } else {
            count - leading_zeros - all().rev().take_while(is_zero).count()
        };
        Self { negative, whole, fraction, exponent, leading_zeros, significant_count }
    }

    /// -1, 0 or 1.
    fn sign(self) -> i8 {
        match (self.significant_count, self.negative) {
            (0, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        }
    }

    fn significant(self) -> impl Iterator<Item = u8> {
        let digits = self.whole.bytes().chain(self.fraction.bytes());
        digits.skip(self.leading_zeros).take(self.significant_count)
    }

    fn power(self) -> Power {
        let (negative, digits) = signed(self.exponent);
        let shift = self.whole.len() as i128 - self.leading_zeros as i128;
        Power::sum(negative, digits.trim_start_matches('0'), shift)
    }
}

/// A whole number of any size. `Large` is only for those with more digits than [`POWER_DIGITS_SMALL`], so that equal
/// numbers are equal here.
#[derive(PartialEq, Eq)]
enum Power {
    Small(i128),
    Large { negative: bool, digits: Vec<u8> },
}

/// Exponents with fewer digits, and their sum with any length of text, fit `i128` and have at most this many digits.
const POWER_DIGITS_SMALL: usize = 37;

impl Power {
    /// ±`digits` + `shift`; `digits` has no leading zeros, and `shift` is at most a text's length.
    fn sum(negative: bool, digits: &str, shift: i128) -> Self {
        if digits.len() < POWER_DIGITS_SMALL {
            return Self::Small(signed_number(negative, digits) + shift);
        }
        let mut carry = if negative { -shift } else { shift };
        let mut reversed: Vec<u8> = Vec::with_capacity(digits.len() + 1);
        for digit in digits.bytes().rev() {
            let sum = i128::from(digit - b'0') + carry;
            reversed.push(u8::try_from(sum.rem_euclid(10)).unwrap_or(0) + b'0');
            carry = sum.div_euclid(10);
        }
        while carry > 0 {
            reversed.push(u8::try_from(carry % 10).unwrap_or(0) + b'0');
            carry /= 10;
        }
        while reversed.last() == Some(&b'0') {
            reversed.pop();
        }
        reversed.reverse();
        if reversed.len() > POWER_DIGITS_SMALL {
            return Self::Large { negative, digits: reversed };
        }
        Self::Small(signed_number(negative, str::from_utf8(&reversed).unwrap_or_default()))
    }
}

impl Ord for Power {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Small(left), Self::Small(right)) => left.cmp(right),
            (Self::Small(_), Self::Large { negative, .. }) => {
                if *negative {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (Self::Large { .. }, Self::Small(_)) => other.cmp(self).reverse(),
            (
                Self::Large { negative: left_negative, digits: left },
                Self::Large { negative, digits: right },
            ) => {
                let magnitude = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
                let same_sign = if *negative { magnitude.reverse() } else { magnitude };
                negative.cmp(left_negative).then(same_sign)
            }
        }
    }
}

impl PartialOrd for Power {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn signed(number: &str) -> (bool, &str) {
    match number.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    }
}

/// At most [`POWER_DIGITS_SMALL`] digits as a number; none are 0.
fn signed_number(negative: bool, digits: &str) -> i128 {
    let magnitude = digits.bytes().fold(0, |sum: i128, digit| sum * 10 + i128::from(digit - b'0'));
    if negative { -magnitude } else { magnitude }
}
