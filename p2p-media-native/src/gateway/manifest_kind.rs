//! Which kind of manifest an answer is, by its first bytes: names and media types are not to be trusted.

use crate::manifest_format::{ascii_of, root_element};

/// Bytes that are looked at. What stands before the root element of an MPD, comments for example, is seldom longer than a line or two.
const LOOKED_AT_BYTES: usize = 16 * 1024;
/// What a playlist begins with (RFC 8216, section 4.3.1.1).
const PLAYLIST_HEADER: &[u8] = b"#EXTM3U";

/// What an answer is to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManifestKind {
    /// An HLS playlist.
    Playlist,
    /// A DASH manifest.
    Mpd,
    /// The difference between two versions of one (ISO/IEC 23009-1, section 5.15).
    MpdPatch,
}

/// What an answer is that begins with these bytes: `Some(None)` when it is no manifest, `None` when more of it must be seen. `is_all` says that
/// there is no more.
pub(super) fn kind_of(beginning: &[u8], is_all: bool) -> Option<Option<ManifestKind>> {
    let text = ascii_of(&beginning[..beginning.len().min(LOOKED_AT_BYTES)]);
    let is_all = is_all || beginning.len() >= LOOKED_AT_BYTES;
    match kind_of_text(text.trim_ascii_start()) {
        None if is_all => Some(None),
        kind => kind,
    }
}

fn kind_of_text(text: &[u8]) -> Option<Option<ManifestKind>> {
    match text {
        // White space, or a byte order mark that has only begun.
        [] | [0xEF] | [0xEF, 0xBB] | [0xFE] | [0xFF] => None,
        [b'#', ..] if text.starts_with(PLAYLIST_HEADER) => Some(Some(ManifestKind::Playlist)),
        [b'#', ..] if PLAYLIST_HEADER.starts_with(text) => None,
        [b'<', ..] => kind_of_xml(text),
        _ => Some(None),
    }
}

fn kind_of_xml(text: &[u8]) -> Option<Option<ManifestKind>> {
    let name = root_element(text)?;
    if name.as_ptr_range().end == text.as_ptr_range().end {
        return None; // there may be more of it
    }
    Some(match name {
        b"MPD" => Some(ManifestKind::Mpd),
        b"Patch" => Some(ManifestKind::MpdPatch),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &[u8]) -> Option<ManifestKind> {
        let found = kind_of(text, true).unwrap();
        // A beginning is either not enough, or enough for the same answer.
        for len in 0..text.len() {
            let early = kind_of(&text[..len], false);
            assert!(early.is_none_or(|early| early == found), "{len} bytes of {text:?}");
        }
        found
    }

    #[test]
    fn playlists_begin_with_their_tag() {
        for text in [&b"#EXTM3U\n"[..], b"\xef\xbb\xbf#EXTM3U", b"\r\n#EXTM3U"] {
            assert_eq!(kind(text), Some(ManifestKind::Playlist));
        }
        for text in [&b"#EXT"[..], b"", b"x#EXTM3U", b"\0\0\0\x18styp", b"G\x40"] {
            assert_eq!(kind(text), None);
        }
    }

    #[test]
    fn mpds_are_xml_with_that_root() {
        let utf16: Vec<u8> = "<MPD>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in [
            &b"<MPD>"[..],
            b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- a > b\n<x> -->\n<MPD xmlns=\"a\">",
            b" <dash:MPD\n",
            b"<!DOCTYPE MPD><MPD/>",
            &utf16,
        ] {
            assert_eq!(kind(text), Some(ManifestKind::Mpd), "{text:?}");
        }
        assert_eq!(kind(b"<?xml version='1.0'?><Patch xmlns='urn:mpeg:dash:schema:mpd-patch:2020'>"), Some(ManifestKind::MpdPatch));
        for text in [&b"<html>"[..], b"<?xml?><smil>", b"<?xml?> text", b"<MPDX >", b"<", b"<!-- <MPD> ", b"<!"] {
            assert_eq!(kind(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_look_is_bounded() {
        let long = [b"<!--".as_slice(), &[b'x'; LOOKED_AT_BYTES], b"--><MPD>"].concat();
        assert_eq!(kind_of(&long, false), Some(None));
    }
}
