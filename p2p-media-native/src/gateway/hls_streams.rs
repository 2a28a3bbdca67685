//! The streams of an HLS presentation: opened when players read their playlists.

use std::collections::HashMap;
use std::sync::Arc;

use p2p_media_core::media::StreamKey;
use p2p_media_core::session::Session;
use p2p_media_hls::{MediaPlaylist, MultivariantPlaylist, PlaylistStream, StreamTimeline, Variables};

use super::presentation::{StreamFigures, SwarmNames};
use super::segment_table::SegmentTable;

/// Playlist URLs known of one presentation. More come only from a manifest that gives its playlists new URLs each time it is read.
const MAX_PLAYLIST_URLS: usize = 20_000;

/// What the playlists of one presentation have said so far.
#[derive(Debug, Default)]
pub(super) struct HlsStreams {
    variables: Arc<Variables>,
    streams: Vec<SharedStream>,
    /// Media playlists by name: the stream of each, or none for those whose segments are not shared (subtitles, trick play).
    playlists: HashMap<String, Option<usize>>,
}

#[derive(Debug)]
struct SharedStream {
    stream: PlaylistStream,
    swarm_id: String,
    /// Set once its playlist has been read.
    opened: Option<OpenedStream>,
}

#[derive(Debug)]
struct OpenedStream {
    key: StreamKey,
    timeline: StreamTimeline,
    live: bool,
}

impl HlsStreams {
    /// Takes in a version of the multivariant playlist: its streams and variables.
    pub(super) fn read_multivariant(&mut self, playlist: &MultivariantPlaylist, names: &SwarmNames, name_of: impl Fn(&str) -> String) {
        self.variables = Arc::new(playlist.variables.clone());
        if self.playlists.len() > MAX_PLAYLIST_URLS {
            self.playlists.clear();
        }
        let renditions = playlist.renditions.iter().filter_map(|rendition| rendition.url.as_ref());
        let variants = playlist.variants.iter().map(|variant| &variant.url);
        for url in renditions.chain(variants).chain(&playlist.i_frame_playlists) {
            self.playlists.insert(name_of(url), None);
        }
        for stream in playlist.streams() {
            self.add_stream(name_of(&stream.url), stream, names);
        }
    }

    /// Takes in a version of a media playlist. One that no multivariant playlist named is a presentation of its own.
    pub(super) fn read_media(
        &mut self,
        name: &str,
        own_url: &str,
        playlist: &MediaPlaylist,
        names: &SwarmNames,
        session: &Session,
        table: &mut SegmentTable,
    ) {
        if self.playlists.is_empty() {
            self.add_stream(name.to_owned(), PlaylistStream::of_media_playlist(own_url), names);
        }
        let Some(index) = self.playlists.get(name).copied().flatten() else { return };
        if self.streams[index].opened.is_none() {
            let others = self.streams.iter().filter(|_| playlist.live);
            let first_start = others.filter_map(|other| other.opened.as_ref()?.timeline.start_of(playlist)).next();
            let (kind, swarm_id) = (self.streams[index].stream.kind, self.streams[index].swarm_id.clone());
            let Ok(key) = session.add_stream(kind, swarm_id) else { return };
            let timeline = StreamTimeline::starting_at(first_start.unwrap_or(0.0));
            self.streams[index].opened = Some(OpenedStream { key, timeline, live: playlist.live });
        }
        let SharedStream { stream, opened: Some(opened), .. } = &mut self.streams[index] else { return };
        let update = opened.timeline.refresh(playlist);
        opened.live = update.live;
        table.list(opened.key, stream.kind, &update);
        if let Err(error) = session.update_stream(opened.key, update) {
            tracing::debug!(%error, playlist = name, "the engine does not hear of new segments");
        }
    }

    /// What a media playlist of this name may import; `None` when it is none of this presentation's.
    pub(super) fn variables_for(&self, name: &str) -> Option<Arc<Variables>> {
        self.playlists.contains_key(name).then(|| Arc::clone(&self.variables))
    }

    pub(super) fn figures(&self, table: &SegmentTable) -> Vec<StreamFigures> {
        let opened = self.streams.iter().filter_map(|shared| Some((shared, shared.opened.as_ref()?)));
        let figures = opened.map(|(shared, opened)| StreamFigures {
            kind: shared.stream.kind.as_str(),
            playlist: Some(shared.stream.url.to_string()),
            representation: None,
            swarm_id: shared.swarm_id.clone(),
            live: opened.live,
            segments: table.count(opened.key),
        });
        figures.collect()
    }

    /// Variants that differ in nothing but their URL are one stream.
    fn add_stream(&mut self, name: String, stream: PlaylistStream, names: &SwarmNames) {
        let known = self.streams.iter().position(|known| known.stream.kind == stream.kind && known.stream.id == stream.id);
        let index = known.unwrap_or_else(|| {
            let swarm_id = stream.swarm_id(&names.label, &names.base);
            self.streams.push(SharedStream { stream, swarm_id, opened: None });
            self.streams.len() - 1
        });
        self.playlists.insert(name, Some(index));
    }
}
