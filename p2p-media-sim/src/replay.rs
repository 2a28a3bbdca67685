//! A recorded session once more: a fresh engine is told what the recorded one was told, and must ask for the same.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

use p2p_media_core::engine::Engine;
use p2p_media_core::engine::input::Input;
use p2p_media_core::engine::output::Output;
use p2p_media_core::event::{Event, EventSegment, SegmentSource, Stats};
use p2p_media_core::identity::PeerId;
use p2p_media_core::media::SegmentKey;
use p2p_media_core::timestamp::Timestamp;
use p2p_media_recording::{Digest, Recording, RecordingError, Step};

/// What came of a replay.
#[derive(Clone, Debug)]
pub struct ReplayReport {
    /// Version of the program that recorded the session.
    pub program: String,
    /// Seconds from the first input to the last.
    pub seconds: f64,
    /// How often each kind of input came.
    pub inputs: BTreeMap<&'static str, u64>,
    /// What the engine asked for, in all.
    pub outputs: u64,
    /// What the engine counted.
    pub stats: Stats,
}

/// Why a replay ended before the recording did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The recording cannot be read on.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The engine does something else now: it was changed since, or the recording was.
    #[error("line {line}, {at_s:.3} s: after {input} the engine asks for {outputs} things (digest {digest}), and asked for {recorded}")]
    Differs {
        /// The line of the recording.
        line: u64,
        /// When.
        at_s: f64,
        /// Kind of the input.
        input: &'static str,
        /// How much the engine asks for now.
        outputs: u64,
        /// The digest of that.
        digest: String,
        /// Both as they were recorded.
        recorded: String,
    },
}

impl ReplayReport {
    /// The share of the media that came from peers.
    pub fn offload(&self) -> f64 {
        self.stats.p2p_bytes as f64 / ((self.stats.p2p_bytes + self.stats.http_bytes) as f64).max(1.0)
    }
}

/// Replays a recording to its end. Everything that the engine decides is told to `tell`, a line of text each.
///
/// # Errors
/// When the recording is damaged, or the engine does not do what it did; what came before that was told.
pub fn replay<R: BufRead>(mut recording: Recording<R>, mut tell: impl FnMut(&str)) -> Result<ReplayReport, ReplayError> {
    let made = recording.made().clone();
    let mut engine = Engine::new(made.config, made.seed, made.now);
    let mut report = ReplayReport { program: made.program, seconds: 0.0, inputs: BTreeMap::new(), outputs: 0, stats: Stats::default() };
    let mut began = None;
    while let Some(Step { now, input, outputs: recorded_outputs, digest: recorded_digest, line }) = recording.next_step()? {
        let began = *began.get_or_insert(now);
        let kind = kind_of(&input);
        *report.inputs.entry(kind).or_default() += 1;
        if let Some(text) = wish(&input) {
            tell(&timed(now, &text));
        }
        engine.handle_input(now, input);
        let (mut outputs, mut digest) = (0, Digest::new());
        while let Some(output) = engine.poll_output() {
            outputs += 1;
            digest.note(&output);
            if let Some(text) = decision(&output) {
                tell(&timed(now, &text));
            }
        }
        if (outputs, digest.to_string()) != (recorded_outputs, recorded_digest.clone()) {
            let recorded = format!("{recorded_outputs} ({recorded_digest})");
            return Err(ReplayError::Differs { line, at_s: now.as_secs_f64(), input: kind, outputs, digest: digest.to_string(), recorded });
        }
        report.outputs += outputs;
        report.seconds = now.since(began).as_secs_f64();
    }
    report.stats = engine.stats();
    Ok(report)
}

fn timed(now: Timestamp, text: &str) -> String {
    // Trackers and peers must not write to whoever's terminal.
    let text: String = text.chars().map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }).collect();
    format!("{:>10.3} s  {text}", now.as_secs_f64())
}

/// What a player wants.
fn wish(input: &Input) -> Option<String> {
    Some(match input {
        Input::SegmentRequested { segment, .. } => format!("the player wants {}", name_of(*segment)),
        Input::RequestCancelled(_) => "the player does not want it any more".to_owned(),
        Input::SegmentFetched(segment, ..) => format!("the player has fetched {} itself", name_of(*segment)),
        Input::Shutdown => "the session ends".to_owned(),
        _ => return None,
    })
}

/// What an engine decides, and what comes of it.
fn decision(output: &Output) -> Option<String> {
    Some(match output {
        Output::DeliverFailed(_, error) => format!("the player does not get it: {error}"),
        Output::OpenTracker(_, url) => format!("to the tracker {url}"),
        Output::CloseConnection(connection, reason) => format!("connection {} is closed: {reason}", connection.0),
        Output::Forget(key) => format!("{} is dropped from storage", name_of(*key)),
        Output::Event(event) => return told(event),
        _ => return None,
    })
}

