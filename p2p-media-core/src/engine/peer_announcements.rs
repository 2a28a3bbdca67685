//! What peers are told that we have: whole segments to all; to peers of ours also parts, and what we are loading and pass on.

use super::Engine;
use super::downloads::Source;
use super::streams::options;
use crate::media::{SegmentId, StreamKey};
use crate::peer_protocol::{Command, sort_nearest_first};

impl Engine {
    /// Tells every peer of a stream what we have. Official peers are spared what does not concern them: the same again.
    pub(super) fn announce_to_peers(&mut self, stream: StreamKey) {
        let Some(state) = self.streams.get(&stream) else { return };
        if state.swarm.is_none() {
            return;
        }
        let limit = options(&self.config, state.stream.kind).webrtc_max_message_size;
        let peers = self.peers_of(stream).map(|(connection, peer)| (*connection, peer.id.is_ours()));
        let (ours, official): (Vec<_>, Vec<_>) = peers.partition(|(_, is_ours)| *is_ours);
        let frames_for = |peers: &[_], are_ours| {
            if peers.is_empty() { Vec::new() } else { self.announcement(stream, are_ours).encode(limit) }
        };
        let (frames, official_frames) = (frames_for(&ours, true), frames_for(&official, false));
        for (connection, _) in ours {
            self.send_frames(connection, &frames);
        }
        let Some(swarm) = self.streams.get_mut(&stream).and_then(|state| state.swarm.as_mut()) else { return };
        if swarm.official_announcement != official_frames {
            for (connection, _) in official {
                self.send_frames(connection, &official_frames);
            }
            if let Some(swarm) = self.streams.get_mut(&stream).and_then(|state| state.swarm.as_mut()) {
                swarm.official_announcement = official_frames;
            }
        }
    }

    pub(super) fn announcement(&self, stream: StreamKey, to_ours: bool) -> Command {
        let nothing = || Command::Announcement { loaded: Vec::new(), loading: Vec::new(), relaying: None };
        let Some(state) = self.streams.get(&stream) else { return nothing() };
        let stream_options = options(&self.config, state.stream.kind);
        if stream_options.p2p_upload_disabled || stream_options.p2p_disabled {
            return nothing();
        }
        let is_told = |id: &SegmentId| to_ours || !id.is_part();
        let mut loaded: Vec<SegmentId> = self.stored.ids_of(stream).filter(is_told).collect();
        let position = self.playhead.position(self.now);
        if let Some(next) = state.segments.between(position, f64::INFINITY, state.in_parts && to_ours).next() {
            sort_nearest_first(&mut loaded, next.id);
        }
        let (mut loading, mut relayed) = (Vec::new(), Vec::new());
        for (key, download) in self.downloads.of_stream(stream).filter(|(key, _)| is_told(&key.id)) {
            match download.source {
                Source::Http(_) => loading.push(key.id),
                Source::Peer(_) if self.may_be_passed_on(download) => relayed.push(key.id),
                Source::Peer(_) => {}
                Source::None | Source::Validation(..) => {}
            }
        }
        // What a validator must see first is not passed on, and a weak uplink is no place to wait at.
        if self.uplink_is_weak(stream) {
            relayed.clear();
        }
        let passes_on = to_ours && !stream_options.validate_http_segment;
        Command::Announcement { loaded, loading, relaying: passes_on.then_some(relayed) }
    }
}
