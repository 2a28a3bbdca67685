//! What we send to peers: one segment at a time to each, a limited number of peers at a time, no faster than allowed.

use std::collections::VecDeque;

use super::Engine;
use super::deadlines::Deadline;
use super::downloads::Download;
use super::input::{ConnectionId, LoadId};
use super::output::Output;
use super::streams::options;
use super::uplink::Uplink;
use crate::error::CloseReason;
use crate::event::Event;
use crate::media::{SegmentId, SegmentKey};
use crate::peer_protocol::{Command, RequestId, payload_chunk};
use crate::segment_bytes::SegmentBytes;
use crate::timestamp::Timestamp;

/// Bytes handed out for one peer that have not left yet, beyond which no more media is handed out.
const MOST_UNSENT_BYTES: usize = 128 << 10;
/// Media bytes in one message. A browser's socket holds 64 KiB of packets; whatever is sent at once beyond that is lost when the browser is
/// busy for some milliseconds, and a second or more passes before SCTP notices the loss of what nothing follows.
const MOST_PAYLOAD_BYTES: usize = 16 << 10;
/// A peer that lets this much pile up does not read; media alone never gets here.
const UNSENT_BYTES_OF_A_DEAD_PEER: usize = 8 << 20;
/// An upload that has not moved for this long gives up its slot when others wait.
const STUCK_UPLOAD_S: f64 = 5.0;
/// Peers that may wait for a slot; the next one is told that we do not have the segment.
const MOST_WAITING: usize = 256;
/// The same where the uplink is known to be slow.
const MOST_WAITING_FOR_SLOW: usize = 4;
/// Reads from storage for one peer that have not ended; a peer that asks faster is told that we do not have the segment.
const MOST_READS_PER_PEER: usize = 4;
/// Seconds' worth of the upload limit that may be sent in one burst.
const PACER_BURST_S: f64 = 0.25;

/// A segment on its way to a peer.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) segment: SegmentKey,
    pub(super) request: RequestId,
    pub(super) first_byte: u64,
    /// The byte after the last one wanted; beyond the end where all are.
    pub(super) end: u64,
    pub(super) moved_at: Timestamp,
    /// The peer was told how many bytes come.
    pub(super) size_is_told: bool,
    /// The peer that is served before this one.
    pub(super) after: Option<ConnectionId>,
    /// Rises with every follower, so that nobody waits for one that came later.
    pub(super) turn: u64,
    pub(super) state: UploadState,
}

#[derive(Debug)]
pub(super) enum UploadState {
    /// For a slot.
    Waiting,
    /// For storage.
    Loading(LoadId),
    /// Up to here it has been handed out.
    Sending { bytes: SegmentBytes, offset: u64 },
    /// We are loading it ourselves; up to here it has been handed out.
    Following { offset: u64 },
}

/// Who waits for a slot, and how fast we may send.
#[derive(Debug)]
pub(super) struct UploadQueue {
    waiting: VecDeque<ConnectionId>,
    /// Slots in use. Peers whose segment became complete while they followed it keep on beyond the limit: they have little left to get.
    pub(super) active: usize,
    /// Peers that follow a transfer of ours, without a slot.
    pub(super) following: usize,
    pub(super) turns: u64,
    /// Uploads that wait for another's turn.
    pub(super) in_turn: usize,
    /// Bytes handed out to all peers that have not left yet.
    pub(super) unsent_bytes: usize,
    pub(super) uplink: Uplink,
    limit_bytes_per_s: Option<u64>,
    allowance_bytes: f64,
    allowance_at: Timestamp,
}

impl UploadQueue {
    pub(super) const fn new(limit_bytes_per_s: Option<u64>, now: Timestamp) -> Self {
        Self {
            waiting: VecDeque::new(),
            active: 0,
            following: 0,
            turns: 0,
            in_turn: 0,
            unsent_bytes: 0,
            uplink: Uplink::new(),
            limit_bytes_per_s,
            allowance_bytes: 0.0,
            allowance_at: now,
        }
    }

    pub(super) const fn set_limit(&mut self, limit_bytes_per_s: Option<u64>) {
        self.limit_bytes_per_s = limit_bytes_per_s;
        self.allowance_bytes = 0.0;
    }

