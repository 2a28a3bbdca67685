//! Which streams of a playlist viewers share, and the ids that make a swarm of them: the ids that P2P Media Loader derives from hls.js.

use std::collections::HashSet;
use std::sync::Arc;

use p2p_media_core::identity::{StreamProperties, stream_id, stream_swarm_id};
use p2p_media_core::media::{Stream, StreamKey, StreamKind};

use crate::playlist::{MultivariantPlaylist, Rendition, RenditionKind, Variant};

/// Where in a playlist a stream comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamSource {
    /// [`MultivariantPlaylist::variants`] at this index.
    Variant(usize),
    /// [`MultivariantPlaylist::renditions`] at this index.
    Rendition(usize),
    /// A media playlist opened directly.
    MediaPlaylist,
}

/// A stream to share: a media playlist with the id that all viewers derive alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaylistStream {
    /// Main for variants, secondary for audio renditions.
    pub kind: StreamKind,
    /// Its media playlist.
    pub url: Arc<str>,
    /// Where it comes from.
    pub source: StreamSource,
    /// [`p2p_media_core::identity::stream_id`].
    pub id: String,
}

impl PlaylistStream {
    /// The one stream of a media playlist that was opened without a multivariant playlist.
    pub fn of_media_playlist(url: &str) -> Self {
        Self {
            kind: StreamKind::Main,
            url: Arc::from(url),
            source: StreamSource::MediaPlaylist,
            id: stream_id(&StreamProperties::default()),
        }
    }

    /// The swarm that it is shared in; `label` and `base` as [`stream_swarm_id`] wants them.
    pub fn swarm_id(&self, label: &str, base: &str) -> String {
        stream_swarm_id(label, base, self.kind, &self.id)
    }

    /// What the engine registers.
    pub fn to_stream(&self, key: StreamKey, label: &str, base: &str) -> Stream {
        Stream { key, kind: self.kind, swarm_id: Arc::from(self.swarm_id(label, base)) }
    }
}

impl MultivariantPlaylist {
    /// The streams to share: one for every variant and every audio rendition with a playlist of its own. A playlist that is named twice is
    /// one stream, that of its first mention. Variants that differ in nothing but their URL (backup copies) have equal ids.
    pub fn streams(&self) -> Vec<PlaylistStream> {
        let mut known = HashSet::new();
        let variants = self.variants.iter().enumerate().map(|(index, variant)| PlaylistStream {
            kind: StreamKind::Main,
            url: Arc::clone(&variant.url),
            source: StreamSource::Variant(index),
            id: stream_id(&variant.properties),
        });
        let played = self.variants_that_hls_js_plays();
        let audio = self.renditions.iter().enumerate().filter(|(_, rendition)| rendition.kind == RenditionKind::Audio);
        let renditions = audio.filter_map(|(index, rendition)| {
            let url = Arc::clone(rendition.url.as_ref()?);
            let id = stream_id(&audio_properties(rendition, &played));
            Some(PlaylistStream { kind: StreamKind::Secondary, url, source: StreamSource::Rendition(index), id })
        });
        variants.chain(renditions).filter(|stream| known.insert(Arc::clone(&stream.url))).collect()
    }

    /// Variants with a codec of unknown kind are passed over, unless there are no others.
    fn variants_that_hls_js_plays(&self) -> Vec<&Variant> {
        let known: Vec<&Variant> = self.variants.iter().filter(|variant| !variant.has_unknown_codec).collect();
        if known.is_empty() { self.variants.iter().collect() } else { known }
    }
}

/// An audio rendition has the audio codecs of the first variant that uses its group, or else of the first variant.
fn audio_properties(rendition: &Rendition, variants: &[&Variant]) -> StreamProperties {
    let in_group = variants.iter().find(|variant| variant.audio_group.as_deref() == Some(&*rendition.group));
    let owned = |text: &Option<Arc<str>>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    StreamProperties {
        codecs: in_group.or(variants.first()).and_then(|variant| variant.audio_codecs.clone()),
        language: owned(&rendition.language),
        channels: owned(&rendition.channels),
        name: owned(&rendition.name).or_else(|| owned(&rendition.language)),
        ..StreamProperties::default()
    }
}
