//! Walks through the lines of a playlist with what every reader of lines needs: variables, the base URL, the line number for errors.

use std::borrow::Cow;
use std::sync::Arc;

use crate::attributes::Attribute;
use crate::error::PlaylistError;
use crate::lines::{LineKind, Lines};
use crate::read_media::read_media;
use crate::read_multivariant::read_multivariant;
use crate::uri::Resolver;
use crate::variables::{Scope, Variables};
use crate::{MAX_PLAYLIST_BYTES, Playlist};

/// Reads a playlist, tolerantly: what players read is read, and numbered as players number it.
///
/// `base_url` is the playlist's own URL after redirects; `imported` are the variables of the multivariant playlist that named this one
/// (none for a multivariant playlist). Bytes that are not UTF-8 are replaced, as browsers do. Work and memory are bounded by the length
/// of the text, and that by [`MAX_PLAYLIST_BYTES`].
///
/// # Errors
/// The first thing in the playlist that makes it unusable, with its line.
pub fn parse(playlist: &[u8], base_url: &str, imported: &Variables) -> Result<Playlist, PlaylistError> {
    if playlist.len() > MAX_PLAYLIST_BYTES {
        return Err(PlaylistError::TooLong { bytes: playlist.len(), limit: MAX_PLAYLIST_BYTES });
    }
    // Nearly all are UTF-8, which is checked far faster than repaired.
    let text = std::str::from_utf8(playlist).map_or_else(|_| String::from_utf8_lossy(playlist), Cow::Borrowed);
    let mut reader = Reader {
        text: &text,
        lines: Lines::after_header(text.as_bytes())?,
        line: 0,
        resolver: Resolver::new(base_url)?,
        variables: Scope::new(imported),
    };
    match PlaylistKind::of(&text, reader.lines.clone()).ok_or(PlaylistError::NeitherKind)? {
        PlaylistKind::Multivariant => read_multivariant(reader).map(Playlist::Multivariant),
        PlaylistKind::Media => read_media(&mut reader).map(Playlist::Media),
    }
}

/// The place in a playlist, and what has been learnt on the way there.
pub(crate) struct Reader<'t, 'v> {
    text: &'t str,
    lines: Lines<'t>,
    line: u32,
    resolver: Resolver,
    variables: Scope<'v>,
}

impl<'t, 'v> Reader<'t, 'v> {
    /// The next line that is neither blank nor a comment nor an EXT-X-DEFINE (which is taken in here).
    pub(crate) fn next(&mut self) -> Result<Option<LineKind<'t>>, PlaylistError> {
        for line in self.lines.by_ref() {
            self.line = line.number;
            // Lines are cut beside ASCII characters, so `get` never fails.
            match LineKind::of(self.text.get(line.span).unwrap_or_default()) {
                LineKind::Comment => {}
                LineKind::Tag { name: "-X-DEFINE", value } => self.variables.define(value, &self.resolver, self.line)?,
                kind => return Ok(Some(kind)),
            }
        }
        Ok(None)
    }

    /// An attribute's value with its variables replaced.
    pub(crate) fn text<'a>(&mut self, attribute: &Attribute<'a>) -> Result<Cow<'a, str>, PlaylistError> {
        self.variables.attribute(attribute, self.line)
    }

    /// An attribute's value as a string to keep.
    pub(crate) fn kept(&mut self, attribute: &Attribute<'_>) -> Result<Arc<str>, PlaylistError> {
        Ok(Arc::from(self.text(attribute)?.as_ref()))
    }

    /// The absolute URL that an attribute holds; `None` when it is empty.
    pub(crate) fn attribute_url(&mut self, attribute: &Attribute<'_>) -> Result<Option<Arc<str>>, PlaylistError> {
        let uri = self.text(attribute)?;
        if uri.trim().is_empty() { Ok(None) } else { self.resolver.resolve(uri.trim(), self.line).map(Some) }
    }

    /// The absolute URL of a URI line.
    pub(crate) fn line_url(&mut self, uri: &str) -> Result<Arc<str>, PlaylistError> {
        let uri = self.variables.substitute(uri, self.line)?;
        self.resolver.resolve(&uri, self.line)
    }

    /// A malformed tag on the current line.
    pub(crate) const fn malformed(&self, tag: &'static str, problem: &'static str) -> PlaylistError {
        PlaylistError::Tag { line: self.line, tag, problem }
    }

    /// An error when a list that is about to grow has reached its limit.
    pub(crate) const fn check_room(&self, len: usize, limit: usize, what: &'static str) -> Result<(), PlaylistError> {
        if len < limit { Ok(()) } else { Err(PlaylistError::TooMany { line: self.line, what, limit }) }
    }

    /// What the playlist has defined.
    pub(crate) fn into_variables(self) -> Variables {
        self.variables.into_defined()
    }
}

#[derive(Clone, Copy)]
enum PlaylistKind {
    Multivariant,
    Media,
}

impl PlaylistKind {
    /// Variants or segments decide, whichever comes first; without either, the first tag that belongs to one kind only.
    fn of(text: &str, lines: Lines<'_>) -> Option<Self> {
        let mut likely = None;
        for line in lines {
            let LineKind::Tag { name, .. } = LineKind::of(text.get(line.span).unwrap_or_default()) else { continue };
            let kind = match name {
                "-X-STREAM-INF" => return Some(Self::Multivariant),
                "INF" | "-X-PART" | "-X-PRELOAD-HINT" | "-X-SKIP" => return Some(Self::Media),
                "-X-MEDIA" | "-X-I-FRAME-STREAM-INF" | "-X-SESSION-DATA" | "-X-SESSION-KEY" | "-X-CONTENT-STEERING" => Self::Multivariant,
                "-X-TARGETDURATION"
                | "-X-MEDIA-SEQUENCE"
                | "-X-DISCONTINUITY-SEQUENCE"
                | "-X-ENDLIST"
                | "-X-PLAYLIST-TYPE"
                | "-X-I-FRAMES-ONLY"
                | "-X-PART-INF"
                | "-X-SERVER-CONTROL"
                | "-X-MAP"
                | "-X-KEY"
                | "-X-BYTERANGE"
                | "-X-DISCONTINUITY"
                | "-X-PROGRAM-DATE-TIME"
                | "-X-GAP"
                | "-X-BITRATE"
                | "-X-DATERANGE"
                | "-X-RENDITION-REPORT" => Self::Media,
                _ => continue,
            };
            likely.get_or_insert(kind);
        }
        likely
    }
}
