//! Absolute URLs as the readers of manifests need them (WHATWG URL standard): parsed and joined by the `url` crate or, with the feature `browser`
//! in a web page, by the browser itself.

#[cfg(all(feature = "browser", target_arch = "wasm32"))]
mod browser;
#[cfg(all(feature = "browser", target_arch = "wasm32"))]
use browser::Parsed;

#[cfg(not(all(feature = "browser", target_arch = "wasm32")))]
mod library;
#[cfg(not(all(feature = "browser", target_arch = "wasm32")))]
use library::Parsed;

use std::fmt;

/// An absolute URL, normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct AbsoluteUrl {
    parsed: Parsed,
    /// Where in the text its path begins and ends.
    path: (usize, usize),
}

/// Why a text is no URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError(String);

impl AbsoluteUrl {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Parsed::parse(text).map(Self::new)
    }

    /// What `reference` means in a document at this URL.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        self.parsed.join(reference).map(Self::new)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        self.parsed.as_str()
    }

    /// The text up to and with the last slash of its path: what most references are appended to. `None` when nothing is relative to this URL.
    pub fn directory(&self) -> Option<&str> {
        let (start, end) = self.path;
        let slash = self.as_str()[start..end].rfind('/').filter(|_| self.has_hierarchy())?;
        Some(&self.as_str()[..=start + slash])
    }

    /// The text before its path: scheme and host, without a slash at the end.
    pub fn before_path(&self) -> &str {
        &self.as_str()[..self.path.0]
    }

    /// Its query, without the question mark.
    pub fn query(&self) -> Option<&str> {
        let query = self.as_str()[self.path.1..].strip_prefix('?')?;
        Some(query.split_once('#').map_or(query, |(query, _fragment)| query))
    }

    /// The first value of a parameter of its query, decoded.
    pub fn query_parameter(&self, name: &str) -> Option<String> {
        self.parsed.query_parameter(name)
    }

    /// True when it names a host: not for `data:` and its like.
    pub fn has_authority(&self) -> bool {
        after_scheme(self.as_str()).starts_with("//")
    }

    /// True when its path is more than a text.
    fn has_hierarchy(&self) -> bool {
        after_scheme(self.as_str()).starts_with('/')
    }

    fn new(parsed: Parsed) -> Self {
        let text = parsed.as_str();
        let rest = after_scheme(text);
        let rest_start = text.len() - rest.len();
        let start = rest_start + rest.strip_prefix("//").map_or(0, |host| 2 + host.find(['/', '?', '#']).unwrap_or(host.len()));
        let end = text[start..].find(['?', '#']).map_or(text.len(), |length| start + length);
        Self { path: (start, end), parsed }
    }
}

fn after_scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(_scheme, rest)| rest)
}

impl From<AbsoluteUrl> for String {
    fn from(url: AbsoluteUrl) -> Self {
        url.as_str().to_owned()
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::{Position, Url};

    use super::*;

    fn check(text: &str) {
        let (ours, theirs) = (AbsoluteUrl::parse(text), Url::parse(text));
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}");
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return };
        assert_eq!(ours.as_str(), theirs.as_str());
        assert_eq!(ours.query(), theirs.query(), "{text}");
        assert_eq!(ours.has_authority(), theirs.has_authority(), "{text}");
        if theirs.has_authority() {
            assert_eq!(ours.before_path(), &theirs[..Position::BeforePath], "{text}");
        }
        let slash = theirs.path().rfind('/').filter(|_| !theirs.cannot_be_a_base());
        assert_eq!(ours.directory().is_some(), slash.is_some(), "{text}");
        if let (Some(directory), true) = (ours.directory(), theirs.has_authority()) {
            assert_eq!(format!("{directory}x"), theirs.join("x").unwrap().as_str(), "{text}");
        }
    }

    #[test]
    fn parts_of_urls_of_all_forms() {
        for text in [
            "https://a.example",
            "https://user@a.example:8080/b/c?d/e#f/g?h",
            "https://a.example?b/c",
            "https://a.example/#/",
            "http://[::1]:81/a/",
            "test:/a/b",
            "test://host/x/y",
            "test://host",
            "data:text/plain,a/b?c",
            "file:///a/b.m3u8",
            "blob:https://a.example/b",
            "test:/.//a/b",
            "a/b",
            "",
        ] {
            check(text);
        }
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        let url = AbsoluteUrl::parse("https://a.example/?a=1&b=x%20y+z&a=2").unwrap();
        assert_eq!((url.query_parameter("a").as_deref(), url.query_parameter("b").as_deref()), (Some("1"), Some("x y z")));
        assert_eq!(url.query_parameter("c"), None);
    }

    proptest! {
        #[test]
        fn parts_are_those_that_the_url_crate_finds(text in "(https?|test|data):[/]{0,3}[a-z0-9.:@?#/ %é]{0,30}") {
            check(&text);
        }
    }
}
