//! Descriptors (ISO/IEC 23009-1, section 5.8.4) and what kind of media a representation is.

use crate::mpd::MediaKind;
use crate::read_values::unsigned;
use crate::xml::Element;

const TRICK_MODE: &str = "http://dashif.org/guidelines/trickmode";
const TRANSFER_CHARACTERISTICS: &str = "urn:mpeg:mpegB:cicp:TransferCharacteristics";

/// The number of channels that an AudioChannelConfiguration stands for, where its scheme is known.
pub(crate) fn channel_count(descriptor: Element<'_>) -> Option<u32> {
    let (scheme, value) = (descriptor.attribute("schemeIdUri")?, descriptor.attribute("value")?);
    let value = value.trim();
    let count = match &*scheme {
        "urn:mpeg:dash:23003:3:audio_channel_configuration:2011" | "urn:dts:dash:audio_channel_configuration:2012" => {
            unsigned(value).and_then(|count| u32::try_from(count).ok())?
        }
        "urn:mpeg:dash:outputChannelPositionList:2012" => value.split_ascii_whitespace().count() as u32,
        "urn:mpeg:mpegB:cicp:ChannelConfiguration" => *CICP_CHANNELS.get(value.parse::<usize>().ok()?)?,
        "tag:dolby.com,2014:dash:audio_channel_configuration:2011" | "urn:dolby:dash:audio_channel_configuration:2011" => {
            speakers(value, &DOLBY_DIGITAL_PLUS_CHANNELS)?
        }
        "tag:dolby.com,2015:dash:audio_channel_configuration:2015" => speakers(value, &AC_4_CHANNELS)?,
        _ => return None,
    };
    (count > 0).then_some(count)
}

/// Channels of each ChannelConfiguration (ISO/IEC 23091-3, table 4); 0 is reserved.
const CICP_CHANNELS: [u32; 21] = [0, 1, 2, 3, 4, 5, 6, 8, 2, 3, 4, 7, 8, 24, 8, 12, 10, 12, 14, 12, 14];

/// Channels of each bit from the lowest on (ETSI TS 102 366, table E.1.4, which begins with the highest).
const DOLBY_DIGITAL_PLUS_CHANNELS: [u32; 16] = [1, 1, 2, 1, 2, 2, 2, 1, 1, 2, 2, 1, 1, 1, 1, 1];

/// Channels of each bit from the lowest on (ETSI TS 103 190-2, annex G.3).
const AC_4_CHANNELS: [u32; 18] = [2, 1, 2, 2, 2, 2, 1, 2, 2, 1, 1, 1, 1, 2, 1, 1, 2, 2];

/// The channels of a hexadecimal set of bits.
fn speakers(value: &str, channels: &[u32]) -> Option<u32> {
    let bits = u32::from_str_radix(value, 16).ok()?;
    Some(channels.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, count)| count).sum())
}

/// `PQ`, `HLG` or `SDR` where an EssentialProperty or SupplementalProperty gives the transfer characteristics (ISO/IEC 23091-2, section 8.2;
/// DASH-IF IOP 4.3, section 6.2.5.1).
pub(crate) fn video_range(property: Element<'_>) -> Option<&'static str> {
    property.attribute("schemeIdUri").filter(|scheme| scheme == TRANSFER_CHARACTERISTICS)?;
    match unsigned(&property.attribute("value")?)? {
        1 | 6 | 13 | 14 | 15 => Some("SDR"),
        16 => Some("PQ"),
        18 => Some("HLG"),
        _ => None,
    }
}

/// True for the property of a trick mode set (DASH-IF IOP 4.3, section 3.2.9).
pub(crate) fn is_trick_mode(property: Element<'_>) -> bool {
    property.attribute("schemeIdUri").is_some_and(|scheme| scheme == TRICK_MODE)
}

/// True for an EssentialProperty that changes nothing about where segments are and whether they are played.
pub(crate) fn is_understood(scheme: &str) -> bool {
    scheme == TRICK_MODE
        || scheme.starts_with("urn:mpeg:mpegB:cicp:")
        || scheme.starts_with("urn:mpeg:dash:urlparam:")
        || scheme.ends_with("/thumbnail_tile")
}

/// True for a SupplementalProperty that says something about how to play on, and that is not acted upon.
pub(crate) fn is_notable(scheme: &str) -> bool {
    const NOTABLE: [&str; 5] = [
        "urn:mpeg:dash:period-continuity:",
        "urn:mpeg:dash:period-connectivity:",
        "urn:mpeg:dash:adaptation-set-switching:",
        "urn:mpeg:dash:chaining:",
        "urn:mpeg:dash:fallback:",
    ];
    NOTABLE.iter().any(|begin| scheme.starts_with(begin))
}

/// The kind of media by @contentType, @mimeType and @codecs. Codecs come first where they are those of subtitles, as in MP4 they are
/// `application/mp4`.
pub(crate) fn media_kind(content_type: Option<&str>, mime_type: Option<&str>, codecs: Option<&str>) -> MediaKind {
    let mime_type = mime_type.map_or(String::new(), |mime_type| mime_type.trim().to_ascii_lowercase());
    let is_container = mime_type.is_empty() || mime_type.ends_with("/mp4");
    if is_container && codecs.is_some_and(|codecs| kind_of_codecs(codecs) == Some(MediaKind::Text)) {
        return MediaKind::Text;
    }
    let of_type = |text: &str| match text.split('/').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "video" => Some(MediaKind::Video),
        "audio" => Some(MediaKind::Audio),
        "text" => Some(MediaKind::Text),
        "image" => Some(MediaKind::Image),
        _ => None,
    };
    content_type
        .and_then(of_type)
        .or_else(|| of_type(&mime_type))
        .or_else(|| mime_type.starts_with("application/ttml").then_some(MediaKind::Text))
        .or_else(|| codecs.and_then(kind_of_codecs))
        .unwrap_or(MediaKind::Other)
}

