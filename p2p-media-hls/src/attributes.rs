//! Attribute lists (`A=1,B="x"`), read tolerantly: white space, missing quotes and stray commas cost no other attribute.
//!
//! `quick-m3u8` has a reader of its own, but that one gives up the whole list at the first flaw and does not tell where a value stands,
//! which rewriting needs.

use std::ops::Range;

use memchr::{memchr, memchr2};

/// One attribute as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'t> {
    /// Its name.
    pub(crate) name: &'t str,
    /// Its value without quotes; variables are not replaced yet.
    pub(crate) value: &'t str,
    /// True when the value stood in quotes: only then, or in a hexadecimal value, may variables occur.
    pub(crate) quoted: bool,
    /// Where the value stands in the list, without quotes.
    pub(crate) span: Range<usize>,
}

/// Iterates over the attributes of a list.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'t> {
    list: &'t str,
    position: usize,
}

impl<'t> Attributes<'t> {
    /// The attributes of `list`, the text after a tag's colon.
    pub(crate) const fn of(list: &'t str) -> Self {
        Self { list, position: 0 }
    }

    /// Reads the value that begins at `start`, and moves on to after the comma that follows it.
    fn value_at(&mut self, start: usize) -> (Range<usize>, bool) {
        let bytes = self.list.as_bytes();
        if bytes.get(start) == Some(&b'"')
            && let Some(len) = memchr(b'"', &bytes[start + 1..])
        {
            let span = start + 1..start + 1 + len;
            let after = span.end + 1;
            self.position = memchr(b',', &bytes[after..]).map_or(bytes.len(), |comma| after + comma + 1);
            return (span, true);
        }
        let end = memchr(b',', &bytes[start..]).map_or(bytes.len(), |comma| start + comma);
        self.position = end + 1;
        (start..start + bytes[start..end].trim_ascii_end().len(), false)
    }
}

impl<'t> Iterator for Attributes<'t> {
    type Item = Attribute<'t>;

    fn next(&mut self) -> Option<Attribute<'t>> {
        let bytes = self.list.as_bytes();
        while self.position < bytes.len() {
            let start = self.position;
            let mark = start + memchr2(b'=', b',', &bytes[start..])?;
            if bytes[mark] == b',' {
                self.position = mark + 1;
                continue;
            }
            let after = &bytes[mark + 1..];
            let value_start = mark + 1 + (after.len() - after.trim_ascii_start().len());
            let (span, quoted) = self.value_at(value_start);
            // All cuts are beside ASCII characters, so `get` never fails.
            let name = self.list.get(start..mark).unwrap_or_default().trim();
            let value = self.list.get(span.clone()).unwrap_or_default();
            return Some(Attribute { name, value, quoted, span });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Vec<(&str, &str, bool)> {
        Attributes::of(list)
            .map(|attribute| {
                assert_eq!(&list[attribute.span.clone()], attribute.value);
                (attribute.name, attribute.value, attribute.quoted)
            })
            .collect()
    }

    #[test]
    fn well_formed_lists() {
        assert_eq!(read(r#"A=1,B="x,y=z",C=0x1F"#), [("A", "1", false), ("B", "x,y=z", true), ("C", "0x1F", false)]);
        assert_eq!(read(r#"U="",N=NONE"#), [("U", "", true), ("N", "NONE", false)]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn flawed_lists_lose_only_what_is_flawed() {
        assert_eq!(read(r#" A = 1 , B = "x" ,, ,C=,D"#), [("A", "1", false), ("B", "x", true), ("C", "", false)]);
        assert_eq!(read(r#"A="open,B=2"#), [("A", "\"open", false), ("B", "2", false)]);
        assert_eq!(read(r#"A="x"junk,B=2"#), [("A", "x", true), ("B", "2", false)]);
        assert_eq!(read("novalue,ä=ö"), [("ä", "ö", false)]);
    }
}
