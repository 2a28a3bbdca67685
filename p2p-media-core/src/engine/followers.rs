//! Cut-through, the giving side: peers of ours get the bytes of a segment that we are loading ourselves, as they arrive.

use super::Engine;
use super::downloads::{Download, Source};
use super::input::ConnectionId;
use super::uploads::{Upload, UploadState};
use crate::media::SegmentKey;
use crate::peer_protocol::Command;

/// Peers that may follow our transfers at one time. They take no upload slot: what they get is bounded by what we get.
const MOST_FOLLOWERS: usize = 32;
/// Peers that may follow one transfer: more would get little each, and find others that are loading the segment.
const MOST_FOLLOWERS_OF_ONE: usize = 6;

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
        let Some(peer) = self.peers.get_mut(&connection) else { return false };
        let is_full = self.uploads.following >= MOST_FOLLOWERS || download.followers.len() >= MOST_FOLLOWERS_OF_ONE;
        if !is_running || is_beyond || is_full || download.held_back || !peer.id.is_ours() {
            return false;
        }
        download.followers.insert(connection);
        self.uploads.following += 1;
        let state = UploadState::Following { offset: asked.first_byte };
        peer.upload = Some(Upload { size_is_told: total.is_some(), state, ..*asked });
        let remaining = total.map(|total| total.min(asked.end) - asked.first_byte);
        let data = Command::Data { segment: key.id, request: asked.request, remaining };
        self.send_command(connection, &data);
        self.continue_upload(connection);
        true
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

    fn followers_of(&self, key: SegmentKey) -> Vec<ConnectionId> {
        self.downloads.by_segment.get(&key).map_or_else(Vec::new, |download| download.followers.iter().copied().collect())
    }
}
