//! Where there is a validator: which peers' bytes may stand beside those of others, and be passed on, before they are checked.
//!
//! A peer has proved itself once a segment to which it gave has passed its check, and until one has not. Before that nobody but the origin gives
//! to a segment beside it, it is not followed, and nothing of it is passed on: so wrong bytes are surely its own, and reach nobody else.

use super::Engine;
use super::downloads::{Download, Refusal, Source};
use super::input::ConnectionId;
use super::streams::options;
use crate::media::SegmentKey;

impl Engine {
    /// True when what peers give of a segment is checked before it is used.
    pub(super) fn checks_peers(&self, download: &Download) -> bool {
        download.held_back && options(&self.config, download.kind).validate_p2p_segment
    }

    fn is_proven(&self, connection: ConnectionId) -> bool {
        self.peers.get(&connection).is_some_and(|peer| peer.is_proven)
    }

    /// True when a peer that has a segment whole may bring some of it, beside those that have brought or bring some.
    pub(super) fn may_join(&self, download: &Download, connection: ConnectionId) -> bool {
        let mut others = peers_of(download).filter(|other| *other != connection).peekable();
        !self.checks_peers(download) || others.peek().is_none() || (self.is_proven(connection) && others.all(|other| self.is_proven(other)))
    }

    /// True when a peer that is itself loading a segment may be asked for it.
    pub(super) fn may_follow(&self, download: &Download, connection: ConnectionId) -> bool {
        let is_trusted = || self.checks_peers(download) && self.is_proven(connection) && self.may_join(download, connection);
        !download.held_back || is_trusted()
    }

    /// True when what is here and what comes of a segment may go to followers as it comes.
    pub(super) fn may_be_passed_on(&self, download: &Download) -> bool {
        let origin_is_trusted = || !options(&self.config, download.kind).validate_http_segment;
        !download.held_back || (origin_is_trusted() && peers_of(download).all(|peer| self.is_proven(peer)))
    }

    /// A peer was asked for some of a segment: those that follow our transfer must not get what an unproven one sends.
    pub(super) fn spare_followers(&mut self, key: SegmentKey) {
        if self.downloads.by_segment.get(&key).is_some_and(|download| !self.may_be_passed_on(download)) {
            self.end_followers(key);
        }
    }

    /// A segment to which these gave has passed its check, or has not.
    pub(super) fn note_check(&mut self, givers: &[ConnectionId], is_right: bool) {
        for giver in givers {
            if let Some(peer) = self.peers.get_mut(giver) {
                peer.is_proven = is_right;
            }
        }
    }

    /// The origin does not agree with a size that only a peer has said: all that came of the segment is dropped, unless a player has it already.
    pub(super) fn drop_hearsay(&mut self, key: SegmentKey) -> bool {
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return false };
        let is_hearsay = download.total_is_hearsay || (download.total.is_none() && !download.given_by.is_empty());
        if !is_hearsay || !(download.players.is_empty() || download.held_back) {
            return false;
        }
        let givers: Vec<_> = download.given_by.iter().copied().collect();
        givers.iter().for_each(|giver| download.refuse(*giver, Refusal::Altogether));
        self.note_check(&givers, false);
        self.stop_source(key);
        self.drop_later_stretches(key);
        if let Some(download) = self.downloads.by_segment.get_mut(&key) {
            download.start_over();
        }
        self.end_followers(key);
        self.dirty_streams.insert(key.stream);
        true
    }
}

/// The peers that have given, or may be giving, bytes of a segment.
fn peers_of(download: &Download) -> impl Iterator<Item = ConnectionId> {
    let sources = download.later.iter().map(|stretch| &stretch.source).chain([&download.source]);
    let running = sources.filter_map(|source| match source {
        Source::Peer(connection) => Some(*connection),
        _ => None,
    });
    download.given_by.iter().copied().chain(running)
}
