//! Replaces URIs in the text of a playlist and leaves every other byte as it is: line ends, spacing, comments, tags unknown to us.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::attributes::Attributes;
use crate::error::PlaylistError;
use crate::lines::{Line, LineKind, Lines};
use crate::uri::Resolver;
use crate::variables::{Scope, Variables};

/// What a URI in a playlist is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UriKind {
    /// A URI line after EXT-X-STREAM-INF: a media playlist.
    Variant,
    /// Any other URI line: a segment.
    Segment,
    /// EXT-X-MEDIA: a media playlist.
    Rendition,
    /// EXT-X-I-FRAME-STREAM-INF: a media playlist.
    IFramePlaylist,
    /// EXT-X-RENDITION-REPORT: a media playlist.
    RenditionReport,
    /// EXT-X-KEY.
    Key,
    /// EXT-X-SESSION-KEY.
    SessionKey,
    /// EXT-X-MAP: an init segment.
    Map,
    /// EXT-X-PART.
    Part,
    /// EXT-X-PRELOAD-HINT: a part or an init segment.
    PreloadHint,
    /// EXT-X-SESSION-DATA.
    SessionData,
    /// EXT-X-CONTENT-STEERING: the steering manifest.
    ContentSteering,
    /// EXT-X-DATERANGE: the manifest of an interstitial (X-ASSET-URI) or a list of them (X-ASSET-LIST).
    Interstitial,
    /// The URI attribute of a tag unknown to us.
    Other,
}

/// One URI of a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UriReference<'a> {
    /// What it is for.
    pub kind: UriKind,
    /// As written, variables not replaced.
    pub written: &'a str,
    /// What it means: variables replaced, resolved against the playlist's own URL.
    pub absolute: &'a str,
}

/// The playlist with the URIs replaced for which `replacement` gives something else; byte for byte the same when it gives nothing.
///
/// `base_url` and `imported` are those of [`crate::parse`]. A URI that cannot be resolved, or that uses an undefined variable, is left as
/// it is, as are lines that are not UTF-8. Characters that would end a URI or a quoted value are percent-encoded in replacements.
///
/// # Errors
/// When the base URL is not absolute, or the text is not an HLS playlist. Nothing else is an error: what is not understood passes.
pub fn rewrite_uris<'t>(
    playlist: &'t [u8],
    base_url: &str,
    imported: &Variables,
    replacement: impl FnMut(&UriReference<'_>) -> Option<String>,
) -> Result<Cow<'t, [u8]>, PlaylistError> {
    let lines = Lines::after_header(playlist)?;
    let mut rewriter =
        Rewriter { playlist, resolver: Resolver::new(base_url)?, variables: Scope::new(imported), replacement, out: Vec::new(), copied: 0 };
    let mut after_stream_inf = false;
    for line in lines {
        let Ok(text) = std::str::from_utf8(&playlist[line.span.clone()]) else { continue };
        match LineKind::of(text) {
            LineKind::Uri(uri) => {
                let kind = if after_stream_inf { UriKind::Variant } else { UriKind::Segment };
                after_stream_inf = false;
                rewriter.line(&line, kind, uri);
            }
            // A definition that cannot be used leaves its variable undefined.
            LineKind::Tag { name: "-X-DEFINE", value } => drop(rewriter.variables.define(value, &rewriter.resolver, line.number)),
            LineKind::Tag { name, value } => {
                after_stream_inf |= name == "-X-STREAM-INF";
                rewriter.tag(&line, text, name, value);
            }
            LineKind::Comment => {}
        }
    }
    Ok(rewriter.finish())
}

struct Rewriter<'t, 'v, F> {
    playlist: &'t [u8],
    resolver: Resolver,
    variables: Scope<'v>,
    replacement: F,
    out: Vec<u8>,
    /// How much of the playlist is in `out`.
    copied: usize,
}

impl<'t, F: FnMut(&UriReference<'_>) -> Option<String>> Rewriter<'t, '_, F> {
    fn line(&mut self, line: &Line, kind: UriKind, uri: &str) {
        if let Some(replacement) = self.ask(kind, uri, line.number) {
            self.replace(line.span.clone(), &encode(&replacement, "\r\n"));
        }
    }

