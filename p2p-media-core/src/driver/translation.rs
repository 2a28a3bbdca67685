//! Outputs into jobs, and what came of jobs into inputs.

use futures::future::AbortRegistration;

use super::connections::Connections;
use super::http_transfers::HttpTransfers;
use super::jobs::{Done, Job, JobQueue};
use super::storage_operations::StorageOperations;
use super::tracker_sockets::TrackerSockets;
use crate::backend::Backend;
use crate::engine::input::{Input, PlayerRequestId};
use crate::engine::output::Output;
use crate::segment_validator::SegmentToValidate;
use crate::session::{Command, EventSubscribers, ReaderSink};
use crate::sorted_map::SortedMap;

pub(super) struct Translation<B: Backend> {
    jobs: JobQueue<B>,
    readers: SortedMap<PlayerRequestId, ReaderSink>,
    transfers: HttpTransfers,
    trackers: TrackerSockets<B>,
    connections: Connections<B>,
    storage: StorageOperations<B>,
    events: EventSubscribers,
}

impl<B: Backend> Translation<B> {
    pub(super) const fn new(events: EventSubscribers) -> Self {
        Self {
            jobs: JobQueue::new(),
            readers: SortedMap::new(),
            transfers: HttpTransfers::new(),
            trackers: TrackerSockets::new(),
            connections: Connections::new(),
            storage: StorageOperations::new(),
            events,
        }
    }

    /// Jobs that are to be started.
    pub(super) fn take_jobs(&mut self) -> Vec<(Job<B>, AbortRegistration)> {
        self.jobs.take()
    }

    /// True when the farewells are out and no segment is half written.
    pub(super) fn is_flushed(&self) -> bool {
        self.trackers.is_flushed() && self.storage.is_idle()
    }

    /// Does what the engine asks for, or starts a job that does.
    pub(super) fn carry_out(&mut self, output: Output) {
        let jobs = &mut self.jobs;
        match output {
            Output::DeliverSize(request, size) => self.with_reader(request, |reader| reader.set_size(size)),
            Output::Deliver(request, piece) => self.with_reader(request, |reader| reader.push(piece)),
            Output::DeliverEnd(request) => self.end_reader(request, Ok(())),
            Output::DeliverFailed(request, error) => self.end_reader(request, Err(error)),

            Output::StartHttp(id, request) => self.transfers.start(jobs, id, request),
            Output::StopHttp(id) => self.transfers.stop(id),

            Output::OpenTracker(id, url) => self.trackers.open(jobs, id, url),
            Output::SendToTracker(id, text) => self.trackers.send(jobs, id, text),
            Output::CloseTracker(id) => self.trackers.close(id),

            Output::MakeOffer(id, label) => self.connections.offer(jobs, id, label),
            Output::MakeAnswer(id, offer) => self.connections.answer(jobs, id, offer),
            Output::AcceptAnswer(id, answer) => self.connections.accept_answer(jobs, id, answer),
            Output::SendToPeer(id, message) => self.connections.send(jobs, id, message),
            Output::CloseConnection(id, reason) => {
                tracing::debug!(connection = id.0, %reason, "closing");
                self.connections.close(id);
            }

            Output::Store(key, bytes) => self.storage.start(jobs, key, Job::Store(key, bytes)),
            Output::Load(id, key) => self.storage.start(jobs, key, Job::Load(key, id)),
            Output::Forget(key) => self.storage.start(jobs, key, Job::Forget(key)),
            Output::Validate { id, segment, url, source, bytes } => {
                jobs.start_unattended(Job::Validate(id, SegmentToValidate { segment, url, source, bytes }));
            }

            Output::Event(event) => self.events.publish(&event),
        }
    }

    /// What a call on the session means to the engine.
    pub(super) fn command(&mut self, command: Command) -> Option<Input> {
        Some(match command {
            Command::AddStream(stream) => Input::StreamAdded(stream),
            Command::UpdateStream(key, update) => Input::StreamUpdated(key, update),
            Command::RemoveStream(key) => Input::StreamRemoved(key),
            Command::MovePlayhead(playhead) => Input::PlayheadMoved(playhead),
            Command::RequestSegment(request, segment, mut reader) => {
                if let Some(dropped) = reader.take_reader_dropped() {
                    self.jobs.start_unattended(Job::WatchReader(request, dropped));
                }
                self.readers.insert(request, reader);
                Input::SegmentRequested { request, segment }
            }
            Command::TakeFetched(segment, bytes, times) => Input::SegmentFetched(segment, bytes, times),
            Command::ChangeConfig(config) => Input::ConfigChanged(config),
            Command::TakeStats(_) | Command::Shutdown(_) => return None,
        })
    }

    /// What the end of a job means to the engine. Ends of abandoned jobs mean nothing.
    pub(super) fn finished(&mut self, done: Done<B>) -> Option<Input> {
        let jobs = &mut self.jobs;
        match done {
            Done::Fetched(id, fetched) => self.transfers.fetched(jobs, id, fetched),
            Done::ReadBody(id, body, chunk) => self.transfers.read(jobs, id, body, chunk),

            Done::TrackerConnected(id, connected) => self.trackers.connected(jobs, id, connected),
            Done::TrackerReceived(id, websocket, received) => self.trackers.received(jobs, id, websocket, received),
            Done::TrackerSent(id, sent) => self.trackers.sent(jobs, id, sent),

            Done::Offered(id, made) => self.connections.offered(jobs, id, made),
            Done::Answered(id, made) => self.connections.answered(jobs, id, made),
            Done::ChannelOpened(id, opened) => self.connections.opened(jobs, id, opened),
            Done::PeerReceived(id, channel, received) => self.connections.received(jobs, id, channel, received),
            Done::PeerSent(id, len, sent) => self.connections.sent(jobs, id, len, sent),

            Done::Stored(key, stored) => {
                self.storage.finished(jobs, key);
                Some(match stored {
                    Ok(()) => Input::Stored(key),
                    Err(error) => Input::StoreFailed(key, error.0),
                })
            }
            Done::Loaded(key, id, loaded) => {
                self.storage.finished(jobs, key);
                let bytes = loaded.unwrap_or_else(|error| {
                    tracing::warn!(%error, ?key, "a stored segment cannot be read");
                    None
                });
                Some(Input::Loaded(id, bytes))
            }
            Done::Forgotten(key) => {
                self.storage.finished(jobs, key);
                None
            }

            Done::Validated(id, right) => Some(Input::Validated(id, right)),
            // A reader that was read to its end is not waited for any more.
            Done::ReaderDropped(request) => self.readers.remove(&request).map(|_| Input::RequestCancelled(request)),
        }
    }

    fn with_reader(&self, request: PlayerRequestId, change: impl FnOnce(&ReaderSink)) {
        if let Some(reader) = self.readers.get(&request) {
            change(reader);
        }
    }

    fn end_reader(&mut self, request: PlayerRequestId, end: Result<(), crate::error::SegmentError>) {
        if let Some(reader) = self.readers.remove(&request) {
            reader.end(end);
        }
    }
}
