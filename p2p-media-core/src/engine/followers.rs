//! Cut-through, the giving side: peers of ours get the bytes of a segment that we are loading ourselves, as they arrive.

use super::Engine;
use super::downloads::{Download, Source};
use super::input::ConnectionId;
use super::uploads::{Upload, UploadState};
use crate::media::{SegmentKey, StreamKey};
use crate::peer_protocol::Command;
use crate::timestamp::Timestamp;

/// Peers that may follow our transfers at one time. They take no upload slot: what they get is bounded by what we get.
const MOST_FOLLOWERS: usize = 32;
/// Peers that may follow one transfer: more would get little each, and find others that are loading the segment.
const MOST_FOLLOWERS_OF_ONE: usize = 6;
/// A peer has been served when no more than this is under way to it.
const UNSENT_BYTES_OF_A_TURN: usize = 16 << 10;
/// A peer to which nothing could be handed out for this long keeps nobody waiting.
const LONGEST_TURN_S: f64 = 0.1;
/// Whoever gets media from us should get it at this many times its rate: later it would be too late for those further down.
const SERVED_AT_RATES: f64 = 2.0;
/// However slow the uplink, so many whole segments are on their way at one time.
const FEWEST_SLOTS: usize = 2;

impl Engine {
    /// Takes a request for a segment that we are loading; false when it must be refused. The bytes here already are sent at once.
    pub(super) fn follow(&mut self, connection: ConnectionId, asked: &Upload) -> bool {
        let key = asked.segment;
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return false };
        let is_running = match download.source {
            Source::Http(_) => true,
            // Whoever gives it to us does not need it from us.
            Source::Peer(source) => source != connection,
            // The origin failed, and is asked again soon.
            Source::None => download.http_failures > 0,
            Source::Validation(..) => false,
        };
        let total = download.total;
        let is_beyond = total.is_some_and(|total| asked.first_byte > total);
        // What comes at the pace at which it is made is no burden.
        let carries_more = self.downloads.by_segment.get(&key).is_some_and(Download::is_paced) || self.uplink_carries_more(key.stream);
        let may_be_passed_on = self.downloads.by_segment.get(&key).is_some_and(|download| self.may_be_passed_on(download));
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return false };
        let Some(peer) = self.peers.get_mut(&connection) else { return false };
        let is_full = !carries_more || self.uploads.following >= MOST_FOLLOWERS || download.followers.len() >= MOST_FOLLOWERS_OF_ONE;
        if !is_running || is_beyond || is_full || !may_be_passed_on || !peer.id.is_ours() {
            return false;
        }
        download.followers.insert(connection);
        self.uploads.following += 1;
        self.uploads.turns += 1;
        let state = UploadState::Following { offset: asked.first_byte };
        // What should be with all soon is soonest with all if one gets it after the other: who has it first passes it on meanwhile.
        let after = download.last_follower.filter(|last| download.is_paced() && *last != connection);
        download.last_follower = Some(connection);
        self.uploads.in_turn += usize::from(after.is_some());
        peer.upload = Some(Upload { size_is_told: total.is_some(), after, turn: self.uploads.turns, state, ..*asked });
        let remaining = total.map(|total| total.min(asked.end) - asked.first_byte);
        let data = Command::Data { segment: key.id, request: asked.request, remaining };
        self.send_command(connection, &data);
        self.continue_upload(connection);
        true
    }

    /// True while our uplink probably carries another stream beside those that it carries. One is always tried.
    fn uplink_carries_more(&self, stream: StreamKey) -> bool {
        let receivers = self.uploads.following + self.uploads.active;
        receivers == 0 || self.served_at_once(stream).is_none_or(|served| served >= (receivers + 1) as f64)
    }

    /// How many peers our uplink serves well at one time, as far as is known.
    fn served_at_once(&self, stream: StreamKey) -> Option<f64> {
        // Parts are too small to wait for each other.
        let rate = self.streams.get(&stream).filter(|state| !state.in_parts)?.bytes_per_media_s.get()?;
        Some(self.uploads.uplink.bytes_per_s(self.now)? / (rate * SERVED_AT_RATES).max(1.0))
    }

    /// Uploads at one time: the configured number, or fewer where the uplink serves fewer well.
    pub(super) fn upload_slots(&self, stream: StreamKey) -> usize {
        let served = self.served_at_once(stream).map_or(usize::MAX, |served| served as usize);
        self.config.upload_slots.min(served.max(FEWEST_SLOTS))
    }

    /// True when our uplink has been seen to carry hardly more than the stream itself: others should not depend on it.
    pub(super) fn uplink_is_weak(&self, stream: StreamKey) -> bool {
        self.served_at_once(stream).is_some_and(|served| served < 1.0)
    }

    /// More of a segment is here.
    pub(super) fn feed_followers(&mut self, key: SegmentKey) {
        for connection in self.followers_of(key) {
            self.continue_upload(connection);
        }
    }

    /// The size of a segment is known now. What only a peer has said is passed on too: we see to it that as much comes, or end with `Absent`.
    pub(super) fn tell_followers_the_size(&mut self, key: SegmentKey) {
        let Some(total) = self.downloads.by_segment.get(&key).and_then(|download| download.total) else { return };
        for connection in self.followers_of(key) {
            let Some(upload) = self.peers.get_mut(&connection).and_then(|peer| peer.upload.as_mut()) else { continue };
            if upload.first_byte <= total && !std::mem::replace(&mut upload.size_is_told, true) {
                let remaining = Some(total.min(upload.end) - upload.first_byte);
                let data = Command::Data { segment: key.id, request: upload.request, remaining };
                self.send_command(connection, &data);
            }
        }
    }

    /// All of a segment is here: its followers get the rest as any peer would.
    pub(super) fn complete_followers(&mut self, download: &Download) {
        for connection in download.followers.iter().copied() {
            let Some(upload) = self.peers.get_mut(&connection).and_then(|peer| peer.upload.as_mut()) else { continue };
            let UploadState::Following { offset } = upload.state else { continue };
            upload.state = UploadState::Sending { bytes: download.bytes.clone(), offset };
            upload.moved_at = self.now;
            self.uploads.following -= 1;
            self.uploads.active += 1;
            if upload.first_byte > download.bytes.len() {
                self.refuse_upload(connection);
            } else {
                self.continue_upload(connection);
            }
        }
    }

    /// A segment will not come from us after all: its followers go on elsewhere at the byte they have reached.
    pub(super) fn end_followers(&mut self, key: SegmentKey) {
        for connection in self.followers_of(key) {
            self.refuse_upload(connection);
        }
    }

    /// When a peer may be served at the latest, if there is another one to be served before it.
    pub(super) fn turn_at(&self, connection: ConnectionId) -> Timestamp {
        let Some(upload) = self.peers.get(&connection).and_then(|peer| peer.upload.as_ref()) else { return self.now };
        let Some(before) = upload.after.and_then(|before| self.peers.get(&before)) else { return self.now };
        let is_served = before.upload.as_ref().is_none_or(|other| {
            let has_all_so_far = match other.state {
                UploadState::Following { offset } => {
                    self.downloads.by_segment.get(&other.segment).is_none_or(|download| download.bytes.len() <= offset)
                }
                _ => false,
            };
            other.segment != upload.segment || other.turn >= upload.turn || has_all_so_far
        });
        if is_served && before.unsent_bytes <= UNSENT_BYTES_OF_A_TURN { self.now } else { before.useful_at.offset_secs(LONGEST_TURN_S) }
    }

    /// A peer has got some of what was under way: perhaps it is another's turn.
    pub(super) fn continue_uploads_after(&mut self, connection: ConnectionId) {
        if self.uploads.in_turn == 0 {
            return;
        }
        let is_next = |upload: &Upload| upload.after == Some(connection);
        let next = self.peers.iter().filter(|(_, peer)| peer.upload.as_ref().is_some_and(is_next));
        for next in next.map(|(next, _)| *next).collect::<Vec<_>>() {
            self.continue_upload(next);
        }
    }

    fn followers_of(&self, key: SegmentKey) -> Vec<ConnectionId> {
        self.downloads.by_segment.get(&key).map_or_else(Vec::new, |download| download.followers.iter().copied().collect())
    }
}
