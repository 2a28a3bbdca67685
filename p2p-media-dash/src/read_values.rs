//! Attribute values to numbers. What cannot be read counts as absent, as in players.

use p2p_media_core::media::ByteRange;

use crate::xml::Element;

/// Greater numbers of ticks or segments are not exact as `f64`, in players neither.
const MAX_EXACT: f64 = (1_u64 << 53) as f64;

/// An unsigned integer; a fraction, which some packagers write, is cut off.
pub(crate) fn unsigned(text: &str) -> Option<u64> {
    let text = text.trim_ascii();
    text.parse().ok().or_else(|| decimal(text).filter(|&number| (0.0..=MAX_EXACT).contains(&number)).map(|number| number as u64))
}

/// An integer.
pub(crate) fn signed(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    text.parse().ok().or_else(|| decimal(text).filter(|number| number.abs() <= MAX_EXACT).map(|number| number as i64))
}

/// A finite number with or without a fraction.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    let text = text.trim_ascii();
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(number)
}

/// `first-last` (RFC 9110, section 14.1.2). A range that is open or inverted counts as none.
pub(crate) fn byte_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.trim().split_once('-')?;
    let range = ByteRange { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? };
    (range.first <= range.last).then_some(range)
}

/// @availabilityTimeOffset (ISO/IEC 23009-1, section 5.3.5.2): seconds, or `INF`.
pub(crate) fn availability_time_offset(element: Element<'_>) -> Option<f64> {
    let text = element.attribute("availabilityTimeOffset")?;
    let number = if text.trim() == "INF" { f64::INFINITY } else { decimal(&text)? };
    (number >= 0.0).then_some(number)
}

/// @availabilityTimeComplete; true or absent, segments are complete when they are available.
pub(crate) fn availability_time_complete(element: Element<'_>) -> Option<bool> {
    match element.attribute("availabilityTimeComplete")?.trim() {
        "false" | "0" => Some(false),
        "true" | "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_packagers_write_them() {
        assert_eq!(unsigned(" 90000 "), Some(90_000));
        assert_eq!(unsigned("18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned("1.9"), Some(1));
        for text in ["", "-1", "x", "inf", "NaN", "1e300", "99999999999999999999"] {
            assert_eq!(unsigned(text), None, "{text:?}");
        }
        assert_eq!(signed("-1"), Some(-1));
        assert_eq!(signed("2.0"), Some(2));
        assert_eq!(decimal("0.5"), Some(0.5));
        assert_eq!(decimal("inf"), None);
    }

    #[test]
    fn byte_ranges() {
        assert_eq!(byte_range("0-99"), Some(ByteRange { first: 0, last: 99 }));
        assert_eq!(byte_range(" 5 - 5 "), Some(ByteRange { first: 5, last: 5 }));
        for text in ["", "-", "5-", "-5", "9-8", "a-b", "1-99999999999999999999999"] {
            assert_eq!(byte_range(text), None, "{text:?}");
        }
    }
}
