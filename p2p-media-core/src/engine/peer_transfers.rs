//! Connected peers: what they announce, what we ask of them, and what they send.

use bytes::Bytes;

use super::Engine;
use super::deadlines::Deadline;
use super::downloads::{Refusal, Source};
use super::input::ConnectionId;
use super::output::Output;
use super::peers::{Announced, Peer};
use super::streams::options;
use super::stretches::REQUEST_NUMBERS;
use super::throughput::SourceSpeed;
use crate::error::{CloseReason, RequestError};
use crate::event::{Event, SegmentSource};
use crate::identity::PeerId;
use crate::media::{SegmentKey, StreamKey};
use crate::peer_protocol::{Command, IncomingStep, MessageReader, PeerMessage, PeerMisbehaved};
use crate::timestamp::Timestamp;
use crate::tracker_protocol::OfferId;

/// Misbehaving peers that are remembered, so that they are not met again at once.
const MOST_BANNED_PEERS: usize = 256;
/// A peer that let its requests time out is not met again for this long: it may just have stood still.
const TIMED_OUT_PEER_REST_S: f64 = 120.0;
/// Requests in a row that a peer may let time out which has given nothing right so far, where there is a validator.
const UNPROVEN_TIMEOUTS: u32 = 2;
/// What peers say of segments that are not waited for is thought about after this.
const IDLE_NEWS_WAIT_S: f64 = 0.05;
/// A peer that was of no use for this long may be replaced.
const USELESS_AFTER_S: f64 = 60.0;

impl Engine {
    /// The connected peers of a stream.
    pub(super) fn peers_of(&self, stream: StreamKey) -> impl Iterator<Item = (&ConnectionId, &Peer)> {
        self.peers.iter().map(|(connection, peer)| (connection, &**peer)).filter(move |(_, peer)| peer.stream == stream)
    }

    pub(super) fn connected_peers(&self, stream: StreamKey) -> usize {
        self.peers_of(stream).count()
    }

