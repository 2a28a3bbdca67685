//! What can be wrong with a playlist, and whose fault it is: the caller's (the base URL) or the publisher's (everything else).

use thiserror::Error;

/// Why a playlist was not read. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaylistError {
    /// The caller's fault: the URL that the playlist is said to come from is not absolute.
    #[error("the playlist's own URL {url:?} is not an absolute URL: {reason}")]
    BaseUrl {
        /// What was given.
        url: String,
        /// What the URL parser says.
        reason: String,
    },
    /// The origin sent something else than a playlist.
    #[error("not an HLS playlist: it must begin with #EXTM3U, but begins with {begins:?}")]
    NotAPlaylist {
        /// The first characters of what was sent.
        begins: String,
    },
    /// `#EXTM3U` is there, but nothing that says which kind of playlist it is.
    #[error("an HLS playlist without variants, segments or a target duration: neither a multivariant nor a media playlist")]
    NeitherKind,
    /// The publisher's playlist is longer than any sane one.
    #[error("the playlist has {bytes} bytes; at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// [`crate::MAX_PLAYLIST_BYTES`].
        limit: usize,
    },
    /// The publisher's playlist lists more than any sane one.
    #[error("line {line}: more than {limit} {what} in one playlist")]
    TooMany {
        /// Where the limit was passed.
        line: u32,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The publisher wrote a tag that cannot be understood and cannot be left out without harm.
    #[error("line {line}: malformed {tag}: {problem}")]
    Tag {
        /// Where it stands.
        line: u32,
        /// Its name.
        tag: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The publisher wrote a URI that cannot be resolved.
    #[error("line {line}: {uri:?} is not a URI: {reason}")]
    Uri {
        /// Where it stands.
        line: u32,
        /// The URI as written, its first characters.
        uri: String,
        /// What the URL parser says.
        reason: String,
    },
    /// The publisher refers to a variable that no EXT-X-DEFINE before that line defines.
    #[error("line {line}: variable {name:?} is not defined")]
    UndefinedVariable {
        /// Where it stands.
        line: u32,
        /// The variable.
        name: String,
    },
    /// The publisher defines a variable twice (RFC 8216bis, section 4.4.2.3, forbids it).
    #[error("line {line}: variable {name:?} is defined twice")]
    VariableDefinedTwice {
        /// Where the second definition stands.
        line: u32,
        /// The variable.
        name: String,
    },
}

/// The first characters of a text, for an error message.
pub(crate) fn excerpt(text: &str) -> String {
    const EXCERPT_CHARS: usize = 60;
    text.chars().take(EXCERPT_CHARS).collect()
}