    /// The time at which `bytes` may be sent: `now` or later. What is sent is paid for afterwards, so any chunk passes in the end.
    fn may_send_at(&mut self, now: Timestamp) -> Timestamp {
        let Some(limit) = self.limit_bytes_per_s else { return now };
        let rate = (limit as f64).max(1.0);
        let earned = now.since(self.allowance_at).as_secs_f64() * rate;
        self.allowance_bytes = (self.allowance_bytes + earned).min(rate * PACER_BURST_S);
        self.allowance_at = now;
        if self.allowance_bytes >= 0.0 { now } else { now.offset_secs(-self.allowance_bytes / rate) }
    }

    fn pay(&mut self, bytes: usize) {
        if self.limit_bytes_per_s.is_some() {
            self.allowance_bytes -= bytes as f64;
        }
    }
}

impl Engine {
    /// A peer asks for a segment. The upload in progress, if any, ends.
    pub(super) fn upload_requested(
        &mut self,
        connection: ConnectionId,
        id: SegmentId,
        request: RequestId,
        first_byte: u64,
        last_byte: Option<u64>,
    ) {
        let end = last_byte.map_or(u64::MAX, |last| last.saturating_add(1));
        if self.shorten_upload(connection, id, request, end) {
            return;
        }
        self.end_upload(connection);
        let Some(peer) = self.peers.get(&connection) else { return };
        let segment = SegmentKey { stream: peer.stream, id };
        let stream_options = options(&self.config, peer.kind);
        let refused = stream_options.p2p_upload_disabled || stream_options.p2p_disabled || end <= first_byte;
        let state = UploadState::Waiting;
        let upload = Upload { segment, request, first_byte, end, moved_at: self.now, size_is_told: false, after: None, turn: 0, state };
        if !refused && self.downloads.by_segment.contains_key(&segment) && self.follow(connection, &upload) {
            self.start_waiting_uploads();
            return;
        }
        let refused = refused || !self.stored.contains(segment);
        let reads = self.loads_for_uploads.values().filter(|reader| **reader == connection).count();
        // Who would wait for long is better served by another.
        let is_crowded =
            self.uploads.waiting.len() >= MOST_WAITING_FOR_SLOW && self.upload_slots(segment.stream) < self.config.upload_slots;
        if refused || is_crowded || reads >= MOST_READS_PER_PEER || self.uploads.waiting.len() >= MOST_WAITING {
            self.send_command(connection, &Command::Absent { segment: id, request });
            self.start_waiting_uploads();
            return;
        }
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        peer.upload = Some(upload);
        self.uploads.waiting.push_back(connection);
        self.start_waiting_uploads();
    }

    /// A request with the number of the one in progress only says that less is wanted of the segment: another source brings the rest.
    fn shorten_upload(&mut self, connection: ConnectionId, id: SegmentId, request: RequestId, end: u64) -> bool {
        let Some(peer) = self.peers.get_mut(&connection).filter(|peer| peer.id.is_ours()) else { return false };
        if peer.last_upload == Some((id, request)) {
            return true; // all has been handed out
        }
        let Some(upload) = peer.upload.as_mut().filter(|upload| upload.request == request && upload.segment.id == id) else { return false };
        upload.end = upload.end.min(end).max(upload.first_byte);
        self.continue_upload(connection);
        true
    }

    /// A peer no longer wants a segment; as in the official library the request's number alone decides.
    pub(super) fn upload_cancelled(&mut self, connection: ConnectionId, request: RequestId) {
        if self.peers.get(&connection).and_then(|peer| peer.upload.as_ref()).is_some_and(|upload| upload.request == request) {
            self.end_upload(connection);
            self.start_waiting_uploads();
        }
    }

