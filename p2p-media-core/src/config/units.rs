//! Amounts as people write them: `250 ms`, `3 s`, `512 MiB`.

use std::time::Duration;

/// Units of time, in seconds.
const TIME_UNITS: [(&str, f64); 5] = [("", 1.0), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)];
/// Units of size, in bytes: decimal ones and those of IEC 80000-13.
const SIZE_UNITS: [(&str, f64); 9] = [
    ("", 1.0),
    ("b", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
    ("tib", 1_099_511_627_776.0),
];
/// What a number of bytes may be at most, so that no precision is lost on the way.
const MAX_BYTES: f64 = 9_007_199_254_740_992.0;

/// Reads a time such as `250 ms`, `1.5 s`, `2 min`, `1 h`; a bare number is seconds. `None` when it is none, or negative.
pub fn parse_duration(text: &str) -> Option<Duration> {
    duration_from_secs(amount(text, &TIME_UNITS)?)
}

/// Reads a number of bytes such as `65535`, `500 kB`, `512 MiB`; units are read whatever their case. `None` when it is none, or negative.
pub fn parse_bytes(text: &str) -> Option<u64> {
    bytes_from_f64(amount(text, &SIZE_UNITS)?)
}

pub(super) fn duration_from_secs(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

pub(super) fn bytes_from_f64(bytes: f64) -> Option<u64> {
    (0.0..=MAX_BYTES).contains(&bytes).then_some(bytes.round() as u64)
}

fn amount(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_with_and_without_units() {
        assert_eq!(parse_duration("250 ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration(" 1.5s "), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2"), Some(Duration::from_secs(2)));
        assert_eq!(parse_duration("2 min"), Some(Duration::from_secs(120)));
        assert_eq!(parse_bytes("512 MiB"), Some(512 << 20));
        assert_eq!(parse_bytes("1.5 kB"), Some(1500));
        assert_eq!(parse_bytes("65535"), Some(65535));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "s", "-1 s", "1 day", "1e3", "..", "1 s 2"] {
            assert_eq!(parse_duration(text), None, "{text}");
            assert_eq!(parse_bytes(text), None, "{text}");
        }
        assert_eq!(parse_duration(&"9".repeat(400)), None);
        assert_eq!(parse_bytes(&"9".repeat(400)), None);
    }
}
