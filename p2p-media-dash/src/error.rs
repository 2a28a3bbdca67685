//! What can be wrong with an MPD, and whose fault it is: the caller's (the base URL) or the publisher's (everything else).

use thiserror::Error;

/// Why an MPD was not read. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MpdError {
    /// The caller's fault: the URL that the MPD is said to come from is not absolute.
    #[error("the MPD's own URL {url:?} is not an absolute URL: {reason}")]
    BaseUrl {
        /// What was given.
        url: String,
        /// What the URL parser says.
        reason: String,
    },
    /// The origin sent something else than XML.
    #[error("not an MPD: XML must begin with `<`, but the text begins with {begins:?}")]
    NotXml {
        /// The first characters of what was sent.
        begins: String,
    },
    /// The origin sent XML of another kind.
    #[error("line {line}: not an MPD: the root element is <{root}>")]
    NotAnMpd {
        /// Where the root element stands.
        line: u32,
        /// Its name.
        root: String,
    },
    /// The publisher's XML is not well-formed, or was cut off.
    #[error("line {line}: malformed XML: {problem}")]
    Malformed {
        /// Where reading stopped.
        line: u32,
        /// What the XML parser says.
        problem: String,
    },
    /// The publisher's MPD is longer than any sane one.
    #[error("the MPD has {bytes} bytes; at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// [`crate::MAX_MPD_BYTES`].
        limit: usize,
    },
    /// The publisher's MPD contains more than any sane one.
    #[error("line {line}: more than {limit} {what} in one MPD")]
    TooMany {
        /// Where the limit was passed.
        line: u32,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The publisher's elements are nested deeper than those of any sane MPD.
    #[error("line {line}: elements are nested more than {limit} deep")]
    TooDeep {
        /// Where the limit was passed.
        line: u32,
        /// The limit.
        limit: usize,
    },
}

/// The first characters of a text, for an error message.
pub(crate) fn excerpt(text: &str) -> String {
    const EXCERPT_CHARS: usize = 60;
    text.chars().take(EXCERPT_CHARS).collect()
}
