//! Numbers as players read them: the leading digits count, what follows is passed over.

use quick_m3u8::tag::TagValue;

/// A decimal integer; `None` when there is no digit in front or the number exceeds 64 bits.
pub(crate) fn integer(text: &str) -> Option<u64> {
    let text = text.trim_ascii_start();
    match TagValue(text.as_bytes()).try_as_decimal_integer() {
        Ok(number) => Some(number),
        Err(_) => text[..digits(text)].parse().ok(),
    }
}

/// A decimal number without sign or exponent (`4`, `4.5`, `.36`, `4.`); `None` without a digit.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    let text = text.trim_ascii_start();
    let (whole, rest) = text.split_at(digits(text));
    let fraction = rest.strip_prefix('.').map_or("", |rest| &rest[..digits(rest)]);
    decimal_of(whole, fraction)
}

/// The number that has these digits before and after its point; `None` without any, or out of range.
pub(crate) fn decimal_of(whole: &str, fraction: &str) -> Option<f64> {
    /// Integers of so many digits are exact as floats, as are these powers of ten: their quotient is the nearest float.
    const EXACT_DIGITS: usize = 15;
    const POWERS_OF_TEN: [f64; EXACT_DIGITS + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let count = whole.len() + fraction.len();
    if (1..=EXACT_DIGITS).contains(&count) {
        let append = |value: u64, digit: u8| value * 10 + u64::from(digit.wrapping_sub(b'0'));
        let value = fraction.bytes().fold(whole.bytes().fold(0, append), append);
        return Some(value as f64 / POWERS_OF_TEN[fraction.len()]);
    }
    let number = format!("{whole}.{fraction}").parse::<f64>().ok()?;
    number.is_finite().then_some(number)
}

/// A length and, after `@`, an offset: `n[@o]`.
pub(crate) fn length_and_offset(text: &str) -> Option<(u64, Option<u64>)> {
    match text.split_once('@') {
        Some((length, offset)) => Some((integer(length)?, integer(offset))),
        None => Some((integer(text)?, None)),
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_digits_count() {
        for (text, expected) in
            [("10", Some(10)), (" 7", Some(7)), ("8.5", Some(8)), ("12abc", Some(12)), ("-1", None), ("", None), ("x", None)]
        {
            assert_eq!(integer(text), expected, "{text:?}");
        }
        assert_eq!(integer("18446744073709551615"), Some(u64::MAX));
        assert_eq!(integer("18446744073709551616"), None);
    }

    #[test]
    fn decimals_as_encoders_write_them() {
        for (text, expected) in
            [(" 4.5,x", Some(4.5)), (".36", Some(0.36)), ("4.", Some(4.0)), ("1e308", Some(1.0)), ("-1", None), (".", None), ("NaN", None)]
        {
            assert_eq!(decimal(text), expected, "{text:?}");
        }
        assert_eq!(decimal(&"9".repeat(400)), None);
    }

    proptest::proptest! {
        #[test]
        fn decimals_are_the_nearest_floats(text in "[0-9]{0,9}\\.[0-9]{1,9}") {
            proptest::prop_assert_eq!(decimal(&text), text.parse().ok());
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(length_and_offset("5@7"), Some((5, Some(7))));
        assert_eq!(length_and_offset("5"), Some((5, None)));
        assert_eq!(length_and_offset("5@"), Some((5, None)));
        assert_eq!(length_and_offset("@5"), None);
    }
}
