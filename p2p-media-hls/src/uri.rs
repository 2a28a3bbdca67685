//! Resolving the URIs of a playlist against its own URL (RFC 3986 as the WHATWG URL standard reads it).
//!
//! A playlist of 20,000 segments must be read in milliseconds, so references that need no normalising are joined as text; everything else
//! goes through the parser of URLs, and a property test holds that both agree.

use std::sync::Arc;

use p2p_media_url::AbsoluteUrl;

use crate::error::{PlaylistError, excerpt};

/// Resolves references against one base.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    base: AbsoluteUrl,
    /// The base up to and with the last slash of its path; absent when references cannot be appended as text.
    directory: Option<String>,
    /// Scheme and host, without a slash at the end, of the last absolute reference that needed no normalising.
    origin: String,
    joined: String,
}

impl Resolver {
    /// A resolver for the references of the playlist at `base`.
    pub(crate) fn new(base: &str) -> Result<Self, PlaylistError> {
        let bad = |reason: String| PlaylistError::BaseUrl { url: excerpt(base), reason };
        let base = AbsoluteUrl::parse(base).map_err(|error| bad(error.to_string()))?;
        let directory = base.directory().map(str::to_owned);
        Ok(Self { base, directory, origin: String::new(), joined: String::new() })
    }

    /// The values of a parameter of the base URL's query, percent-decoded.
    pub(crate) fn query_parameter(&self, name: &str) -> Option<String> {
        self.base.query_parameter(name)
    }

    /// The absolute URL of `reference`, which stands at `line`.
    pub(crate) fn resolve(&mut self, reference: &str, line: u32) -> Result<Arc<str>, PlaylistError> {
        if let Some(directory) = &self.directory
            && is_plain_path(reference)
        {
            self.joined.clear();
            self.joined.push_str(directory);
            self.joined.push_str(reference);
            return Ok(Arc::from(self.joined.as_str()));
        }
        if !self.origin.is_empty()
            && let Some(path) = reference.strip_prefix(self.origin.as_str()).and_then(|rest| rest.strip_prefix('/'))
            && is_plain_path(path)
        {
            return Ok(Arc::from(reference));
        }
        let absolute =
            self.base.join(reference).map_err(|error| PlaylistError::Uri { line, uri: excerpt(reference), reason: error.to_string() })?;
        if absolute.as_str() == reference && absolute.has_authority() {
            self.origin.clear();
            self.origin.push_str(absolute.before_path());
        }
        Ok(Arc::from(absolute.as_str()))
    }
}

/// True for a relative path, with or without a query, that the URL standard leaves as it is: no scheme, no dot segments, nothing to
/// encode.
fn is_plain_path(reference: &str) -> bool {
    let bytes = reference.as_bytes();
    let mut previous = b'/';
    for (index, &byte) in bytes.iter().enumerate() {
        let starts_component = previous == b'/';
        match byte {
            b'?' if index > 0 => return bytes[index..].iter().all(|&byte| PLAIN[usize::from(byte)] & QUERY != 0),
            b'.' if starts_component => return false,
            b'/' if index == 0 => return false,
            _ if PLAIN[usize::from(byte)] & PATH == 0 => return false,
            _ => previous = byte,
        }
    }
    !bytes.is_empty()
}

const PATH: u8 = 1;
const QUERY: u8 = 2;

/// Which bytes are never encoded and mean nothing in a path (bit 0) or a query (bit 1).
static PLAIN: [u8; 256] = plain_bytes();

const fn plain_bytes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_usize;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'!'
            | b'$'
            | b'&'
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b'@'
            | b'/' => PATH | QUERY,
            b'%' | b':' | b'?' => QUERY,
            _ => 0,
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(base: &str, reference: &str) {
        let mut resolver = Resolver::new(base).unwrap();
        let expected = AbsoluteUrl::parse(base).unwrap().join(reference).map(String::from).ok();
        for _twice_for_the_remembered_origin in 0..2 {
            assert_eq!(resolver.resolve(reference, 1).ok().as_deref(), expected.as_deref(), "{base} + {reference}");
        }
    }

    #[test]
    fn references_of_all_forms() {
        for base in ["https://a.example/dir/list.m3u8?x=/y", "http://a.example", "test:/dir/video", "file:///a/b.m3u8", "test://host/x"] {
            for reference in [
                "s.ts",
                "a/b.ts?t=1%202",
                "../up.ts",
                "/root.ts",
                "//h.example/x",
                "https://a.example/b.ts",
                "https://A.example/b.ts",
                "a b.ts",
                ".",
                "a/..",
                "?q",
                "",
                "skd://k",
                "data:text/plain;base64,AAAA",
                "x:y",
                "https://a.example/./b",
            ] {
                check(base, reference);
            }
        }
    }

    #[test]
    fn bad_urls_say_whose_fault_they_are() {
        assert!(matches!(Resolver::new("list.m3u8"), Err(PlaylistError::BaseUrl { .. })));
        let mut resolver = Resolver::new("https://a.example/").unwrap();
        assert!(matches!(resolver.resolve("https://[bad/x", 7), Err(PlaylistError::Uri { line: 7, .. })));
    }

    #[test]
    fn query_parameters_are_decoded() {
        let resolver = Resolver::new("https://a.example/?a=1&b=x%20y").unwrap();
        assert_eq!(resolver.query_parameter("b").as_deref(), Some("x y"));
        assert_eq!(resolver.query_parameter("c"), None);
    }

    proptest! {
        #[test]
        fn joining_as_text_gives_what_the_parser_of_urls_gives(base in "https?://[a-z]{1,5}(:[0-9]{1,4})?(/[a-zA-Z0-9._%-]{0,6}){0,3}(\\?[a-z/=]{0,6})?", reference in "[ -~]{0,24}") {
            check(&base, &reference);
            check(&base, &format!("{base}/{reference}"));
        }
    }
}