    fn tag(&mut self, line: &Line, text: &str, name: &str, value: &str) {
        // The value ends where the trimmed line ends.
        let value_start = line.span.start + (text.len() - value.len());
        for attribute in Attributes::of(value) {
            let Some(kind) = kind_of(name, attribute.name) else { continue };
            if attribute.value.is_empty() || attribute.value.contains('"') {
                continue;
            }
            if let Some(replacement) = self.ask(kind, attribute.value, line.number) {
                let span = value_start + attribute.span.start..value_start + attribute.span.end;
                // Quotes are neither added nor taken away, so that the other attributes of a flawed list mean what they meant.
                let forbidden = if attribute.quoted { "\r\n\"" } else { "\r\n\", \t" };
                self.replace(span, &encode(&replacement, forbidden));
            }
        }
    }

    fn ask(&mut self, kind: UriKind, written: &str, line: u32) -> Option<String> {
        let absolute: Arc<str> = {
            let uri = self.variables.substitute(written, line).ok()?;
            self.resolver.resolve(uri.trim(), line).ok()?
        };
        (self.replacement)(&UriReference { kind, written, absolute: &absolute })
    }

    fn replace(&mut self, span: Range<usize>, replacement: &str) {
        self.out.extend_from_slice(&self.playlist[self.copied..span.start]);
        self.out.extend_from_slice(replacement.as_bytes());
        self.copied = span.end;
    }

    fn finish(mut self) -> Cow<'t, [u8]> {
        if self.copied == 0 {
            return Cow::Borrowed(self.playlist);
        }
        self.out.extend_from_slice(&self.playlist[self.copied..]);
        Cow::Owned(self.out)
    }
}

/// What an attribute refers to, when it holds a URI. The key `-X-DATERANGE` has URIs of its own, and its `URI` would be an extension.
fn kind_of(tag: &str, attribute: &str) -> Option<UriKind> {
    Some(match (tag, attribute) {
        ("-X-MEDIA", "URI") => UriKind::Rendition,
        ("-X-I-FRAME-STREAM-INF", "URI") => UriKind::IFramePlaylist,
        ("-X-RENDITION-REPORT", "URI") => UriKind::RenditionReport,
        ("-X-KEY", "URI") => UriKind::Key,
        ("-X-SESSION-KEY", "URI") => UriKind::SessionKey,
        ("-X-MAP", "URI") => UriKind::Map,
        ("-X-PART", "URI") => UriKind::Part,
        ("-X-PRELOAD-HINT", "URI") => UriKind::PreloadHint,
        ("-X-SESSION-DATA", "URI") => UriKind::SessionData,
        ("-X-CONTENT-STEERING", "SERVER-URI") => UriKind::ContentSteering,
        ("-X-DATERANGE", "X-ASSET-URI" | "X-ASSET-LIST") => UriKind::Interstitial,
        ("INF" | "-X-DATERANGE", _) => return None,
        (_, "URI") => UriKind::Other,
        _ => return None,
    })
}

