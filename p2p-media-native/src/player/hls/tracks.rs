//! The tracks of a multivariant playlist.

use std::sync::Arc;

use p2p_media_hls::{MultivariantPlaylist, PlaylistStream, Rendition, RenditionKind, StreamSource};

use crate::player::tracks::Track;

/// The one track of a media playlist that was opened directly.
pub(super) fn of_media_playlist(url: &str) -> Track {
    new_track(0, &PlaylistStream::of_media_playlist(url))
}

/// The streams of a multivariant playlist.
pub(super) fn of_multivariant(playlist: &MultivariantPlaylist) -> Vec<Track> {
    let streams = playlist.streams().into_iter().enumerate();
    streams.map(|(index, stream)| describe(playlist, stream.source, new_track(index, &stream))).collect()
}

fn new_track(index: usize, stream: &PlaylistStream) -> Track {
    Track::new(index, stream.kind, &stream.id, &stream.url)
}

fn describe(playlist: &MultivariantPlaylist, source: StreamSource, track: Track) -> Track {
    match source {
        StreamSource::MediaPlaylist => track,
        StreamSource::Variant(index) => {
            let Some(variant) = playlist.variants.get(index) else { return track };
            Track {
                bandwidth: variant.bandwidth,
                resolution: variant.resolution,
                codecs: variant.codecs.clone(),
                frame_rate: variant.frame_rate,
                name: variant.name.clone(),
                audio_group: variant.audio_group.clone(),
                ..track
            }
        }
        StreamSource::Rendition(index) => {
            let Some(rendition) = playlist.renditions.get(index) else { return track };
            let same_playlist = |other: &&Rendition| other.kind == RenditionKind::Audio && other.url == rendition.url;
            Track {
                name: rendition.name.clone(),
                language: rendition.language.clone(),
                is_default: rendition.default,
                groups: playlist.renditions.iter().filter(same_playlist).map(|other| Arc::clone(&other.group)).collect(),
                ..track
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use p2p_media_hls::{Playlist, Variables, parse};

    use super::*;

    #[test]
    fn variants_and_audio_are_told_apart_and_belong_together() {
        let text = b"#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Deutsch\",LANGUAGE=\"de\",URI=\"de.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"Deutsch\",LANGUAGE=\"de\",DEFAULT=YES,URI=\"de.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"x\",URI=\"s.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=5,RESOLUTION=16x9,AUDIO=\"b\"\nv.m3u8\n";
        let Ok(Playlist::Multivariant(playlist)) = parse(text, "https://a.test/m", &Variables::default()) else { panic!() };
        let [video, audio] = &of_multivariant(&playlist)[..] else { panic!() };
        assert!(video.is_main() && !audio.is_main());
        assert_eq!((video.bandwidth, video.resolution, video.audio_group.as_deref()), (Some(5), Some((16, 9)), Some("b")));
        assert_eq!(audio.groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((audio.url(), audio.language.as_deref()), ("https://a.test/de.m3u8", Some("de")));
    }
}
