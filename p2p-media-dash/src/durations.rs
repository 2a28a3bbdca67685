//! xs:duration (XML Schema part 2) in the forms that MPDs have.

const SECONDS_PER_DAY: f64 = 86_400.0;

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

/// Digits with a fraction, without sign or exponent.
fn decimal(text: &str) -> Option<f64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let _ = parse_duration(&text);
        }
    }
}
