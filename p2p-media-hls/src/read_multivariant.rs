//! Reads a multivariant playlist.

use std::sync::Arc;

use p2p_media_core::identity::StreamProperties;

use crate::attributes::Attributes;
use crate::codecs::CodecsByKind;
use crate::error::PlaylistError;
use crate::lines::LineKind;
use crate::playlist::{MultivariantPlaylist, Rendition, RenditionKind, Variant};
use crate::reader::Reader;
use crate::{MAX_VARIANTS, numbers};

/// Reads the lines after the header as a multivariant playlist.
pub(crate) fn read_multivariant(mut reader: Reader<'_, '_>) -> Result<MultivariantPlaylist, PlaylistError> {
    let mut playlist = MultivariantPlaylist::default();
    let mut stream_inf = None;
    while let Some(line) = reader.next()? {
        match line {
            LineKind::Tag { name: "-X-STREAM-INF", value } => stream_inf = Some(value),
            LineKind::Tag { name: "-X-MEDIA", value } => {
                reader.check_room(playlist.renditions.len(), MAX_VARIANTS, "renditions")?;
                playlist.renditions.extend(rendition(&mut reader, value)?);
            }
            LineKind::Tag { name: "-X-I-FRAME-STREAM-INF", value } => {
                reader.check_room(playlist.i_frame_playlists.len(), MAX_VARIANTS, "I-frame playlists")?;
                if let Some(uri) = Attributes::of(value).find(|attribute| attribute.name == "URI") {
                    playlist.i_frame_playlists.extend(reader.attribute_url(&uri)?);
                }
            }
            // A URI belongs to the EXT-X-STREAM-INF before it; alone it means nothing.
            LineKind::Uri(uri) => {
                if let Some(list) = stream_inf.take() {
                    reader.check_room(playlist.variants.len(), MAX_VARIANTS, "variants")?;
                    let url = reader.line_url(uri)?;
                    playlist.variants.push(variant(&mut reader, list, url)?);
                }
            }
            LineKind::Tag { .. } | LineKind::Comment => {}
        }
    }
    playlist.variables = reader.into_variables();
    Ok(playlist)
}

fn variant(reader: &mut Reader<'_, '_>, list: &str, url: Arc<str>) -> Result<Variant, PlaylistError> {
    let (mut bandwidth, mut average_bandwidth, mut codecs, mut resolution) = (None, None, None, None);
    let (mut frame_rate, mut video_range, mut audio_group, mut name) = (None, None, None, None);
    let (mut peak_bitrate, mut average_bitrate) = (f64::NAN, f64::NAN);
    for attribute in Attributes::of(list) {
        match attribute.name {
            "BANDWIDTH" => {
                bandwidth = numbers::integer(attribute.value);
                peak_bitrate = js_integer(attribute.value);
            }
            "AVERAGE-BANDWIDTH" => {
                average_bandwidth = numbers::integer(attribute.value);
                average_bitrate = js_integer(attribute.value);
            }
            "CODECS" => codecs = Some(reader.kept(&attribute)?),
            "RESOLUTION" => resolution = size(attribute.value),
            "FRAME-RATE" => frame_rate = Some(reader.kept(&attribute)?),
            "VIDEO-RANGE" => video_range = Some(reader.kept(&attribute)?),
            "AUDIO" => audio_group = Some(reader.kept(&attribute)?),
            "NAME" => name = Some(reader.kept(&attribute)?),
            _ => {}
        }
    }
    let by_kind = codecs.as_deref().map(CodecsByKind::of).unwrap_or_default();
    // hls.js: the average stands in for a peak that is missing or 0. A bitrate of 0 then means that nothing is known of the stream; no
    // number at all does not.
    let bitrate = if peak_bitrate.is_nan() || peak_bitrate == 0.0 { average_bitrate } else { peak_bitrate };
    let properties = if bitrate == 0.0 {
        StreamProperties::default()
    } else {
        StreamProperties {
            bitrate: Some(bitrate),
            codecs: by_kind.video,
            width: resolution.map(|(width, _)| width),
            height: resolution.map(|(_, height)| height),
            frame_rate: frame_rate.as_deref().map(str::to_owned),
            video_range: video_range.as_deref().map(str::to_owned),
            ..StreamProperties::default()
        }
    };
    Ok(Variant {
        url,
        bandwidth,
        average_bandwidth,
        codecs,
        resolution,
        frame_rate: frame_rate.as_deref().and_then(numbers::decimal),
        video_range,
        audio_group,
        name,
        properties,
        audio_codecs: by_kind.audio,
        has_unknown_codec: by_kind.has_unknown,
    })
}

/// `None` for a type that is not known.
fn rendition(reader: &mut Reader<'_, '_>, list: &str) -> Result<Option<Rendition>, PlaylistError> {
    let (mut kind, mut group, mut name, mut language) = (None, None, None, None);
    let (mut channels, mut url, mut default, mut autoselect) = (None, None, false, false);
    for attribute in Attributes::of(list) {
        match attribute.name {
            "TYPE" => {
                kind = match attribute.value {
                    "AUDIO" => Some(RenditionKind::Audio),
                    "VIDEO" => Some(RenditionKind::Video),
                    "SUBTITLES" => Some(RenditionKind::Subtitles),
                    "CLOSED-CAPTIONS" => Some(RenditionKind::ClosedCaptions),
                    _ => None,
                }
            }
            "GROUP-ID" => group = Some(reader.kept(&attribute)?),
            "NAME" => name = Some(reader.kept(&attribute)?),
            "LANGUAGE" => language = Some(reader.kept(&attribute)?),
            "CHANNELS" => channels = Some(reader.kept(&attribute)?),
            "URI" => url = reader.attribute_url(&attribute)?,
            "DEFAULT" => default = attribute.value == "YES",
            "AUTOSELECT" => autoselect = attribute.value == "YES",
            _ => {}
        }
    }
    let group = group.unwrap_or_else(|| Arc::from(""));
    Ok(kind.map(|kind| Rendition { kind, group, name, language, channels, url, default, autoselect }))
}

/// `<width>x<height>` and nothing else: hls.js takes no other form, and stream ids depend on it.
fn size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    Some((number(width)?, number(height)?))
}

/// A decimal integer as hls.js reads it: not a number without digits, infinite where JavaScript stops counting exactly.
fn js_integer(text: &str) -> f64 {
    const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = text[..digits].parse().unwrap_or(f64::NAN);
    if number > MAX_SAFE_INTEGER { f64::INFINITY } else { number }
}