    pub(super) fn peer_connected(&mut self, connection: ConnectionId, stream: StreamKey, id: PeerId, rank: (PeerId, OfferId)) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        let Some(swarm) = state.swarm.as_mut() else {
            self.outputs.push_back(Output::CloseConnection(connection, CloseReason::Left));
            return;
        };
        swarm.official_announcement.clear();
        let kind = state.stream.kind;
        let peer = Peer {
            id,
            stream,
            kind,
            connected_at: self.now,
            rank_of_connection: rank,
            reader: MessageReader::new(),
            has_spoken: false,
            announced: None,
            download: None,
            upload: None,
            last_upload: None,
            unsent_bytes: 0,
            speed: SourceSpeed::default(),
            timeouts: 0,
            idle_relays: 0,
            is_proven: false,
            next_request: self.random.next() % REQUEST_NUMBERS,
            useful_at: self.now,
        };
        self.peers.insert(connection, Box::new(peer));
        self.stats.peers_max = self.stats.peers_max.max(self.peers.len());
        self.event(Event::PeerConnected { peer: id, kind });
        let announcement = self.announcement(stream, id.is_ours());
        self.send_command(connection, &announcement);
        self.dirty_streams.insert(stream);
    }

    /// We end a connection.
    pub(super) fn close_peer(&mut self, connection: ConnectionId, reason: CloseReason) {
        if let Some(peer) = self.peers.get(&connection) {
            if matches!(reason, CloseReason::Misbehaved(_) | CloseReason::WrongBytes) {
                self.stats.peers_misbehaved += 1;
                self.banned.put(peer.id, Timestamp::FAR_FUTURE);
            } else if reason == CloseReason::TimedOut {
                self.banned.put(peer.id, self.now.offset_secs(TIMED_OUT_PEER_REST_S));
            }
            while self.banned.len() > MOST_BANNED_PEERS {
                self.banned.pop_lru();
            }
            if !matches!(reason, CloseReason::Left | CloseReason::Duplicate | CloseReason::Replaced) {
                let (peer, kind) = (peer.id, peer.kind);
                self.event(Event::PeerError { peer, kind, error: reason.to_string() });
            }
            self.outputs.push_back(Output::CloseConnection(connection, reason.clone()));
            let error = match reason {
                CloseReason::Misbehaved(misbehaved) => RequestError::PeerMisbehaved(misbehaved),
                CloseReason::WrongBytes => RequestError::ValidationFailed,
                CloseReason::TimedOut => RequestError::BytesReceivingTimeout,
                _ => RequestError::PeerClosed,
            };
            self.peer_gone(connection, error);
        }
    }

    /// The connection has ended, from either side.
    pub(super) fn peer_gone(&mut self, connection: ConnectionId, error: RequestError) {
        self.end_upload(connection);
        if matches!(error, RequestError::PeerMisbehaved(_)) {
            self.distrust_bytes_of(connection);
        }
        self.peer_download_failed(connection, error);
        let Some(peer) = self.peers.remove(&connection) else { return };
        self.uploads.unsent_bytes -= peer.unsent_bytes;
        // Its number never comes again.
        for (_, download) in self.downloads.by_segment.range_mut(SegmentKey::all_of(peer.stream)) {
            download.refused_by.remove(&connection);
        }
        self.event(Event::PeerClosed { peer: peer.id, kind: peer.kind });
        self.dirty_streams.insert(peer.stream);
        self.use_spare(peer.stream, peer.id);
        self.start_waiting_uploads();
    }

    /// The peer that has been of least use for longest, if there is one that is of no use at all.
    pub(super) fn least_useful_peer(&self, stream: StreamKey) -> Option<ConnectionId> {
        let useless = self.peers.iter().filter(|(_, peer)| {
            peer.stream == stream
                && peer.download.is_none()
                && peer.upload.is_none()
                && self.now.since(peer.useful_at).as_secs_f64() > USELESS_AFTER_S
        });
        useless.min_by_key(|(_, peer)| (peer.useful_at, peer.connected_at)).map(|(connection, _)| *connection)
    }

    pub(super) fn peer_message(&mut self, connection: ConnectionId, message: Bytes) {
        if !self.peers.contains_key(&connection) {
            self.spare_speaks(connection);
        }
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        let (stream, id) = (peer.stream, peer.id);
        let is_first = !std::mem::replace(&mut peer.has_spoken, true);
        let expected = peer.download.as_ref().map_or(0, |download| download.incoming.remaining());
        if let Err(misbehaved) = peer.reader.push(message, expected) {
            self.close_peer(connection, misbehaved.into());
            return;
        }
        if is_first {
            self.drop_spares(stream, id, None);
        }
        while let Some(message) = self.peers.get_mut(&connection).and_then(|peer| peer.reader.next_message()) {
            match message {
                PeerMessage::Command(command) => self.peer_command(connection, command),
                PeerMessage::Payload(payload) => self.peer_payload(connection, payload),
            }
        }
    }

    fn peer_command(&mut self, connection: ConnectionId, command: Command) {
        match command {
            Command::Announcement { loaded, loading, relaying } => {
                let Some(peer) = self.peers.get_mut(&connection) else { return };
                let announced = Announced { loaded, loading, relaying };
                if peer.announced.as_ref() == Some(&announced) {
                    return; // nothing to decide anew, however often it is said
                }
                let stream = peer.stream;
                let mut waiting = self.downloads.of_stream(stream).filter(|(_, download)| matches!(download.source, Source::None));
                let is_waited_for = peer.announced.is_none() || waiting.any(|(key, _)| announced.speaks_of(key.id));
                peer.announced = Some(announced);
                if let Some(state) = self.streams.get_mut(&stream) {
                    state.prefetch_is_idle = false;
                }
                if is_waited_for {
                    self.dirty_streams.insert(stream);
                } else {
                    // Nothing hangs on it: one decision for all that is said meanwhile.
                    self.deadlines.set_no_later(Deadline::Schedule(stream), self.now.offset_secs(IDLE_NEWS_WAIT_S));
                }
            }
            Command::Request { segment, request, first_byte, last_byte } => {
                self.upload_requested(connection, segment, request, first_byte, last_byte);
            }
            Command::Cancel { request, .. } => self.upload_cancelled(connection, request),
            Command::Data { .. } | Command::Completed { .. } | Command::Absent { .. } => {
                let Some(download) = self.peers.get_mut(&connection).and_then(|peer| peer.download.as_mut()) else { return };
                let step = download.incoming.on_command(&command);
                self.download_step(connection, step);
            }
            Command::Unknown { .. } => {}
        }
    }

    fn peer_payload(&mut self, connection: ConnectionId, payload: Bytes) {
        if payload.is_empty() {
            return; // no sign of progress
        }
        let Some(download) = self.peers.get_mut(&connection).and_then(|peer| peer.download.as_mut()) else { return };
        let step = download.incoming.on_payload(payload);
        self.download_step(connection, step);
    }

    fn download_step(&mut self, connection: ConnectionId, step: IncomingStep) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        let Some(download) = peer.download.as_mut() else { return };
        let key = download.segment;
        match step {
            IncomingStep::Ignored => {}
            IncomingStep::Started { .. } => {
                download.last_byte_at = now;
                download.first_byte_at = Some(now);
                peer.speed.response_s.add(now.since(download.asked_at).as_secs_f64());
                let total = download.incoming.total();
                self.size_heard(key, total);
            }
            IncomingStep::SizeTold => {
                let (total, has_all) = (download.incoming.total(), download.incoming.has_all());
                self.size_heard(key, total);
                if has_all {
                    self.peer_download_completed(connection);
                }
            }
            IncomingStep::Bytes(bytes) => {
                download.last_byte_at = now;
                download.bytes += bytes.len() as u64;
                peer.useful_at = now;
                let (count, id, is_relay) = (bytes.len(), peer.id, download.is_relay);
                self.stats.p2p_bytes += count as u64;
                self.outputs.push_back(Output::Event(Event::ChunkDownloaded { bytes: count, source: SegmentSource::P2p, peer: Some(id) }));
                if let Some(download) = self.downloads.by_segment.get_mut(&key) {
                    download.given_by.insert(connection);
                    download.has_relayed |= is_relay;
                }
                let is_last = download.incoming.has_all();
                if self.take_from_peer(key, connection, bytes) || is_last {
                    // The confirmation adds nothing, and may wait behind other peers' media.
                    self.peer_download_completed(connection);
                }
            }
            IncomingStep::Completed => self.peer_download_completed(connection),
            IncomingStep::Absent => {
                // It may have dropped the segment since it announced it.
                if let Some(announced) = peer.announced.as_mut() {
                    announced.retract(key.id);
                }
                self.peer_download_failed(connection, RequestError::PeerSegmentAbsent);
            }
            IncomingStep::Violation(misbehaved) if download.is_bound_by_hearsay => self.size_disputed(connection, misbehaved),
            IncomingStep::Violation(misbehaved) => self.close_peer(connection, misbehaved.into()),
        }
    }

    /// What a peer says or sends does not agree with a size that only another has said: one of the two is wrong, and nobody knows which.
    fn size_disputed(&mut self, connection: ConnectionId, misbehaved: PeerMisbehaved) {
        let Some(key) = self.peers.get(&connection).and_then(|peer| peer.download.as_ref()).map(|download| download.segment) else {
            return;
        };
        self.cancel_at_peer(connection);
        self.peer_download_failed(connection, RequestError::PeerMisbehaved(misbehaved));
        let Some(download) = self.downloads.by_segment.get_mut(&key).filter(|download| download.given_by.is_empty()) else { return };
        // Nothing has come of it from the one that said it: it may be asked again, and then its own word counts.
        if download.bytes.is_empty() && download.later.is_empty() {
            download.start_over();
            download.refused_by.remove(&connection);
            self.end_followers(key);
        }
    }

    fn peer_download_completed(&mut self, connection: ConnectionId) {
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        let Some(download) = peer.download.take() else { return };
        let time = self.now.since(download.first_byte_at.unwrap_or(self.now));
        // Who knows no end of what is wanted goes on sending.
        let unwanted = (!peer.passes_on() && download.incoming.remaining() > 0)
            .then(|| Command::Cancel { segment: download.incoming.segment(), request: download.incoming.request() });
        if download.is_relay {
            peer.speed.add_slowest_transfer(download.bytes, time);
        } else if download.is_stretch() {
            peer.speed.add_stretch(download.bytes, time);
        } else {
            peer.speed.add_transfer(download.bytes, time);
        }
        peer.timeouts = 0;
        peer.idle_relays = 0;
        let (id, total) = (peer.id, download.incoming.total());
        if let Some(cancel) = unwanted {
            self.send_command(connection, &cancel);
        }
        self.size_heard(download.segment, total);
        self.stretch_completed(download.segment, connection, id);
    }

    fn size_heard(&mut self, key: SegmentKey, total: Option<u64>) {
        if let Some(download) = self.downloads.by_segment.get_mut(&key)
            && download.total.is_none()
            && let Some(size) = total
        {
            download.total = total;
            download.total_is_hearsay = true;
            self.drop_stretches_from(key, size);
            self.tell_followers_the_size(key);
        }
    }

    /// Asks a peer for what is missing of a segment.
    pub(super) fn start_p2p(&mut self, key: SegmentKey, connection: ConnectionId) {
        self.ask_peer(key, 0, connection);
        let Some(id) = self.peers.get(&connection).map(|peer| peer.id) else { return };
        self.event_of(key, |segment| Event::SegmentStarted { segment, source: SegmentSource::P2p, peer: Some(id) });
    }

    /// The attempt to get a segment from this peer has failed; another source takes over at the byte reached.
    pub(super) fn peer_download_failed(&mut self, connection: ConnectionId, error: RequestError) {
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        let Some(failed) = peer.download.take() else { return };
        let (key, id) = (failed.segment, peer.id);
        let is_later = self.later_stretch_failed(key, connection);
        if let Some(download) = self.downloads.by_segment.get_mut(&key) {
            if !is_later {
                download.source = Source::None;
            }
            let is_busy = error == RequestError::PeerSegmentAbsent && failed.first_byte_at.is_none();
            download.refuse(
                connection,
                match failed.is_relay {
                    true if is_busy => Refusal::Busy,
                    true => Refusal::UntilWhole,
                    false => Refusal::Altogether,
                },
            );
        }
        if failed.is_relay {
            self.announcements_due.insert(key.stream);
        }
        if self.downloads.by_segment.get(&key).is_none_or(|download| download.later.is_empty()) {
            self.deadlines.cancel(Deadline::TransferStalled(key));
        }
        self.event_of(key, |segment| Event::SegmentError { segment, source: SegmentSource::P2p, peer: Some(id), error });
        self.dirty_streams.insert(key.stream);
    }

    /// A peer sent nothing for too long.
    pub(super) fn peer_timed_out(&mut self, connection: ConnectionId) {
        self.cancel_at_peer(connection);
        let was_relay = self.peers.get(&connection).and_then(|peer| peer.download.as_ref()).is_some_and(|download| download.is_relay);
        self.peer_download_failed(connection, RequestError::BytesReceivingTimeout);
        self.note_unanswered_request(connection, was_relay);
    }

    /// Too many requests in a row without a byte, and the peer is worth no further one. One that was loading the segment itself had perhaps
    /// none to give: it is only not asked for such any more.
    pub(super) fn note_unanswered_request(&mut self, connection: ConnectionId, was_relay: bool) {
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        if was_relay {
            peer.idle_relays = peer.idle_relays.saturating_add(1);
            return;
        }
        peer.timeouts += 1;
        let stream_options = options(&self.config, peer.kind);
        let mut most = stream_options.p2p_error_retries;
        if stream_options.validate_p2p_segment && !peer.is_proven {
            most = most.min(UNPROVEN_TIMEOUTS);
        }
        if peer.timeouts >= most.max(1) {
            self.close_peer(connection, CloseReason::TimedOut);
        }
    }

    pub(super) fn cancel_at_peer(&mut self, connection: ConnectionId) {
        let Some(download) = self.peers.get(&connection).and_then(|peer| peer.download.as_ref()) else { return };
        let cancel = Command::Cancel { segment: download.incoming.segment(), request: download.incoming.request() };
        self.send_command(connection, &cancel);
    }

    /// What a peer gave that broke the protocol is not kept, unless a player has it already.
    fn distrust_bytes_of(&mut self, connection: ConnectionId) {
        let Some(key) = self.peers.get(&connection).and_then(|peer| peer.download.as_ref()).map(|download| download.segment) else {
            return;
        };
        let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
        if download.given_by.contains(&connection) && (download.players.is_empty() || download.held_back) {
            self.drop_later_stretches(key);
            let Some(download) = self.downloads.by_segment.get_mut(&key) else { return };
            download.start_over();
            self.end_followers(key);
        }
    }
}
