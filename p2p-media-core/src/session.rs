//! The player's handle on a running engine: ask for segments, say where playback stands, listen to events.

mod event_stream;
mod segment_reader;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::SinkExt as _;
use futures::channel::{mpsc, oneshot};

pub use event_stream::EventStream;
pub(crate) use event_stream::EventSubscribers;
pub use segment_reader::SegmentReader;
pub(crate) use segment_reader::{ReaderSink, segment_reader};

use crate::config::{Config, ConfigError, DynamicConfig};
use crate::driver::Observer;
use crate::engine::input::PlayerRequestId;
use crate::event::Stats;
use crate::media::{FetchTimes, Playhead, SegmentKey, Stream, StreamKey, StreamKind, StreamUpdate};
use crate::segment_validator::{AcceptEverySegment, SegmentValidator};

/// Calls that may wait for the driver. A driver that is this far behind does not run.
const COMMAND_QUEUE_LIMIT: usize = 4096;

/// A cheap handle on one engine. All clones speak to the same one; it leaves its swarms when the last clone is dropped, or by
/// [`Session::shutdown`]. Segments being read, and event streams, do not keep it alive.
#[derive(Clone, Debug)]
pub struct Session {
    shared: Arc<Shared>,
}

/// What [`crate::driver::drive`] needs to serve a [`Session`].
#[derive(Debug)]
pub struct DriverInput<V = AcceptEverySegment> {
    pub(crate) config: Config,
    pub(crate) seed: u64,
    pub(crate) validator: V,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: EventSubscribers,
    pub(crate) final_stats: Arc<Mutex<Stats>>,
    pub(crate) observer: Option<Box<dyn Observer>>,
}

/// Why a call on a [`Session`] had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The session was shut down, or its driver was dropped.
    #[error("the session has ended")]
    Ended,
    /// The driver does not run: thousands of calls wait for it.
    #[error("the session's driver is not running: {COMMAND_QUEUE_LIMIT} calls wait for it")]
    DriverStalled,
    /// The caller's options are out of range.
    #[error(transparent)]
    InvalidConfig(#[from] ConfigError),
}

/// One call of a [`Session`], on its way to the driver.
#[derive(Debug)]
pub(crate) enum Command {
    AddStream(Stream),
    UpdateStream(StreamKey, StreamUpdate),
    RemoveStream(StreamKey),
    MovePlayhead(Playhead),
    RequestSegment(PlayerRequestId, SegmentKey, ReaderSink),
    TakeFetched(SegmentKey, Bytes, FetchTimes),
    ChangeConfig(Box<DynamicConfig>),
    TakeStats(oneshot::Sender<Stats>),
    /// The sender is dropped when the driver has ended.
    Shutdown(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Shared {
    /// One sender behind a lock: every clone of a futures sender would add a slot, and the queue would have no limit.
    commands: Mutex<mpsc::Sender<Command>>,
    events: EventSubscribers,
    final_stats: Arc<Mutex<Stats>>,
    next_stream: AtomicU32,
    next_request: AtomicU64,
}

/// Makes a session. Nothing happens until [`crate::driver::drive`] runs with the second value. Two sessions with equal seeds choose equal
/// peer ids and must not meet. `config` is taken as it is: call [`Config::validate`] on what a user gave.
pub fn session(config: Config, seed: u64) -> (Session, DriverInput) {
    let (sender, commands) = mpsc::channel(COMMAND_QUEUE_LIMIT);
    let events = EventSubscribers::default();
    let final_stats = Arc::<Mutex<Stats>>::default();
    let shared = Shared {
        commands: Mutex::new(sender),
        events: events.clone(),
        final_stats: Arc::clone(&final_stats),
        next_stream: AtomicU32::new(0),
        next_request: AtomicU64::new(0),
    };
    let input = DriverInput { config, seed, validator: AcceptEverySegment, commands, events, final_stats, observer: None };
    (Session { shared: Arc::new(shared) }, input)
}

impl<V> DriverInput<V> {
    /// Checks segments with `validator`, as far as `validate_p2p_segment` and `validate_http_segment` ask for it.
    pub fn with_validator<W: SegmentValidator>(self, validator: W) -> DriverInput<W> {
        let Self { config, seed, commands, events, final_stats, observer, .. } = self;
        DriverInput { config, seed, validator, commands, events, final_stats, observer }
    }

    /// Has somebody look on, to record the session. Slows the driver down by as much as the observer takes.
    #[must_use]
    pub fn with_observer(self, observer: Box<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }
}

impl Session {
    /// Shares a stream in the swarm of this id (see [`crate::identity`]). It has no segments until [`Session::update_stream`].
    ///
    /// # Errors
    /// When the session has ended.
    pub fn add_stream(&self, kind: StreamKind, swarm_id: impl Into<Arc<str>>) -> Result<StreamKey, SessionError> {
        let key = StreamKey(self.shared.next_stream.fetch_add(1, Ordering::Relaxed));
        self.send(Command::AddStream(Stream { key, kind, swarm_id: swarm_id.into() }))?;
        Ok(key)
    }

    /// Adds segments to a stream and takes others away. An unknown key is ignored.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn update_stream(&self, key: StreamKey, update: StreamUpdate) -> Result<(), SessionError> {
        self.send(Command::UpdateStream(key, update))
    }

    /// Forgets a stream with its segments and swarm. An unknown key is ignored.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn remove_stream(&self, key: StreamKey) -> Result<(), SessionError> {
        self.send(Command::RemoveStream(key))
    }

