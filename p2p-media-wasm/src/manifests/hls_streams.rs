//! The streams of an HLS presentation: known when the player reads their playlists.

use std::collections::HashMap;

use p2p_media_hls::{MediaPlaylist, MultivariantPlaylist, Playlist, PlaylistStream, StreamTimeline, Variables};

use super::names::manifest_name;
use super::news::News;

/// Playlist URLs known of one presentation. More come only from a manifest that gives its playlists new URLs each time it is read.
const MAX_PLAYLIST_URLS: usize = 20_000;

/// What the playlists of one presentation have said so far.
#[derive(Debug, Default)]
pub(super) struct HlsStreams {
    variables: Variables,
    streams: Vec<SharedStream>,
    /// Media playlists by name: the stream of each, or none for those whose segments are not shared (subtitles, trick play).
    playlists: HashMap<String, Option<usize>>,
}

#[derive(Debug)]
struct SharedStream {
    stream: PlaylistStream,
    /// Set once its playlist has been read.
    timeline: Option<StreamTimeline>,
}

impl HlsStreams {
    /// Takes in a version of any of its playlists.
    pub(super) fn read(&mut self, name: &str, own_url: &str, text: &[u8], news: &mut News) -> Result<(), String> {
        match p2p_media_hls::parse(text, own_url, &self.variables).map_err(|error| error.to_string())? {
            Playlist::Multivariant(playlist) => self.read_multivariant(&playlist),
            Playlist::Media(playlist) => self.read_media(name, own_url, &playlist, news),
        }
        Ok(())
    }

    /// True for one of its media playlists.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.playlists.contains_key(name)
    }

    /// The names of its media playlists.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.playlists.keys().map(String::as_str)
    }

    fn read_multivariant(&mut self, playlist: &MultivariantPlaylist) {
        self.variables = playlist.variables.clone();
        if self.playlists.len() > MAX_PLAYLIST_URLS {
            self.playlists.clear();
        }
        let renditions = playlist.renditions.iter().filter_map(|rendition| rendition.url.as_ref());
        let variants = playlist.variants.iter().map(|variant| &variant.url);
        for url in renditions.chain(variants).chain(&playlist.i_frame_playlists) {
            self.playlists.insert(manifest_name(url), None);
        }
        for stream in playlist.streams() {
            self.add_stream(manifest_name(&stream.url), stream);
        }
    }

    /// One that no multivariant playlist named is a presentation of its own.
    fn read_media(&mut self, name: &str, own_url: &str, playlist: &MediaPlaylist, news: &mut News) {
        if self.playlists.is_empty() {
            self.add_stream(name.to_owned(), PlaylistStream::of_media_playlist(own_url));
        }
        let Some(index) = self.playlists.get(name).copied().flatten() else { return };
        // A live rendition that is read later begins where the others say that it does.
        let others = self.streams.iter().filter(|_| playlist.live).filter_map(|other| other.timeline.as_ref());
        let first_start = others.filter_map(|timeline| timeline.start_of(playlist)).next().unwrap_or(0.0);
        let Some(shared) = self.streams.get_mut(index) else { return };
        let update = shared.timeline.get_or_insert_with(|| StreamTimeline::starting_at(first_start)).refresh(playlist);
        news.add(index, shared.stream.kind, &shared.stream.id, update);
    }

    /// Variants that differ in nothing but their URL are one stream.
    fn add_stream(&mut self, name: String, stream: PlaylistStream) {
        let known = self.streams.iter().position(|known| known.stream.kind == stream.kind && known.stream.id == stream.id);
        let index = known.unwrap_or_else(|| {
            self.streams.push(SharedStream { stream, timeline: None });
            self.streams.len() - 1
        });
        self.playlists.insert(name, Some(index));
    }
}