/// `text` with the characters of `forbidden` percent-encoded.
fn encode(text: &str, forbidden: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if forbidden.contains(c) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: &str = "https://a.example/live/list.m3u8?t=1";

    fn rewrite(text: &str, replacement: impl FnMut(&UriReference<'_>) -> Option<String>) -> String {
        String::from_utf8(rewrite_uris(text.as_bytes(), BASE, &Variables::default(), replacement).unwrap().into_owned()).unwrap()
    }

    const ALL_TAGS: &str = concat!(
        "\u{feff}#EXTM3U\r\n#EXT-X-VERSION:12 \r\n",
        "#EXT-X-DEFINE:NAME=\"p\",VALUE=\"x/y\"\n",
        "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer\",PATHWAY-ID=\"a\"\n",
        "#EXT-X-SESSION-DATA:DATA-ID=\"d\",URI=\"data.json\"\n",
        "#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\"\n",
        "#EXT-X-MEDIA:TYPE=AUDIO,URI = \"{$p}/a.m3u8\" ,NAME=\"URI=\\\"\"\n",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n\n# comment URI=\"no\"\n  v.m3u8\t\r\n",
        "#EXT-X-KEY:METHOD=AES-128,URI=key.bin,IV=0x1\r",
        "#EXT-X-MAP:BYTERANGE=\"1@0\",URI=\"https://b.example/i.mp4\"\n",
        "#EXTINF:4,URI=\"title\"\n{$p}/1.ts?a={$p}\n",
        "#EXT-X-DATERANGE:ID=\"1\",X-ASSET-URI=\"ad.m3u8\",X-OTHER=\"u\"\n",
        "#EXT-X-PART:DURATION=1,URI=\"p.ts\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"h.ts\"\n",
        "#EXT-X-RENDITION-REPORT:URI=\"r.m3u8\"\n#EXT-X-NEW:URI=\"n\"\n{$undefined}.ts\n  no-newline.ts",
    );

    #[test]
    fn every_uri_is_offered_with_its_kind_and_meaning() {
        let mut seen = Vec::new();
        let same = rewrite(ALL_TAGS, |uri| {
            seen.push((uri.kind, uri.absolute.to_owned()));
            None
        });
        assert_eq!(same, ALL_TAGS);
        let expected = [
            (UriKind::ContentSteering, "https://a.example/steer"),
            (UriKind::SessionData, "https://a.example/live/data.json"),
            (UriKind::SessionKey, "skd://key"),
            (UriKind::Rendition, "https://a.example/live/x/y/a.m3u8"),
            (UriKind::IFramePlaylist, "https://a.example/live/i.m3u8"),
            (UriKind::Variant, "https://a.example/live/v.m3u8"),
            (UriKind::Key, "https://a.example/live/key.bin"),
            (UriKind::Map, "https://b.example/i.mp4"),
            (UriKind::Segment, "https://a.example/live/x/y/1.ts?a=x/y"),
            (UriKind::Interstitial, "https://a.example/live/ad.m3u8"),
            (UriKind::Part, "https://a.example/live/p.ts"),
            (UriKind::PreloadHint, "https://a.example/live/h.ts"),
            (UriKind::RenditionReport, "https://a.example/live/r.m3u8"),
            (UriKind::Other, "https://a.example/live/n"),
            (UriKind::Segment, "https://a.example/live/no-newline.ts"),
        ];
        assert_eq!(seen.iter().map(|(kind, url)| (*kind, url.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_the_uris_change() {
        let mut count = 0;
        let rewritten = rewrite(ALL_TAGS, |uri| {
            count += 1;
            matches!(uri.kind, UriKind::Rendition | UriKind::Variant | UriKind::Key).then(|| format!("/r{count}"))
        });
        let expected = ALL_TAGS.replace("{$p}/a.m3u8", "/r4").replace("v.m3u8\t", "/r6\t").replace("URI=key.bin", "URI=/r7");
        assert_eq!(rewritten, expected);
    }

    #[test]
    fn replacements_cannot_break_out() {
        let rewritten = rewrite("#EXTM3U\n#EXT-X-MAP:URI=\"a\"\nb\"\n", |_| Some("x\"\r\ny".into()));
        assert_eq!(rewritten, "#EXTM3U\n#EXT-X-MAP:URI=\"x%22%0D%0Ay\"\nx\"%0D%0Ay\n");
    }

    proptest! {
        #[test]
        fn without_replacements_every_byte_stays(text in "(#EXT(M3U|INF:|-X-MAP:|-X-DEFINE:|-X-KEY:)?|URI=|NAME=|VALUE=|[\",\\r\\n\\t é{}$a]){0,40}") {
            let text = format!("#EXTM3U\n{text}");
            prop_assert_eq!(rewrite(&text, |_| None), text);
        }

        #[test]
        fn without_replacements_every_byte_stays_in_binary_lines(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = [&b"#EXTM3U\n"[..], &bytes].concat();
            let rewritten = rewrite_uris(&text, BASE, &Variables::default(), |_| None).unwrap();
            prop_assert_eq!(&*rewritten, &*text);
        }

        #[test]
        fn identity_replacements_keep_what_the_uris_mean(text in "(#EXT(INF:4,|-X-MAP:|-X-KEY:)|URI=|[\",\\r\\n\\t {}$ab/]){0,40}") {
            let text = format!("#EXTM3U\n{text}");
            let collect = |text: &str| {
                let mut seen = Vec::new();
                rewrite(text, |uri| { seen.push((uri.kind, uri.absolute.to_owned())); None });
                seen
            };
            let rewritten = rewrite(&text, |uri| Some(uri.absolute.to_owned()));
            prop_assert_eq!(collect(&rewritten), collect(&text));
        }
    }
}
