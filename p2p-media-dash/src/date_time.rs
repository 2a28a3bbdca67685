//! xs:dateTime and xs:duration (XML Schema part 2) in the forms that MPDs have.

const SECONDS_PER_DAY: f64 = 86_400.0;

/// Reads an xs:dateTime, also as the body of a time server's answer (`urn:mpeg:dash:utc:http-xsdate:2014`): seconds since
/// 1970-01-01T00:00:00Z. Without a zone it is UTC, as ISO/IEC 23009-1 wants; a space for the `T` and missing seconds are accepted.
pub fn parse_date_time(text: &str) -> Option<f64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| whole(part, 4));
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (time, zone) = time.split_at(time.find(['Z', 'z', '+', '-']).unwrap_or(time.len()));
    let mut time = time.trim_end().splitn(3, ':');
    let (hour, minute) = (whole(time.next()?, 2)?, whole(time.next()?, 2)?);
    let second = time.next().map_or(Some(0.0), decimal)?;
    if hour > 24 || minute > 59 || second >= 61.0 {
        return None;
    }
    let whole_seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 - zone_seconds(zone)?;
    Some(whole_seconds as f64 + second)
}

/// Reads an xs:duration that is not negative: `PT1H2M3.4S`, `P1DT12H`. Years count as 365 days and months as 30, as players do. Seconds.
pub(crate) fn parse_duration(text: &str) -> Option<f64> {
    let text = text.trim();
    let (days, time) = text.strip_prefix('P')?.split_once('T').map_or((&text[1..], ""), |(days, time)| (days, time));
    let seconds =
        sum(days, &[('Y', 365.0 * SECONDS_PER_DAY), ('M', 30.0 * SECONDS_PER_DAY), ('W', 7.0 * SECONDS_PER_DAY), ('D', SECONDS_PER_DAY)])?
            + sum(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    (text.len() > 2 && seconds.is_finite()).then_some(seconds)
}

/// Numbers with designators, each at most once and in order.
fn sum(mut text: &str, designators: &[(char, f64)]) -> Option<f64> {
    let mut seconds = 0.0;
    for &(designator, factor) in designators {
        let len = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        if let Some(rest) = text[len..].strip_prefix(designator) {
            seconds += decimal(&text[..len])? * factor;
            text = rest;
        }
    }
    text.is_empty().then_some(seconds)
}

/// Digits alone, at most so many.
fn whole(text: &str, max_digits: usize) -> Option<i64> {
    let is_number = (1..=max_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Digits with a fraction, without sign or exponent.
fn decimal(text: &str) -> Option<f64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number.then(|| text.parse().ok())?
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, minutes) = match zone[1..].split_once(':') {
        Some(parts) => parts,
        None if zone.len() == 5 && zone.is_ascii() => zone[1..].split_at(2),
        None => (&zone[1..], "0"),
    };
    Some(sign * (whole(hours, 2)? * 3_600 + whole(minutes, 2)? * 60))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, from year 1 on.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const DAYS_BEFORE_1970: i64 = 719_162;
    let past = year - 1;
    let leap_days_before = past / 4 - past / 100 + past / 400;
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let leap_day = if is_leap_year && month > 2 { 1 } else { 0 };
    past * 365 + leap_days_before + DAYS_BEFORE_MONTH[(month - 1) as usize] + leap_day + day - 1 - DAYS_BEFORE_1970
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_with_and_without_zones_and_fractions() {
        let expected = Some(1_705_053_600.25);
        for text in [
            "2024-01-12T10:00:00.25Z",
            " 2024-01-12T10:00:00.250000 ",
            "2024-01-12T11:00:00.25+01:00",
            "2024-01-12t04:30:00.25-0530",
            "2024-01-12 12:00:00.25+02",
        ] {
            assert_eq!(parse_date_time(text), expected, "{text:?}");
        }
        assert_eq!(parse_date_time("1970-01-01T00:00Z"), Some(0.0));
        assert_eq!(parse_date_time("2000-02-29T23:59:59Z"), Some(951_868_799.0));
        assert_eq!(parse_date_time("2100-03-01T00:00:00Z"), Some(4_107_542_400.0));
        assert_eq!(parse_date_time("1969-12-31T23:59:59.5Z"), Some(-0.5));
        for text in [
            "",
            "T",
            "2024-01-12",
            "2024-13-12T10:00:00Z",
            "2024-01-12T10:00:00X",
            "2024-01-12T10:00:00+1é",
            "20é4-01-12T10:00Z",
            "99999-01-01T00:00:00Z",
            "2024-01-12T10:00:1e1Z",
        ] {
            assert_eq!(parse_date_time(text), None, "{text:?}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("PT1H2M3.5S", Some(3_723.5)),
            ("P1DT12H", Some(129_600.0)),
            ("P1Y2M3D", Some((365.0 + 60.0 + 3.0) * 86_400.0)),
            (" PT0S ", Some(0.0)),
            ("PT0.040S", Some(0.04)),
            ("PT5.S", Some(5.0)),
            ("PT90M", Some(5_400.0)),
            ("P", None),
            ("PT", None),
            ("-PT1S", None),
            ("PT1S2M", None),
            ("PT.S", None),
            ("10", None),
            ("PT1.2.3S", None),
            ("PTS", None),
            ("", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
        assert_eq!(parse_duration(&format!("PT{}S", "9".repeat(400))), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[-+:.TPZYMDHS0-9é ]{0,40}") {
            let _ = parse_date_time(&text);
            let _ = parse_duration(&text);
        }
    }
}
