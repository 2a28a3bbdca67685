//! Telling the formats of manifests apart, by what they begin with.

use std::borrow::Cow;

/// A manifest format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestFormat {
    /// An HLS playlist (RFC 8216): `#EXTM3U`.
    Hls,
    /// An MPEG-DASH MPD (ISO/IEC 23009-1): XML with `MPD` as its root.
    Dash,
}

/// Bytes in which the root element is looked for: declarations and comments go before it.
const HEAD_BYTES: usize = 64 * 1024;

impl ManifestFormat {
    /// The format that the text seems to have; `None` when it is neither.
    pub fn of(manifest: &[u8]) -> Option<Self> {
        let text = ascii_of(&manifest[..manifest.len().min(HEAD_BYTES)]);
        let text = text.trim_ascii_start();
        if text.starts_with(b"#EXT") {
            return Some(Self::Hls);
        }
        root_element(text).filter(|name| *name == b"MPD").map(|_| Self::Dash)
    }
}

/// A text without its byte order mark, and UTF-16 (which an MPD may be) as UTF-8 as far as it is ASCII, as all names are that matter here.
pub(crate) fn ascii_of(text: &[u8]) -> Cow<'_, [u8]> {
    match text {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [b'<', 0, ..] | [0, b'<', ..] => {
            text.iter().copied().filter(|byte| !matches!(byte, 0 | 0xFF | 0xFE)).collect()
        }
        _ => text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text).into(),
    }
}

/// The local name of the first element of an XML document, or the beginning of that name where the text ends in it.
pub(crate) fn root_element(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = text.trim_ascii_start().strip_prefix(b"<")?;
        let end: &[u8] = match text {
            [b'?', ..] => b"?>",
            [b'!', b'-', b'-', ..] => b"-->",
            [b'!', ..] => b">",
            _ => break,
        };
        let at = text.windows(end.len()).position(|window| window == end)?;
        text = &text[at + end.len()..];
    }
    let name = text.split(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')).next()?;
    name.rsplit(|byte| *byte == b':').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        for (text, format) in [
            ("#EXTM3U\n", Some(ManifestFormat::Hls)),
            ("\u{feff}\n #EXTM3U", Some(ManifestFormat::Hls)),
            ("<MPD xmlns='x'>", Some(ManifestFormat::Dash)),
            ("\u{feff}<?xml version='1.0'?>\n<!-- <html> -->\n<!DOCTYPE MPD>\n<mpd:MPD/>", Some(ManifestFormat::Dash)),
            ("<html><MPD>", None),
            ("<?xml", None),
            ("<!--", None),
            ("<", None),
            ("", None),
            ("MPD", None),
        ] {
            assert_eq!(ManifestFormat::of(text.as_bytes()), format, "{text:?}");
        }
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let wide: Vec<u8> = "\u{feff}<MPD>".encode_utf16().flat_map(bytes).collect();
            assert_eq!(ManifestFormat::of(&wide), Some(ManifestFormat::Dash));
        }
    }
}
