//! What a manifest offers to play.

use std::sync::Arc;

use p2p_media_core::media::StreamKind;

/// One rendition: an HLS variant, a DASH video representation, separate audio, or the media playlist that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    pub(super) index: usize,
    pub(super) kind: StreamKind,
    /// What names its swarm, with the manifest.
    pub(super) stream_id: Arc<str>,
    pub(super) url: Arc<str>,
    /// Peak bits per second, where the manifest says.
    pub bandwidth: Option<u64>,
    /// Pixels across and down.
    pub resolution: Option<(u32, u32)>,
    /// Codecs as RFC 6381 lists them; of an HLS variant, those of its audio too.
    pub codecs: Option<Arc<str>>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Name to show.
    pub name: Option<Arc<str>>,
    /// Language tag (RFC 5646).
    pub language: Option<Arc<str>>,
    /// To be played unless the viewer chooses another of its group.
    pub is_default: bool,
    /// Tracks with equal numbers are the same content in other qualities, to switch between while playing.
    pub switching_set: usize,
    /// Of a main track: the group of its audio.
    pub(super) audio_group: Option<Arc<str>>,
    /// Of separate audio: the groups that it is in.
    pub(super) groups: Vec<Arc<str>>,
}

impl Track {
    /// Whether it is a main track; else it is separate audio.
    pub fn is_main(&self) -> bool {
        self.kind == StreamKind::Main
    }

    /// Its media playlist (HLS), or the MPD that it is in (DASH).
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn new(index: usize, kind: StreamKind, stream_id: &str, url: &str) -> Self {
        Self {
            index,
            kind,
            stream_id: stream_id.into(),
            url: url.into(),
            bandwidth: None,
            resolution: None,
            codecs: None,
            frame_rate: None,
            name: None,
            language: None,
            is_default: false,
            switching_set: 0,
            audio_group: None,
            groups: Vec::new(),
        }
    }
}

#[cfg(test)]
impl Track {
    /// A main track that differs from others in what quality is about.
    pub(crate) fn for_tests(bandwidth: u64, height: u32) -> Self {
        let track = Self::new(0, StreamKind::Main, &height.to_string(), "https://a.test/m");
        Self { bandwidth: Some(bandwidth), resolution: Some((height * 16 / 9, height)), ..track }
    }
}
