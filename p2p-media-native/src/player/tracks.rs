//! What a manifest offers to play.

use std::sync::Arc;

use p2p_media_core::media::StreamKind;
use p2p_media_hls::{MultivariantPlaylist, PlaylistStream, RenditionKind, StreamSource};

/// One media playlist: a variant, a separate audio rendition, or the playlist that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    pub(super) index: usize,
    pub(super) stream: PlaylistStream,
    /// Peak bits per second, where the manifest says.
    pub bandwidth: Option<u64>,
    /// Pixels across and down.
    pub resolution: Option<(u32, u32)>,
    /// Codecs as RFC 6381 lists them; of a variant, those of its audio too.
    pub codecs: Option<Arc<str>>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Name to show.
    pub name: Option<Arc<str>>,
    /// Language tag (RFC 5646).
    pub language: Option<Arc<str>>,
    /// To be played unless the viewer chooses another of its group.
    pub is_default: bool,
    /// Of a variant: the group of its audio.
    pub(super) audio_group: Option<Arc<str>>,
    /// Of an audio rendition: the groups that it is in.
    pub(super) groups: Vec<Arc<str>>,
}

impl Track {
    /// Whether it is a main track; else it is separate audio.
    pub fn is_main(&self) -> bool {
        self.stream.kind == StreamKind::Main
    }

    /// Its media playlist.
    pub fn url(&self) -> &str {
        &self.stream.url
    }

    fn new(index: usize, stream: PlaylistStream) -> Self {
        Self {
            index,
            stream,
            bandwidth: None,
            resolution: None,
            codecs: None,
            frame_rate: None,
            name: None,
            language: None,
            is_default: false,
            audio_group: None,
            groups: Vec::new(),
        }
    }
}

#[cfg(test)]
impl Track {
    /// A main track that differs from others in what quality is about.
    pub(crate) fn for_tests(bandwidth: u64, height: u32) -> Self {
        let track = of_media_playlist(&format!("https://a.test/{height}.m3u8"));
        Self { bandwidth: Some(bandwidth), resolution: Some((height * 16 / 9, height)), ..track }
    }
}

/// The one track of a media playlist that was opened directly.
pub(super) fn of_media_playlist(url: &str) -> Track {
    Track::new(0, PlaylistStream::of_media_playlist(url))
}

/// The streams of a multivariant playlist.
pub(super) fn of_multivariant(playlist: &MultivariantPlaylist) -> Vec<Track> {
    let streams = playlist.streams().into_iter().enumerate();
    streams.map(|(index, stream)| describe(playlist, Track::new(index, stream))).collect()
}

fn describe(playlist: &MultivariantPlaylist, track: Track) -> Track {
    match track.stream.source {
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
            let same_playlist = |other: &&p2p_media_hls::Rendition| other.kind == RenditionKind::Audio && other.url == rendition.url;
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
