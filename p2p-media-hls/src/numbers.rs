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
    let whole = digits(text);
    let fraction = text[whole..].strip_prefix('.').map_or(0, |rest| 1 + digits(rest));
    let number = text[..whole + fraction].parse::<f64>().ok()?;
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

    #[test]
    fn ranges() {
        assert_eq!(length_and_offset("5@7"), Some((5, Some(7))));
        assert_eq!(length_and_offset("5"), Some((5, None)));
        assert_eq!(length_and_offset("5@"), Some((5, None)));
        assert_eq!(length_and_offset("@5"), None);
    }
}