    /// Ends a peer's upload and frees its slot or place in the queue.
    pub(super) fn end_upload(&mut self, connection: ConnectionId) {
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        let Some(upload) = peer.upload.take() else { return };
        peer.last_upload = Some((upload.segment.id, upload.request));
        self.uploads.in_turn -= usize::from(upload.after.is_some());
        match upload.state {
            UploadState::Waiting => self.uploads.waiting.retain(|waiting| *waiting != connection),
            // The read goes on and stays in the books, or a peer could begin any number of them.
            UploadState::Loading(_) | UploadState::Sending { .. } => self.uploads.active -= 1,
            UploadState::Following { .. } => {
                self.uploads.following -= 1;
                if let Some(download) = self.downloads.by_segment.get_mut(&upload.segment) {
                    download.followers.remove(&connection);
                }
            }
        }
    }

    pub(super) fn start_waiting_uploads(&mut self) {
        let Some(first) = self.uploads.waiting.front().and_then(|first| self.peers.get(first)) else {
            self.uploads.waiting.retain(|waiting| self.peers.contains_key(waiting));
            return;
        };
        let slots = self.upload_slots(first.stream);
        if self.uploads.active >= slots {
            self.free_a_stuck_slot();
        }
        while self.uploads.active < slots {
            let Some(connection) = self.uploads.waiting.pop_front() else { return };
            let load = LoadId(self.ids.next());
            let Some(upload) = self.peers.get_mut(&connection).and_then(|peer| peer.upload.as_mut()) else { continue };
            upload.state = UploadState::Loading(load);
            upload.moved_at = self.now;
            self.uploads.active += 1;
            self.loads_for_uploads.insert(load, connection);
            self.outputs.push_back(Output::Load(load, upload.segment));
        }
    }

    fn free_a_stuck_slot(&mut self) {
        let is_stuck = |upload: &Upload| {
            matches!(upload.state, UploadState::Sending { .. }) && self.now.since(upload.moved_at).as_secs_f64() > STUCK_UPLOAD_S
        };
        let stuck = self.peers.iter().find(|(_, peer)| peer.upload.as_ref().is_some_and(is_stuck)).map(|(connection, _)| *connection);
        if let Some(connection) = stuck {
            self.end_upload(connection);
        }
    }

    /// Storage gave the segment, or does not have it after all.
    pub(super) fn loaded_for_upload(&mut self, load: LoadId, connection: ConnectionId, bytes: Option<SegmentBytes>) {
        let Some(upload) = self.peers.get_mut(&connection).and_then(|peer| peer.upload.as_mut()) else { return };
        if !matches!(upload.state, UploadState::Loading(expected) if expected == load) {
            return;
        }
        let (segment, request, first_byte, end) = (upload.segment, upload.request, upload.first_byte, upload.end);
        match bytes.filter(|bytes| first_byte <= bytes.len()) {
            Some(bytes) => {
                let remaining = Some(bytes.len().min(end) - first_byte);
                upload.state = UploadState::Sending { bytes, offset: first_byte };
                self.stored.touch(segment);
                self.send_command(connection, &Command::Data { segment: segment.id, request, remaining });
                self.continue_upload(connection);
            }
            None => {
                upload.state = UploadState::Sending { bytes: SegmentBytes::new(), offset: 0 };
                self.refuse_upload(connection);
            }
        }
    }

    /// Ends a peer's upload: we do not have the segment, or not any more.
    pub(super) fn refuse_upload(&mut self, connection: ConnectionId) {
        let Some(upload) = self.peers.get(&connection).and_then(|peer| peer.upload.as_ref()) else { return };
        let absent = Command::Absent { segment: upload.segment.id, request: upload.request };
        self.end_upload(connection);
        self.send_command(connection, &absent);
        self.start_waiting_uploads();
    }

    /// Bytes left for a peer: there is room for more.
    pub(super) fn peer_sent(&mut self, connection: ConnectionId, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(&connection) {
            let left = bytes.min(peer.unsent_bytes);
            peer.unsent_bytes -= left;
            self.uploads.unsent_bytes -= left;
            // What is passed on at the pace at which it is made says nothing about the uplink.
            let upload = peer.upload.as_ref().and_then(|upload| self.downloads.by_segment.get(&upload.segment));
            if upload.is_some_and(Download::is_paced) {
                self.uploads.uplink.stop();
            } else {
                let receivers = self.uploads.active + self.uploads.following;
                self.uploads.uplink.sent(self.now, bytes, receivers, self.uploads.unsent_bytes > 0);
            }
            self.continue_upload(connection);
            self.continue_uploads_after(connection);
        }
    }