fn told(event: &Event) -> Option<String> {
    Some(match event {
        Event::SegmentStarted { segment, source, peer } => format!("{} is asked for {}", name(segment), place(*source, *peer)),
        Event::SegmentLoaded { segment, source, peer, bytes, duration_ms } => {
            format!("{} is here {}: {bytes} bytes in {duration_ms:.0} ms", name(segment), place(*source, *peer))
        }
        Event::SegmentError { segment, source, peer, error } => format!("{} fails {}: {error}", name(segment), place(*source, *peer)),
        Event::SegmentAborted { segment, source, peer } => format!("{} is given up {}", name(segment), place(*source, *peer)),
        Event::PeerConnected { peer, .. } => format!("peer {} is there", short(*peer)),
        Event::PeerClosed { peer, .. } => format!("peer {} is gone", short(*peer)),
        Event::PeerError { peer, error, .. } => format!("peer {}: {error}", short(*peer)),
        Event::TrackerError { tracker, error } => format!("the tracker {tracker} fails: {error}"),
        Event::TrackerWarning { tracker, warning } => format!("the tracker {tracker} warns: {warning}"),
        _ => return None,
    })
}

fn place(source: SegmentSource, peer: Option<PeerId>) -> String {
    match (source, peer) {
        (SegmentSource::Http, _) => "from the origin".to_owned(),
        (SegmentSource::P2p, Some(peer)) => format!("from peer {}", short(peer)),
        (SegmentSource::P2p, None) => "from a peer".to_owned(),
    }
}

fn name(segment: &EventSegment) -> String {
    name_of(SegmentKey { stream: segment.stream, id: segment.id })
}

fn name_of(key: SegmentKey) -> String {
    let stream = key.stream.0;
    match key.id.sequence_and_index() {
        Some((sequence, index)) => format!("part {stream}/{sequence}.{index}"),
        None => format!("segment {stream}/{}", key.id.0),
    }
}

/// The end of a peer id: what it begins with is the same for all of a program.
fn short(peer: PeerId) -> String {
    String::from_utf8_lossy(&peer.0[12..]).escape_debug().to_string()
}

const fn kind_of(input: &Input) -> &'static str {
    match input {
        Input::SegmentRequested { .. } => "segment requested",
        Input::RequestCancelled(_) => "request cancelled",
        Input::SegmentFetched(..) => "segment fetched",
        Input::PlayheadMoved(_) => "playhead moved",
        Input::StreamAdded(_) => "stream added",
        Input::StreamUpdated(..) => "stream updated",
        Input::StreamRemoved(_) => "stream removed",
        Input::ConfigChanged(_) => "options changed",
        Input::Shutdown => "shutdown",
        Input::HttpHead(..) => "HTTP head",
        Input::HttpChunk(..) => "HTTP chunk",
        Input::HttpEnd(_) => "HTTP end",
        Input::HttpFailed(..) => "HTTP failed",
        Input::TrackerOpened(_) => "tracker opened",
        Input::TrackerMessage(..) => "tracker message",
        Input::TrackerClosed(..) => "tracker closed",
        Input::OfferMade(..) => "offer made",
        Input::AnswerMade(..) => "answer made",
        Input::ChannelOpened(_) => "channel opened",
        Input::PeerMessage(..) => "peer message",
        Input::PeerSent(..) => "peer sent",
        Input::ConnectionClosed(..) => "connection closed",
        Input::Stored(_) => "stored",
        Input::StoreFailed(..) => "store failed",
        Input::Loaded(..) => "loaded",
        Input::Validated(..) => "validated",
        Input::DeadlineReached => "deadline reached",
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: u64 = self.inputs.values().sum();
        let Stats { http_bytes, p2p_bytes, uploaded_bytes, segments_loaded, peers_max, http_requests, p2p_requests, .. } = self.stats;
        writeln!(f, "{:<20} {:.1} s, recorded by version {}", "session", self.seconds, self.program)?;
        writeln!(f, "{:<20} {inputs} inputs, {} outputs, all as recorded", "replay", self.outputs)?;
        writeln!(f, "{:<20} {:.3}", "offload", self.offload())?;
        writeln!(f, "{:<20} {segments_loaded}, in {http_requests} requests to the origin and {p2p_requests} to peers", "segments")?;
        writeln!(f, "{:<20} {http_bytes} from the origin, {p2p_bytes} from peers, {uploaded_bytes} to peers", "media bytes")?;
        writeln!(f, "{:<20} at most {peers_max}", "peers")?;
        self.inputs.iter().try_for_each(|(kind, count)| writeln!(f, "{kind:<20} {count}"))
    }
}
