//! What manifests are known by, and which format they have.

/// Query parameters by which players ask for a later version of a playlist (RFC 8216bis, section 6.2.5).
const DELIVERY_DIRECTIVES: &str = "_HLS_";

/// What a manifest is known by: its URL without fragment and delivery directives.
pub(super) fn manifest_name(url: &str) -> String {
    let url = url.split_once('#').map_or(url, |(url, _fragment)| url);
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let mut name = path.to_owned();
    let kept = query.split('&').filter(|pair| !pair.starts_with(DELIVERY_DIRECTIVES));
    for (index, pair) in kept.enumerate() {
        name.push(if index == 0 { '?' } else { '&' });
        name.push_str(pair);
    }
    name
}

/// True for a text that begins as playlists do (RFC 8216, section 4.3.1.1). What does not may be an MPD.
pub(super) fn is_playlist(text: &[u8]) -> bool {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text).trim_ascii_start().starts_with(b"#EXT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_directives_are_not_part_of_a_name() {
        for (url, name) in [
            ("https://a.example/l.m3u8?_HLS_msn=3&t=1&_HLS_part=2&u#f", "https://a.example/l.m3u8?t=1&u"),
            ("https://a.example/l.m3u8?_HLS_msn=3", "https://a.example/l.m3u8"),
            ("https://a.example/l.m3u8#a?b", "https://a.example/l.m3u8"),
            ("https://a.example/l.m3u8", "https://a.example/l.m3u8"),
        ] {
            assert_eq!(manifest_name(url), name);
        }
    }

    #[test]
    fn playlists_begin_with_their_tag() {
        for text in [&b"#EXTM3U\n"[..], b"\xef\xbb\xbf#EXTM3U", b"\r\n#EXTM3U"] {
            assert!(is_playlist(text));
        }
        for text in [&b"<MPD>"[..], b"", b"x#EXTM3U"] {
            assert!(!is_playlist(text));
        }
    }
}
