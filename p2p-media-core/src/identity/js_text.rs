//! JavaScript's notions of text and numbers (ECMA-262), as far as ids are made of them.

use std::cmp::Ordering;

/// `String.prototype.trim`: white space as ECMA-262 12.2 and 12.3 define it, which has U+FEFF and lacks U+0085.
pub(super) fn js_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}

/// The first `count` UTF-16 code units; half a surrogate pair becomes U+FFFD, as it does when JavaScript encodes it as UTF-8.
pub(super) fn first_utf16_units(text: &str, count: usize) -> String {
    let units: Vec<u16> = text.encode_utf16().take(count).collect();
    String::from_utf16_lossy(&units)
}

/// The order of `Array.prototype.sort`: by UTF-16 code units.
pub(super) fn cmp_utf16(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// `Number(text)` (ECMA-262 7.1.4.1); `None` is NaN.
pub(super) fn js_number(text: &str) -> Option<f64> {
    let text = js_trim(text);
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let value = |sum: f64, c: char| Some(sum * f64::from(radix) + f64::from(c.to_digit(radix)?));
            return if digits.is_empty() { None } else { digits.chars().try_fold(0.0, value) };
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if text.is_empty() {
        Some(0.0)
    } else if unsigned == "Infinity" {
        Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })
    } else if unsigned.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        // Rust's grammar without its words (inf, nan) is JavaScript's decimal one.
        text.parse().ok()
    } else {
        None
    }
}

/// `String(number)` (ECMA-262 6.1.6.1.20): the shortest digits that read back as the same number.
pub(super) fn js_number_to_string(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let shortest = format!("{:e}", number.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    // At most 17 digits, and `point` of them stand before the decimal point.
    let digits = mantissa.replace('.', "");
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = digits.len() as i32;
    let sign = if number < 0.0 { "-" } else { "" };
    if count <= point && point <= 21 {
        format!("{sign}{digits}{}", "0".repeat((point - count) as usize))
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(point as usize);
        format!("{sign}{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{dot}{rest}e{:+}", point - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_javascript_prints_them() {
        for (number, expect) in [
            (0.0, "0"),
            (-0.0, "0"),
            (29.97, "29.97"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.25e-7, "1.25e-7"),
            (1e-6, "0.000001"),
            (-30.5, "-30.5"),
            (23.976023976023978, "23.976023976023978"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(js_number_to_string(number), expect);
        }
    }

    #[test]
    fn text_becomes_a_number_as_in_javascript() {
        for (text, expect) in [
            ("", Some(0.0)),
            (" \u{feff}", Some(0.0)),
            ("60.", Some(60.0)),
            ("-.5", Some(-0.5)),
            ("0x19", Some(25.0)),
            ("0b101", Some(5.0)),
            ("0x", None),
            ("-0x1", None),
            ("inf", None),
            ("nan", None),
            ("infinity", None),
            ("+Infinity", Some(f64::INFINITY)),
            ("30000/1001", None),
            (".", None),
            ("1e", None),
            ("1_000", None),
        ] {
            assert_eq!(js_number(text), expect, "{text:?}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        assert_eq!(first_utf16_units("x😀", 2), "x\u{fffd}");
        assert_eq!(first_utf16_units("😀x", 2), "😀");
    }

    #[test]
    fn trims_what_javascript_calls_white_space() {
        assert_eq!(js_trim("\u{feff}\u{a0} a\u{2029}"), "a");
        assert_eq!(js_trim("\u{85}a"), "\u{85}a");
    }
}