    /// Says where playback stands and how fast it goes. Call it on a seek, a pause, and a few times a second while playing.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn set_playhead(&self, playhead: Playhead) -> Result<(), SessionError> {
        self.send(Command::MovePlayhead(playhead))
    }

    /// Asks for a segment. Its bytes can be read while they arrive; dropping the reader takes the request back. On a session that has
    /// ended, or whose driver does not run, reading gives [`crate::error::SegmentError::SessionEnded`].
    pub fn segment(&self, segment: SegmentKey) -> SegmentReader {
        let request = PlayerRequestId(self.shared.next_request.fetch_add(1, Ordering::Relaxed));
        let (sink, reader) = segment_reader();
        if let Err(error) = self.send(Command::RequestSegment(request, segment, sink)) {
            // The sink was dropped with the command, and so the reader ends.
            tracing::debug!(%error, ?segment, "segment request not taken");
        }
        reader
    }

    /// Gives a segment that the player has fetched from the origin itself, all of it, before the session could be asked. It is checked, stored and
    /// shared as if the session had fetched it. An unknown segment is ignored.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn take_fetched(&self, segment: SegmentKey, bytes: Bytes, times: FetchTimes) -> Result<(), SessionError> {
        self.send(Command::TakeFetched(segment, bytes, times))
    }

    /// Everything that happens from now on, until the session ends.
    pub fn events(&self) -> EventStream {
        self.shared.events.subscribe()
    }

    /// Figures since the session began; the last ones once it has ended.
    pub async fn stats(&self) -> Stats {
        let (sender, stats) = oneshot::channel();
        if self.send(Command::TakeStats(sender)).is_ok()
            && let Ok(stats) = stats.await
        {
            return stats;
        }
        self.shared.final_stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes options while running.
    ///
    /// # Errors
    /// When an option is out of range, or the session has ended.
    pub fn apply_config(&self, config: DynamicConfig) -> Result<(), SessionError> {
        config.validate()?;
        self.send(Command::ChangeConfig(Box::new(config)))
    }

    /// Leaves the swarms and ends the session; the trackers hear of it. Takes at most about a second while the driver runs.
    pub async fn shutdown(&self) {
        let (sender, ended) = oneshot::channel();
        let mut commands = self.commands().clone();
        if commands.send(Command::Shutdown(sender)).await.is_ok() {
            // Cancelled when the driver drops the sender, which is its last act.
            let _ = ended.await;
        }
    }

    /// True once the session was shut down or its driver dropped.
    pub fn has_ended(&self) -> bool {
        self.commands().is_closed()
    }

    fn send(&self, command: Command) -> Result<(), SessionError> {
        self.commands().try_send(command).map_err(|error| match error.is_full() {
            true => SessionError::DriverStalled,
            false => SessionError::Ended,
        })
    }

    fn commands(&self) -> std::sync::MutexGuard<'_, mpsc::Sender<Command>> {
        self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
