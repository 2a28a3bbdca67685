//! URL templates: `$Number%05d$`, `$Time$` and the like (ISO/IEC 23009-1, section 5.3.9.4.4).

use std::fmt::Write as _;
use std::sync::Arc;

/// Digits that a width may ask for; more than any number has is padding that no real server wants.
const MAX_WIDTH: usize = 64;

/// Identifiers of one template; what follows stays as it is written.
const MAX_PIECES: usize = 64;

/// Replaces `$RepresentationID$` and `$Bandwidth$`. Everything else stays, so that the result is again a template: a `$` within the id is written
/// `$$`. An identifier without a value stays as well.
pub(crate) fn fill_identity(template: &str, representation_id: Option<&str>, bandwidth: Option<u64>) -> String {
    let mut filled = String::with_capacity(template.len() + 32);
    for piece in pieces(template) {
        match (piece.identifier, representation_id, bandwidth) {
            (Some(Identifier::RepresentationId), Some(id), _) => filled.push_str(&id.replace('$', "$$")),
            (Some(Identifier::Bandwidth), _, Some(bandwidth)) => piece.format.write(bandwidth, &mut filled),
            _ => filled.push_str(piece.written),
        }
    }
    filled
}

/// A template of media segments that was cut into pieces once.
#[derive(Clone, Debug)]
pub(crate) struct UrlTemplate<'t> {
    pieces: Vec<Piece<'t>>,
}

impl<'t> UrlTemplate<'t> {
    pub(crate) fn new(template: &'t str) -> Self {
        Self { pieces: pieces(template).collect() }
    }

    /// The URL of a segment. Identifiers without a meaning here stay as they are written.
    pub(crate) fn url(&self, number: u64, time: u64) -> Arc<str> {
        let mut url = String::with_capacity(self.pieces.iter().map(|piece| piece.written.len() + 8).sum());
        for piece in &self.pieces {
            match piece.identifier {
                Some(Identifier::Number) => piece.format.write(number, &mut url),
                Some(Identifier::Time) => piece.format.write(time, &mut url),
                Some(Identifier::Dollar) => url.push('$'),
                Some(Identifier::RepresentationId | Identifier::Bandwidth) | None => url.push_str(piece.written),
            }
        }
        Arc::from(url)
    }

    /// The number and the time that stand in a URL of this template; `None` for a URL that is not one of it. Digits are taken as far as they
    /// go, so that a template with a digit right behind an identifier knows none of its URLs.
    pub(crate) fn values_in(&self, url: &str) -> Option<TemplateValues> {
        let mut values = TemplateValues::default();
        let mut rest = url;
        for piece in &self.pieces {
            let (target, format) = match piece.identifier {
                Some(Identifier::Number) => (&mut values.number, piece.format),
                Some(Identifier::Time) => (&mut values.time, piece.format),
                Some(Identifier::Dollar) => {
                    rest = rest.strip_prefix('$')?;
                    continue;
                }
                Some(Identifier::RepresentationId | Identifier::Bandwidth) | None => {
                    rest = rest.strip_prefix(piece.written)?;
                    continue;
                }
            };
            let (value, after) = format.read_value(rest)?;
            if target.replace(value).is_some_and(|before| before != value) {
                return None;
            }
            rest = after;
        }
        rest.is_empty().then_some(values)
    }
}

/// What stands in a URL in place of `$Number$` and `$Time$`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TemplateValues {
    pub(crate) number: Option<u64>,
    pub(crate) time: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Piece<'t> {
    written: &'t str,
    identifier: Option<Identifier>,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identifier {
    RepresentationId,
    Bandwidth,
    Number,
    Time,
    /// `$$`
    Dollar,
}

/// A printf format: `%0[width]d`, and the other radixes that players accept.
#[derive(Clone, Copy, Debug)]
struct Format {
    width: usize,
    radix: Radix,
}

#[derive(Clone, Copy, Debug)]
enum Radix {
    Decimal,
    Octal,
    LowerHex,
    UpperHex,
}

impl Format {
    const PLAIN: Self = Self { width: 1, radix: Radix::Decimal };

    fn read(tag: &str) -> Option<Self> {
        let tag = tag.strip_prefix('%')?;
        let radix = match tag.as_bytes().last()? {
            b'd' | b'i' | b'u' => Radix::Decimal,
            b'o' => Radix::Octal,
            b'x' => Radix::LowerHex,
            b'X' => Radix::UpperHex,
            _ => return None,
        };
        let digits = &tag[..tag.len() - 1];
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let width = digits.parse().map_or(if digits.is_empty() { 1 } else { MAX_WIDTH }, |width: usize| width.min(MAX_WIDTH));
        Some(Self { width, radix })
    }

    fn write(self, value: u64, out: &mut String) {
        let width = self.width;
        // Writing to a String never fails.
        let _ = match self.radix {
            Radix::Decimal => write!(out, "{value:0width$}"),
            Radix::Octal => write!(out, "{value:0width$o}"),
            Radix::LowerHex => write!(out, "{value:0width$x}"),
            Radix::UpperHex => write!(out, "{value:0width$X}"),
        };
    }

    /// The value at the beginning of a text, and what follows it.
    fn read_value(self, text: &str) -> Option<(u64, &str)> {
        let base = match self.radix {
            Radix::Decimal => 10,
            Radix::Octal => 8,
            Radix::LowerHex | Radix::UpperHex => 16,
        };
        let end = text.find(|c: char| !c.is_digit(base)).unwrap_or(text.len());
        let (digits, after) = text.split_at(end);
        (digits.len() >= self.width).then_some((u64::from_str_radix(digits, base).ok()?, after))
    }
}

