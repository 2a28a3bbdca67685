//! Names that every viewer must derive alike: stream ids, swarm ids, info hashes; and the peer id of this client.
//!
//! The rules are those of P2P Media Loader 2.3, whose peers are met in the same swarms. They are defined in terms of JavaScript's strings
//! and numbers, hence the care taken with both in `js_text`.

mod js_text;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};

use self::js_text::{cmp_utf16, first_utf16_units, js_number, js_number_to_string, js_trim};
use crate::media::StreamKind;
use crate::sort::sort_by;

/// The protocol label that begins a swarm id of P2P Media Loader 2.x.
pub const PROTOCOL_LABEL: &str = "v2";

/// What the peer ids of this client begin with: `-PR`, two digits of the major and two of the minor version, `-` (Azureus style, BEP 20).
pub const PEER_ID_PREFIX: &str = "-PR0001-";

/// Every version of this client has a peer id that begins so, see [`PeerId::is_ours`].
const CLIENT_MARK: &[u8] = b"-PR";

/// What a manifest says about one stream, raw: [`stream_id`] normalises. Absent means that the manifest does not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamProperties {
    /// Peak bits per second; 0 counts as absent.
    pub bitrate: Option<f64>,
    /// Codecs as RFC 6381 lists them, separated by commas.
    pub codecs: Option<String>,
    /// Pixels across.
    pub width: Option<u32>,
    /// Pixels down.
    pub height: Option<u32>,
    /// Language tag (RFC 5646).
    pub language: Option<String>,
    /// Channels as the HLS attribute CHANNELS has them (`6/JOC`).
    pub channels: Option<String>,
    /// Name of the rendition.
    pub name: Option<String>,
    /// Frames per second, as text: `29.970`.
    pub frame_rate: Option<String>,
    /// `SDR`, `PQ` or `HLG`.
    pub video_range: Option<String>,
}

/// The id of a stream: base64 (28 characters, padded) of a SHA-1 over its normalised properties.
pub fn stream_id(properties: &StreamProperties) -> String {
    let text = |field: &Option<String>, normalise: fn(&str) -> String| field.as_deref().map(normalise).unwrap_or_default();
    let number = |field: Option<u32>| field.map(|value| value.to_string()).unwrap_or_default();
    let normalised = [
        js_number_to_string(properties.bitrate.unwrap_or(0.0)),
        text(&properties.codecs, normalise_codecs),
        number(properties.width),
        number(properties.height),
        text(&properties.language, normalise_language),
        text(&properties.channels, normalise_channels),
        text(&properties.name, |name| js_trim(name).to_lowercase()),
        text(&properties.frame_rate, normalise_frame_rate),
        text(&properties.video_range, |range| js_trim(range).to_uppercase()),
    ];
    stream_id_of_text(&normalised.join("-"))
}

/// The id of a stream whose properties are normalised and joined already. In a browser JavaScript itself does that, whose rules they are.
pub fn stream_id_of_text(normalised: &str) -> String {
    BASE64.encode(Sha1::digest(normalised))
}

/// The part of a manifest's URL (after redirects) that names its swarms: all before the first `?`.
pub fn manifest_swarm_base(url: &str) -> &str {
    url.split_once('?').map_or(url, |(base, _query)| base)
}

/// The swarm id of a stream. `label` is the protocol's ([`PROTOCOL_LABEL`]), `base` the configured swarm id or else
/// [`manifest_swarm_base`], `stream_id` what [`stream_id`] gives.
pub fn stream_swarm_id(label: &str, base: &str, kind: StreamKind, stream_id: &str) -> String {
    format!("{label}-{base}-{}-{stream_id}", kind.as_str())
}

/// What trackers know a swarm by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

impl InfoHash {
    /// The info hash of a swarm id: the 20 ASCII characters of base64 over the first 15 bytes of its SHA-1.
    pub fn of_swarm(swarm_id: &str) -> Self {
        let digest = Sha1::digest(swarm_id);
        let mut ascii = [0; 20];
        // 15 bytes are exactly 20 characters of base64 without padding, so this cannot fail; if it could, zeros would be a lone swarm.
        let _written = BASE64.encode_slice(&digest[..15], &mut ascii);
        Self(ascii)
    }
}

/// Names one viewer to trackers and peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

