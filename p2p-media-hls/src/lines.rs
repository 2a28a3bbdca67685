//! The lines of a playlist as byte ranges of its text, and what kind of line each is. Reading and rewriting share this view.

use std::ops::Range;

use memchr::memchr2;

use crate::error::{PlaylistError, excerpt};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const HEADER: &[u8] = b"#EXTM3U";

/// Iterates over the lines that are not blank. A line ends at `\n`, `\r\n` or a lone `\r`; white space around it does not belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'t> {
    text: &'t [u8],
    position: usize,
    number: u32,
}

/// One line that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counts from 1.
    pub(crate) number: u32,
    /// Where it stands in the text, without the white space around it.
    pub(crate) span: Range<usize>,
}

impl<'t> Lines<'t> {
    /// The lines after the `#EXTM3U` line. A byte-order mark and blank lines before that are passed over (RFC 8216 forbids the mark, but
    /// files with it are served, and players read them).
    pub(crate) fn after_header(text: &'t [u8]) -> Result<Self, PlaylistError> {
        let position = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut lines = Self { text, position, number: 0 };
        let first = lines.next().map(|line| &text[line.span]).unwrap_or_default();
        let header = first.strip_prefix(HEADER).is_some_and(|rest| rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b':')));
        if header {
            Ok(lines)
        } else {
            Err(PlaylistError::NotAPlaylist { begins: excerpt(&String::from_utf8_lossy(&first[..first.len().min(400)])) })
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while self.position < self.text.len() {
            let rest = &self.text[self.position..];
            let len = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let start = self.position;
            let end_mark = if rest[len..].starts_with(b"\r\n") { 2 } else { 1 };
            self.position += len + end_mark;
            self.number = self.number.saturating_add(1);
            let line = &rest[..len];
            let leading = line.len() - line.trim_ascii_start().len();
            let trimmed = line.trim_ascii();
            if !trimmed.is_empty() {
                let start = start + leading;
                return Some(Line { number: self.number, span: start..start + trimmed.len() });
            }
        }
        None
    }
}

/// What a line is (RFC 8216, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind<'t> {
    /// A tag: its name without `#EXT` (`INF`, `-X-KEY`), and what follows the colon.
    Tag {
        /// Name without `#EXT`.
        name: &'t str,
        /// All after the first colon, trimmed; empty without a colon.
        value: &'t str,
    },
    /// Not a tag but begins with `#`.
    Comment,
    /// Anything else.
    Uri(&'t str),
}

impl<'t> LineKind<'t> {
    /// Tells what a trimmed line is.
    pub(crate) fn of(line: &'t str) -> Self {
        if !line.starts_with('#') {
            return Self::Uri(line);
        }
        match quick_m3u8::custom_parsing::tag::parse(line) {
            Ok(slice) => {
                let name = slice.parsed.name();
                // The name is a prefix of the line after `#EXT`; the value follows its colon.
                let value = slice.parsed.value().and_then(|_| line.get("#EXT".len() + name.len() + 1..)).unwrap_or_default();
                Self::Tag { name: name.trim_end(), value: value.trim() }
            }
            Err(_) => Self::Comment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u32, &str)> {
        Lines::after_header(text.as_bytes()).unwrap().map(|line| (line.number, &text[line.span])).collect()
    }

    #[test]
    fn all_line_endings_and_white_space_around_lines_are_understood() {
        assert_eq!(lines("\u{feff}\r\n \n#EXTM3U \r\na\r b \n\n\t#EXT-X-A\t\r\n"), [(4, "a"), (5, "b"), (7, "#EXT-X-A")]);
        assert_eq!(lines("#EXTM3U"), []);
    }

    #[test]
    fn what_is_no_playlist_is_said_to_be_none() {
        for text in ["", "\n\n", "<html>", "#EXTM3U8", "a\n#EXTM3U", "#EXTINF:1"] {
            assert!(matches!(Lines::after_header(text.as_bytes()), Err(PlaylistError::NotAPlaylist { .. })), "{text:?}");
        }
    }

    #[test]
    fn kinds() {
        assert_eq!(LineKind::of("#EXTINF: 4.5,a:b"), LineKind::Tag { name: "INF", value: "4.5,a:b" });
        assert_eq!(LineKind::of("#EXT-X-ENDLIST"), LineKind::Tag { name: "-X-ENDLIST", value: "" });
        assert_eq!(LineKind::of("#EXT-X-GAP:"), LineKind::Tag { name: "-X-GAP", value: "" });
        assert_eq!(LineKind::of("# note"), LineKind::Comment);
        assert_eq!(LineKind::of("#EXT"), LineKind::Comment);
        assert_eq!(LineKind::of("a b#c.ts"), LineKind::Uri("a b#c.ts"));
    }
}