/// Cuts a template at its identifiers. A `$` that begins none is text.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    let mut found = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(begin) = rest[from..].find('$').map(|at| from + at).filter(|_| found < MAX_PIECES) {
            let Some(end) = rest[begin + 1..].find('$').map(|at| begin + 1 + at) else { break };
            let Some((identifier, format)) = identifier(&rest[begin + 1..end]) else {
                from = end;
                continue;
            };
            if begin > 0 {
                return Some(text(&mut rest, begin));
            }
            found += 1;
            let written = &rest[..=end];
            rest = &rest[end + 1..];
            return Some(Piece { written, identifier: Some(identifier), format });
        }
        let all = rest.len();
        Some(text(&mut rest, all))
    })
}

fn text<'t>(rest: &mut &'t str, len: usize) -> Piece<'t> {
    let (written, after) = rest.split_at(len);
    *rest = after;
    Piece { written, identifier: None, format: Format::PLAIN }
}

fn identifier(between: &str) -> Option<(Identifier, Format)> {
    let (name, tag) = between.split_at(between.find('%').unwrap_or(between.len()));
    let identifier = match name {
        "" if tag.is_empty() => Identifier::Dollar,
        "RepresentationID" => Identifier::RepresentationId,
        "Bandwidth" => Identifier::Bandwidth,
        "Number" => Identifier::Number,
        "Time" => Identifier::Time,
        _ => return None,
    };
    let format = if tag.is_empty() { Format::PLAIN } else { Format::read(tag)? };
    Some((identifier, format))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(template: &str, number: u64, time: u64) -> String {
        UrlTemplate::new(template).url(number, time).to_string()
    }

    #[test]
    fn numbers_and_times_are_put_in_with_their_widths() {
        assert_eq!(url("a/$Number$.m4s", 7, 0), "a/7.m4s");
        assert_eq!(url("$Number%05d$-$Time$", 7, 90_000), "00007-90000");
        assert_eq!(url("$Number%02d$", 12_345, 0), "12345");
        assert_eq!(url("$Number%d$,$Number%5d$", 7, 0), "7,00007");
        assert_eq!(url("$Time%08x$ $Time%X$ $Time%o$", 0, 255), "000000ff FF 377");
    }

    #[test]
    fn dollars_that_name_nothing_stay() {
        assert_eq!(url("a$$b", 1, 2), "a$b");
        assert_eq!(url("$Foo$Number$", 1, 2), "$Foo1");
        assert_eq!(url("$Number", 1, 2), "$Number");
        assert_eq!(url("$Number%q$", 1, 2), "$Number%q$");
        assert_eq!(url("$RepresentationID$/$Number$", 1, 2), "$RepresentationID$/1");
        assert_eq!(url("$", 1, 2), "$");
    }

    #[test]
    fn a_huge_width_is_cut() {
        assert_eq!(url("$Number%01000000000d$", 7, 0).len(), MAX_WIDTH);
        assert_eq!(url("$Number%099999999999999999999999d$", 7, 0).len(), MAX_WIDTH);
    }

    #[test]
    fn identity_is_filled_in_and_leaves_a_template() {
        assert_eq!(fill_identity("$RepresentationID$/$Bandwidth%04d$/$Number%05d$$$", Some("v1"), Some(9)), "v1/0009/$Number%05d$$$");
        assert_eq!(fill_identity("$RepresentationID$", None, None), "$RepresentationID$");
        let odd = fill_identity("$RepresentationID$-$Number$", Some("$Time$"), None);
        assert_eq!(url(&odd, 3, 4), "$Time$-3");
    }

    #[test]
    fn values_are_found_in_urls() {
        let values = |template: &str, url: &str| UrlTemplate::new(template).values_in(url).map(|values| (values.number, values.time));
        assert_eq!(values("a/$Number%03d$.m4s", "a/007.m4s"), Some((Some(7), None)));
        assert_eq!(values("$Number$-$Time%x$$$", "7-ff$"), Some((Some(7), Some(255))));
        assert_eq!(values("$Number$/$Number$", "7/7"), Some((Some(7), None)));
        assert_eq!(values("all.mp4", "all.mp4"), Some((None, None)));
        for (template, url) in [
            ("a/$Number%03d$.m4s", "a/07.m4s"),
            ("a/$Number$.m4s", "a/init.m4s"),
            ("a/$Number$.m4s", "a/7.m4sx"),
            ("$Number$/$Number$", "7/8"),
            ("$Number$", "99999999999999999999"),
            ("$Number$", ""),
        ] {
            assert_eq!(values(template, url), None, "{template} {url}");
        }
    }

    proptest! {
        #[test]
        fn values_come_back_from_urls(number: u64, time: u64, text in "[a-z/]{1,20}") {
            let template = format!("{text}$Number%05d$-{text}$Time$.m4s");
            let expected = TemplateValues { number: Some(number), time: Some(time) };
            prop_assert_eq!(UrlTemplate::new(&template).values_in(&url(&template, number, time)), Some(expected));
        }

        #[test]
        fn any_text_is_a_template(text in "[$%0-9NumberTimdxé ]{0,200}", number: u64, time: u64) {
            let expanded = url(&text, number, time);
            prop_assert!(expanded.len() <= text.len() + MAX_PIECES * MAX_WIDTH);
            prop_assert!(pieces(&text).map(|piece| piece.written).collect::<String>() == text);
        }
    }
}