/// The kind that the first known codec has, video before audio.
fn kind_of_codecs(codecs: &str) -> Option<MediaKind> {
    const VIDEO: [&str; 15] =
        ["avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "dvav", "dva1", "dav1", "av01", "vp8", "vp08", "vp9", "vp09", "mp4v"];
    const AUDIO: [&str; 14] =
        ["mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "vorbis", "alac", "dtsc", "dtse", "dtsh", "dtsl", "dtsx", "mhm1"];
    const TEXT: [&str; 5] = ["stpp", "wvtt", "tx3g", "ttml", "vtt"];
    let is_of = |kind: &[&str]| {
        codecs.split(',').any(|codec| {
            let begin = codec.trim().split('.').next().unwrap_or_default();
            kind.iter().any(|known| begin.eq_ignore_ascii_case(known))
        })
    };
    [(MediaKind::Video, &VIDEO[..]), (MediaKind::Audio, &AUDIO), (MediaKind::Text, &TEXT)]
        .into_iter()
        .find_map(|(kind, known)| is_of(known).then_some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn on<R>(scheme: &str, value: &str, read: impl Fn(Element<'_>) -> R) -> R {
        let xml = format!(r#"<D schemeIdUri="{scheme}" value="{value}"/>"#);
        read(Document::parse(&xml).unwrap().root())
    }

    #[test]
    fn channels_in_every_scheme() {
        let cicp = "urn:mpeg:mpegB:cicp:ChannelConfiguration";
        let dolby = "tag:dolby.com,2014:dash:audio_channel_configuration:2011";
        for (scheme, value, expected) in [
            ("urn:mpeg:dash:23003:3:audio_channel_configuration:2011", "6", Some(6)),
            ("urn:mpeg:dash:23003:3:audio_channel_configuration:2011", "0", None),
            ("urn:mpeg:dash:23003:3:audio_channel_configuration:2011", "99999999999", None),
            ("urn:dts:dash:audio_channel_configuration:2012", "8", Some(8)),
            ("urn:mpeg:dash:outputChannelPositionList:2012", " 2 0 1 ", Some(3)),
            (cicp, "2", Some(2)),
            (cicp, "7", Some(8)),
            (cicp, "20", Some(14)),
            (cicp, "0", None),
            (cicp, "21", None),
            (dolby, "F801", Some(6)),
            (dolby, "4000", Some(1)),
            ("urn:dolby:dash:audio_channel_configuration:2011", "FE01", Some(10)),
            (dolby, "xyz", None),
            (dolby, "0", None),
            ("tag:dolby.com,2015:dash:audio_channel_configuration:2015", "000047", Some(6)),
            ("urn:unknown", "2", None),
        ] {
            assert_eq!(on(scheme, value, channel_count), expected, "{scheme} {value}");
        }
    }

    #[test]
    fn dynamic_range() {
        for (value, expected) in
            [("1", Some("SDR")), ("14", Some("SDR")), ("16", Some("PQ")), ("18", Some("HLG")), ("17", None), ("", None)]
        {
            assert_eq!(on(TRANSFER_CHARACTERISTICS, value, video_range), expected, "{value:?}");
        }
        assert_eq!(on("urn:mpeg:mpegB:cicp:ColourPrimaries", "16", video_range), None);
        assert!(on(TRICK_MODE, "1", is_trick_mode) && !on("urn:x", "1", is_trick_mode));
    }

    #[test]
    fn kinds_of_media() {
        for (content_type, mime_type, codecs, expected) in [
            (Some("video"), None, None, MediaKind::Video),
            (None, Some("audio/mp4"), Some("mp4a.40.2"), MediaKind::Audio),
            (None, Some("video/mp2t"), Some("mp4a.40.2, avc1.4d401f"), MediaKind::Video),
            (Some("application"), Some("application/mp4"), Some("stpp.ttml.im1t"), MediaKind::Text),
            (None, Some("application/mp4"), Some("wvtt"), MediaKind::Text),
            (Some("video"), Some("application/mp4"), Some("stpp"), MediaKind::Text),
            (Some("text"), Some("application/mp4"), None, MediaKind::Text),
            (None, Some("application/ttml+xml"), None, MediaKind::Text),
            (None, Some("text/vtt"), None, MediaKind::Text),
            (None, Some("Image/JPEG"), None, MediaKind::Image),
            (None, None, Some("hvc1.1.6.L93.90,mp4a.40.2"), MediaKind::Video),
            (None, None, Some("ec-3"), MediaKind::Audio),
            (None, Some("application/mp4"), None, MediaKind::Other),
            (None, None, None, MediaKind::Other),
        ] {
            assert_eq!(media_kind(content_type, mime_type, codecs), expected, "{content_type:?} {mime_type:?} {codecs:?}");
        }
    }
}
