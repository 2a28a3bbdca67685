//! The Range header of a request (RFC 9110, section 14.2), as far as players use it: one range of bytes.

use axum::http::HeaderMap;
use axum::http::header::RANGE;
use p2p_media_core::media::ByteRange;

/// One range as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// `bytes=FIRST-LAST`; the last not before the first.
    Between(ByteRange),
    /// `bytes=FIRST-`.
    From(u64),
    /// `bytes=-LENGTH`.
    Last(u64),
}

impl RequestedRange {
    /// The range of a request. Absent when there is none that must be honoured: several ranges, other units and syntax errors may be
    /// ignored.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let range = headers.get(RANGE)?.to_str().ok()?.trim();
        let (unit, range) = range.split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        match (unit.trim().eq_ignore_ascii_case("bytes"), first.trim(), last.trim()) {
            (false, ..) => None,
            (_, "", length) => Some(Self::Last(number(length)?)),
            (_, first, "") => Some(Self::From(number(first)?)),
            (_, first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(ByteRange { first, last }))
            }
        }
    }

    /// The bytes meant of a resource of this size; `None` when it has none of them (416).
    pub(super) fn within(self, size: u64) -> Option<ByteRange> {
        let end = size.checked_sub(1)?;
        let (first, last) = match self {
            Self::Between(range) => (range.first, range.last.min(end)),
            Self::From(first) => (first, end),
            Self::Last(0) => return None,
            Self::Last(length) => (size.saturating_sub(length), end),
        };
        (first <= last).then_some(ByteRange { first, last })
    }
}

/// Digits alone: `str::parse` would take a sign.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(range: &'static str) -> Option<RequestedRange> {
        RequestedRange::of(&HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))]))
    }

    #[test]
    fn single_ranges_are_read() {
        assert_eq!(of("bytes=2-5"), Some(RequestedRange::Between(ByteRange { first: 2, last: 5 })));
        assert_eq!(of("Bytes = 2 - "), Some(RequestedRange::From(2)));
        assert_eq!(of("bytes=-5"), Some(RequestedRange::Last(5)));
        for ignored in ["bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes=", "bytes=-", "bytes=+1-2", "bytes=0-99999999999999999999"] {
            assert_eq!(of(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn ranges_end_where_the_resource_ends() {
        let within = |range: RequestedRange| range.within(10).map(|range| (range.first, range.last));
        assert_eq!(within(RequestedRange::Between(ByteRange { first: 8, last: 99 })), Some((8, 9)));
        assert_eq!(within(RequestedRange::From(9)), Some((9, 9)));
        assert_eq!(within(RequestedRange::From(10)), None);
        assert_eq!(within(RequestedRange::Last(3)), Some((7, 9)));
        assert_eq!(within(RequestedRange::Last(30)), Some((0, 9)));
        assert_eq!(within(RequestedRange::Last(0)), None);
        assert_eq!(RequestedRange::From(0).within(0), None);
    }
}