    /// The upload limit allows more: every peer in turn.
    pub(super) fn continue_uploads(&mut self) {
        let sending: Vec<_> = self.peers.iter().filter(|(_, peer)| peer.upload.is_some()).map(|(connection, _)| *connection).collect();
        for index in 0..sending.len() {
            // Another peer begins each time, so that a tight limit does not starve the last.
            self.continue_upload(sending[(index + self.outputs.len()) % sending.len()]);
        }
    }

    pub(super) fn continue_upload(&mut self, connection: ConnectionId) {
        loop {
            let may_send_at = self.uploads.may_send_at(self.now).max(self.turn_at(connection));
            let Some(peer) = self.peers.get_mut(&connection) else { return };
            let limit = options(&self.config, peer.kind).webrtc_max_message_size.min(MOST_PAYLOAD_BYTES);
            let Some(Upload { segment, request, end, moved_at, state, .. }) = peer.upload.as_mut() else { return };
            let (bytes, offset, is_all) = match state {
                UploadState::Sending { bytes, offset } => (&*bytes, offset, true),
                UploadState::Following { offset } => match self.downloads.by_segment.get(segment) {
                    Some(download) => (&download.bytes, offset, false),
                    None => return,
                },
                UploadState::Waiting | UploadState::Loading(_) => return,
            };
            if peer.unsent_bytes >= MOST_UNSENT_BYTES {
                return;
            }
            let wanted = usize::try_from(end.saturating_sub(*offset)).unwrap_or(limit).min(limit);
            let chunk = if wanted == 0 { None } else { payload_chunk(bytes, *offset, wanted) };
            let Some(chunk) = chunk else {
                if !is_all && wanted > 0 {
                    return; // more will come
                }
                let completed = Command::Completed { segment: segment.id, request: *request };
                self.end_upload(connection);
                self.send_command(connection, &completed);
                self.start_waiting_uploads();
                return;
            };
            if may_send_at > self.now {
                self.deadlines.set_no_later(Deadline::UploadPacing, may_send_at);
                return;
            }
            *offset += chunk.len() as u64;
            *moved_at = self.now;
            peer.unsent_bytes += chunk.len();
            self.uploads.unsent_bytes += chunk.len();
            peer.useful_at = self.now;
            let (bytes, id) = (chunk.len(), peer.id);
            self.uploads.pay(bytes);
            self.uploads.uplink.begin(self.now);
            self.stats.uploaded_bytes += bytes as u64;
            self.outputs.push_back(Output::SendToPeer(connection, chunk));
            self.outputs.push_back(Output::Event(Event::ChunkUploaded { bytes, peer: id }));
        }
    }

    /// Sends a command, however long.
    pub(super) fn send_command(&mut self, connection: ConnectionId, command: &Command) {
        let Some(peer) = self.peers.get(&connection) else { return };
        let frames = command.encode(options(&self.config, peer.kind).webrtc_max_message_size);
        self.send_frames(connection, &frames);
    }

    pub(super) fn send_frames(&mut self, connection: ConnectionId, frames: &[bytes::Bytes]) {
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        if peer.unsent_bytes > UNSENT_BYTES_OF_A_DEAD_PEER {
            self.close_peer(connection, CloseReason::TimedOut);
            return;
        }
        for frame in frames {
            peer.unsent_bytes += frame.len();
            self.uploads.unsent_bytes += frame.len();
            self.outputs.push_back(Output::SendToPeer(connection, frame.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pacer_spends_no_more_than_the_limit() {
        let mut queue = UploadQueue::new(Some(1000), Timestamp::ZERO);
        let mut now = Timestamp::ZERO;
        let mut sent = 0;
        while now < Timestamp::ZERO.offset_secs(10.0) {
            now = queue.may_send_at(now).max(now);
            queue.pay(300);
            sent += 300;
        }
        assert!((9_700..=10_600).contains(&sent), "{sent}");
        assert_eq!(UploadQueue::new(None, now).may_send_at(now), now);
    }
}
