//! Points in time as RFC 3339 text.

/// Microseconds from 1970 back to the start of the year 0000, the first that RFC 3339 can write.
const FIRST_US: i64 = -62_167_219_200_000_000;
/// The last microsecond of the year 9999.
const LAST_US: i64 = 253_402_300_799_999_999;

const DAY_US: i64 = 86_400_000_000;

/// Microseconds since 1970-01-01T00:00:00Z as `2026-01-01T12:00:00.000000Z`. What lies outside of the years that RFC 3339
/// has becomes the first or the last moment that it has.
pub(super) fn rfc3339_micros(us: i64) -> String {
    let us = us.clamp(FIRST_US, LAST_US);
    let (year, month, day) = date(us.div_euclid(DAY_US));
    let in_day = us.rem_euclid(DAY_US);
    let seconds = in_day / 1_000_000;
    let mut text = String::with_capacity(27);
    for (before, number, digits) in [
        ("", year, 4),
        ("-", month, 2),
        ("-", day, 2),
        ("T", seconds / 3600, 2),
        (":", seconds / 60 % 60, 2),
        (":", seconds % 60, 2),
        (".", in_day % 1_000_000, 6),
    ] {
        text.push_str(before);
        push_digits(&mut text, number, digits);
    }
    text.push('Z');
    text
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years are taken to begin in
/// March, so that the leap day is their last; 400 of them have 146,097 days.
fn date(day: i64) -> (i64, i64, i64) {
    let from_march_0000 = day + 719_468;
    let era = from_march_0000.div_euclid(146_097);
    let in_era = from_march_0000.rem_euclid(146_097);
    let year_in_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    // The lengths of the months from March on repeat every five: 31, 30, 31, 30, 31, which is 153 days.
    let from_march = (5 * in_year + 2) / 153;
    let day_of_month = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_in_era + i64::from(month <= 2);
    (year, month, day_of_month)
}

/// Appends the lowest `digits` digits of a number that is not negative.
fn push_digits(text: &mut String, number: i64, digits: u32) {
    if digits > 1 {
        push_digits(text, number / 10, digits - 1);
    }
    text.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or(0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_have_their_known_text() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (FIRST_US, "0000-01-01T00:00:00.000000Z"),
            (LAST_US, "9999-12-31T23:59:59.999999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(rfc3339_micros(us), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_moment_has_the_text_that_jiff_gives_it(us in FIRST_US..=LAST_US) {
            let expected = jiff::Timestamp::from_microsecond(us).map(|moment| format!("{moment:.6}"));
            proptest::prop_assert_eq!(expected.ok(), Some(rfc3339_micros(us)));
        }
    }
}