impl PeerId {
    /// A new id: `prefix`, cut at 20 bytes, filled up with random characters of `[A-Za-z0-9]`. `random` gives evenly distributed numbers.
    pub fn generate(prefix: &str, mut random: impl FnMut() -> u64) -> Self {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut prefix = prefix.bytes();
        Self(std::array::from_fn(|_| prefix.next().unwrap_or_else(|| ALPHABET[(random() % 62) as usize])))
    }

    /// True for a peer that runs this client, of any version. Nothing proves it: it only tells whether extensions are worth sending.
    pub fn is_ours(&self) -> bool {
        self.0.starts_with(CLIENT_MARK)
    }
}

/// Shows 20 bytes as text when all are printable ASCII, as they are with every known client, else as hex.
fn fmt_id(bytes: &[u8; 20], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(u8::is_ascii_graphic) => f.write_str(text),
        _ => fmt_hex(bytes, f),
    }
}

fn fmt_hex(bytes: &[u8; 20], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! shown_as_id {
    ($($name:ident),*) => {$(
        /// As text when all 20 bytes are printable ASCII, else as hex.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_id(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        /// The 20 bytes as 40 hex digits.
        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_hex(&self.0, f)
            }
        }
    )*};
}
shown_as_id!(InfoHash, PeerId);

fn normalise_codecs(codecs: &str) -> String {
    // An empty list has no items; a list of empty items keeps its commas.
    let mut codecs: Vec<String> = codecs.split(',').map(|codec| avc_in_hex(&js_trim(codec).to_lowercase())).collect();
    sort_by(&mut codecs, |a, b| cmp_utf16(a, b));
    codecs.join(",")
}

/// Rewrites H.264's old decimal notation `avc1.66.30` as the hexadecimal `avc1.42001e`; leaves everything else.
fn avc_in_hex(codec: &str) -> String {
    let canonical_integer = |text: &str| text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    let hex = |number: i64| format!("{}{:02x}", if number < 0 { "-" } else { "" }, number.unsigned_abs());
    let mut parts = codec.splitn(3, '.');
    if let (Some(name @ ("avc1" | "avc")), Some(profile), Some(level)) = (parts.next(), parts.next(), parts.next())
        && let (Some(profile), Some(level)) = (canonical_integer(profile), canonical_integer(level))
    {
        return format!("{name}.{}00{}", hex(profile), hex(level));
    }
    codec.to_owned()
}

fn normalise_language(language: &str) -> String {
    if language == "und" { String::new() } else { first_utf16_units(language, 2).to_lowercase() }
}

fn normalise_channels(channels: &str) -> String {
    channels.split('/').next().unwrap_or_default().to_owned()
}

fn normalise_frame_rate(rate: &str) -> String {
    if rate.is_empty() {
        return String::new();
    }
    js_number(rate).map(js_number_to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_ids_are_the_prefix_and_random_characters() {
        let mut next = 0;
        let mut random = || {
            next += 7;
            next
        };
        let ours = PeerId::generate(PEER_ID_PREFIX, &mut random);
        assert_eq!(ours.to_string(), "-PR0001-HOVcjqx4BIPW");
        assert!(ours.is_ours());
        assert!(!PeerId(*b"-PM0203-aRm1zJ6RcCO1").is_ours());
        assert_eq!(PeerId::generate("", &mut random).0.len(), 20);
        assert_eq!(PeerId::generate(&"x".repeat(25), &mut random).to_string(), "x".repeat(20));
    }

    #[test]
    fn ids_show_as_text_or_hex() {
        assert_eq!(InfoHash(*b"KtLKasr9nein94GUrOHV").to_string(), "KtLKasr9nein94GUrOHV");
        assert_eq!(InfoHash([0xab; 20]).to_string(), "ab".repeat(20));
        assert_eq!(format!("{:x}", PeerId([7; 20])), "07".repeat(20));
    }

    #[test]
    fn a_manifest_url_is_cut_at_the_query() {
        assert_eq!(manifest_swarm_base("https://a/b.m3u8?x=1?y#z"), "https://a/b.m3u8");
        assert_eq!(manifest_swarm_base("https://a/b.m3u8#z?x"), "https://a/b.m3u8#z");
        assert_eq!(manifest_swarm_base("https://a/b"), "https://a/b");
    }
}
