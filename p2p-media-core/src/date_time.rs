//! Dates of manifests as seconds since 1970, and back.

/// Reads an ISO 8601 date and time: RFC 3339 and xs:dateTime, and what encoders write beyond them (`+0000`, `+01`, a space for the `T`, no
/// zone for UTC, no seconds). Seconds since 1970-01-01T00:00:00Z; `None` when it is none.
pub fn parse_date_time(text: &str) -> Option<f64> {
    let bytes = text.trim().as_bytes();
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
    };
    let is = |at: usize, expected: &[u8]| bytes.get(at).is_some_and(|byte| expected.contains(byte));
    let separated = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":");
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    let (second, end) = if is(16, b":") { (number(17, 19)?, 19) } else { (0, 16) };
    if !separated || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let after = std::str::from_utf8(bytes.get(end..)?).ok()?;
    let fraction_len = after.strip_prefix(['.', ',']).map_or(0, |rest| 1 + rest.bytes().take_while(u8::is_ascii_digit).count());
    let fraction = if fraction_len > 1 { fraction(&after[1..fraction_len]) } else { 0.0 };
    let zone = zone_seconds(after[fraction_len..].trim_start())?;
    let whole = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - zone;
    Some(whole as f64 + fraction)
}

/// RFC 3339 with milliseconds in UTC; `None` outside of the years 0 to 9999.
pub fn format_date_time(seconds_since_1970: f64) -> Option<String> {
    const YEAR_0: i64 = -62_167_219_200_000;
    const YEAR_10000: i64 = 253_402_300_800_000;
    let millis = (seconds_since_1970 * 1000.0).round() as i64;
    if !seconds_since_1970.is_finite() || !(YEAR_0..YEAR_10000).contains(&millis) {
        return None;
    }
    let (days, in_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = date_of_day(days);
    let (hour, minute, second, milli) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60, in_day % 1000);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
}

/// The value of the digits after a decimal point; what is finer than a nanosecond does not count.
fn fraction(digits: &str) -> f64 {
    let digits = &digits[..digits.len().min(9)];
    let value = digits.bytes().fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    f64::from(value) / 10_f64.powi(digits.len() as i32)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let digits: String = zone[1..].chars().filter(|&c| c != ':').collect();
    let number: i64 = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok()? } else { return None };
    match digits.len() {
        2 => Some(sign * number * 3_600),
        4 => Some(sign * (number / 100 * 3_600 + number % 100 * 60)),
        _ => None,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted from 1 March so that the leap day comes last.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// The inverse of [`days_since_1970`].
fn date_of_day(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_the_forms_that_encoders_write() {
        let expected = 1_705_053_600.25;
        for text in [
            "2024-01-12T10:00:00.250Z",
            "2024-01-12T10:00:00.250+0000",
            "2024-01-12 11:00:00.25+01:00",
            "2024-01-12T09:00:00.25-01",
            " 2024-01-12t10:00:00,25z ",
            "2024-01-12T10:00:00.25",
        ] {
            assert_eq!(parse_date_time(text), Some(expected), "{text:?}");
        }
        assert_eq!(parse_date_time("1970-01-01T00:00Z"), Some(0.0));
        assert_eq!(parse_date_time("2000-02-29T23:59:59.12500000000001Z"), Some(951_868_799.125));
        for text in [
            "",
            "T",
            "2024-01-12T10:00:1e1Z",
            "foo",
            "2024-01-12",
            "2024-13-12T10:00:00Z",
            "2024-01-12T10:00:00X",
            "2024-01-12T10:00:00+1é",
            "20é4-01-12T10:00:00Z",
        ] {
            assert_eq!(parse_date_time(text), None, "{text:?}");
        }
    }

    #[test]
    fn there_and_back() {
        for text in ["1970-01-01T00:00:00.000Z", "2000-02-29T23:59:59.999Z", "1969-12-31T23:59:59.500Z", "2100-03-01T00:00:00.001Z"] {
            assert_eq!(parse_date_time(text).and_then(format_date_time).as_deref(), Some(text));
        }
        assert_eq!(format_date_time(f64::NAN), None);
        assert_eq!(format_date_time(1e300), None);
    }
}
