//! What the driver makes of outputs and of the ends of work, with a script in the engine's place.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;

use super::stub_backend::{StubBackend, World};
use crate::backend::HttpRequest;
use crate::config::Config;
use crate::driver::{Decider, run};
use crate::engine::input::{ConnectionId, HttpId, Input, LoadId, TrackerId, ValidationId};
use crate::engine::output::Output;
use crate::error::{CloseReason, SegmentError};
use crate::event::{Event, SegmentSource, Stats};
use crate::media::{Playhead, SegmentId, SegmentKey, StreamKey};
use crate::segment_validator::{SegmentToValidate, SegmentValidator};
use crate::session::{DriverInput, Session, session};
use crate::timestamp::Timestamp;

const KEY: SegmentKey = SegmentKey { stream: StreamKey(0), id: SegmentId(7) };
const LIMIT: Duration = Duration::from_secs(10);

/// Inputs as they came, and what the script wants done.
#[derive(Clone, Default)]
struct Log {
    inputs: Rc<RefCell<Vec<Input>>>,
    outputs: Rc<RefCell<VecDeque<Output>>>,
    deadline: Rc<Cell<Option<Timestamp>>>,
}

struct Script<F> {
    log: Log,
    react: F,
}

impl<F: FnMut(&Input) -> Vec<Output>> Decider for Script<F> {
    fn handle_input(&mut self, now: Timestamp, input: Input) {
        if matches!(input, Input::DeadlineReached) {
            assert!(self.log.deadline.take().is_some_and(|deadline| deadline <= now));
        }
        self.log.outputs.borrow_mut().extend((self.react)(&input));
        self.log.inputs.borrow_mut().push(input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.log.outputs.borrow_mut().pop_front()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.log.deadline.get()
    }

    fn stats(&self) -> Stats {
        Stats { http_requests: self.log.inputs.borrow().len() as u64, ..Stats::default() }
    }

    fn is_finished(&self) -> bool {
        true
    }
}

/// One driver, its script, and the world around it.
struct Stage {
    pool: LocalPool,
    world: World,
    log: Log,
    session: Session,
    backend_storage: super::stub_backend::StubStorage,
}

impl Stage {
    fn new(react: impl FnMut(&Input) -> Vec<Output> + 'static) -> Self {
        let (session, input) = session(Config::default(), 1);
        Self::with_input(session, input, react)
    }

    fn with_input<V: SegmentValidator>(
        session: Session,
        input: DriverInput<V>,
        react: impl FnMut(&Input) -> Vec<Output> + 'static,
    ) -> Self {
        let (pool, world, log) = (LocalPool::new(), World::default(), Log::default());
        let backend: StubBackend = world.backend();
        let backend_storage = backend.storage.clone();
        let script = Script { log: log.clone(), react };
        pool.spawner().spawn_local(async move { run(&backend, script, input).await }).unwrap();
        Self { pool, world, log, session, backend_storage }
    }

    /// Gives outputs to the driver; a moved playhead makes it look.
    fn output(&mut self, outputs: impl IntoIterator<Item = Output>) {
        self.log.outputs.borrow_mut().extend(outputs);
        self.nudge();
        self.pool.run_until_stalled();
    }

    fn nudge(&self) {
        self.session.set_playhead(Playhead { position: 0.0, rate: 1.0 }).unwrap();
    }

    /// Lets virtual time pass.
    fn pass(&mut self, duration: Duration) {
        let clock = self.world.clock.clone();
        self.world.run(&mut self.pool, duration, async move { clock.sleep(duration).await });
    }

    /// The inputs since the last call, but for the nudges.
    fn inputs(&self) -> Vec<Input> {
        let mut inputs = self.log.inputs.take();
        inputs.retain(|input| !matches!(input, Input::PlayheadMoved(_)));
        inputs
    }

    fn texts(&self) -> Vec<String> {
        self.inputs().iter().map(|input| format!("{input:?}")).collect()
    }
}

fn request(url: &str) -> HttpRequest {
    HttpRequest { url: url.into(), first: 0, last: None }
}

fn no_reaction(_: &Input) -> Vec<Output> {
    Vec::new()
}

#[test]
fn a_transfer_is_told_from_head_to_end_and_a_stopped_one_is_dropped() {
    let mut stage = Stage::new(no_reaction);
    stage.world.origin.state.resources.borrow_mut().insert("a".to_owned(), Bytes::from(vec![1; 20_000]));
    stage.output([Output::StartHttp(HttpId(1), request("a")), Output::StartHttp(HttpId(2), request("missing"))]);
    let inputs = stage.inputs();
    let [
        Input::HttpHead(HttpId(1), head),
        Input::HttpFailed(HttpId(2), _),
        Input::HttpChunk(..),
        Input::HttpChunk(..),
        Input::HttpEnd(HttpId(1)),
    ] = inputs.as_slice()
    else {
        panic!("{inputs:?}")
    };
    assert_eq!((head.status, head.content_length), (200, Some(20_000)));

    stage.world.origin.state.chunk_interval.set(Duration::from_secs(1));
    stage.output([Output::StartHttp(HttpId(3), request("a"))]);
    assert_eq!(stage.world.origin.state.open_bodies.get(), 1);
    stage.output([Output::StopHttp(HttpId(3)), Output::StopHttp(HttpId(99))]);
    assert_eq!(stage.world.origin.state.open_bodies.get(), 0);
    stage.pass(Duration::from_secs(3));
    assert_eq!(stage.texts().len(), 1, "only the head");
}

#[test]
fn a_closed_tracker_still_gets_what_was_sent_and_says_no_more() {
    let mut stage = Stage::new(no_reaction);
    let (first, other) = (TrackerId(0), TrackerId(1));
    stage.output([Output::OpenTracker(first, "ws://one".into()), Output::OpenTracker(other, "ws://unreachable".into())]);
    assert_eq!(stage.texts(), ["TrackerOpened(TrackerId(0))", "TrackerClosed(TrackerId(1), \"connection refused\")"]);

    let announce = |event: &str| Output::SendToTracker(first, format!(r#"{{"info_hash":"h","peer_id":"p","event":"{event}"}}"#));
    stage.output([
        announce("one"),
        announce("two"),
        announce("stopped"),
        Output::CloseTracker(first),
        Output::OpenTracker(first, "ws://one".into()),
    ]);
    let events: Vec<_> = stage.world.relay.received.borrow().iter().map(|message| message["event"].clone()).collect();
    assert_eq!(events, ["one", "two", "stopped"]);
    assert_eq!(stage.texts(), ["TrackerOpened(TrackerId(0))"], "replies to the closed socket are not told");
    assert_eq!(stage.world.relay.open_sockets.get(), 1);

    stage.world.relay.sockets.borrow()[1].push("hello".to_owned());
    stage.world.relay.sockets.borrow()[1].close();
    stage.pool.run_until_stalled();
    assert_eq!(
        stage.texts(),
        ["TrackerMessage(TrackerId(0), \"hello\")", "TrackerClosed(TrackerId(0), \"the tracker closed the connection\")"]
    );
    assert_eq!(stage.world.relay.open_sockets.get(), 0);
}

#[test]
fn a_handshake_opens_a_channel_that_carries_messages_both_ways() {
    let mut stage = Stage::new(|input| match input {
        Input::OfferMade(ConnectionId(1), offer) => vec![Output::MakeAnswer(ConnectionId(2), offer.clone())],
        Input::AnswerMade(ConnectionId(2), answer) => vec![Output::AcceptAnswer(ConnectionId(1), answer.clone())],
        _ => Vec::new(),
    });
    stage.output([Output::MakeOffer(ConnectionId(1), "label".to_owned())]);
    let opened = stage.texts();
    assert_eq!(opened[2..], ["ChannelOpened(ConnectionId(1))", "ChannelOpened(ConnectionId(2))"], "{opened:?}");

    let message = |id: u64, text: &'static [u8]| Output::SendToPeer(ConnectionId(id), Bytes::from_static(text));
    stage.output([message(1, b"ab"), message(1, b"c"), message(2, b"d")]);
    let mut told = stage.texts();
    told.sort();
    assert_eq!(
        told,
        [
            r#"PeerMessage(ConnectionId(1), b"d")"#,
            r#"PeerMessage(ConnectionId(2), b"ab")"#,
            r#"PeerMessage(ConnectionId(2), b"c")"#,
            "PeerSent(ConnectionId(1), 1)",
            "PeerSent(ConnectionId(1), 2)",
            "PeerSent(ConnectionId(2), 1)",
        ]
    );

    stage.output([Output::CloseConnection(ConnectionId(2), CloseReason::Left), message(2, b"late")]);
    assert_eq!(stage.texts(), [r#"ConnectionClosed(ConnectionId(1), "the peer closed the channel")"#]);
}

#[test]
fn a_handshake_that_fails_is_told_once() {
    let mut stage = Stage::new(|input| match input {
        Input::OfferMade(id, _) => vec![Output::AcceptAnswer(*id, "nonsense".to_owned())],
        _ => Vec::new(),
    });
    stage.output([Output::MakeAnswer(ConnectionId(1), "nonsense".to_owned()), Output::MakeOffer(ConnectionId(2), "label".to_owned())]);
    let told = stage.texts();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&r#"ConnectionClosed(ConnectionId(1), "not an offer")"#.to_owned()), "{told:?}");
    assert!(told.contains(&r#"ConnectionClosed(ConnectionId(2), "not an answer")"#.to_owned()), "{told:?}");
}

#[test]
fn storage_operations_on_one_segment_keep_their_order() {
    let mut stage = Stage::new(no_reaction);
    stage.backend_storage.slow_down(Duration::from_millis(100));
    let other = SegmentKey { id: SegmentId(8), ..KEY };
    let bytes = |text: &'static [u8]| Bytes::from_static(text).into();
    stage.output([
        Output::Store(KEY, bytes(b"new")),
        Output::Load(LoadId(1), KEY),
        Output::Load(LoadId(2), other),
        Output::Forget(KEY),
        Output::Load(LoadId(3), KEY),
    ]);
    stage.pass(LIMIT);
    let told = stage.inputs();
    let [Input::Loaded(LoadId(2), None), Input::Stored(KEY), Input::Loaded(LoadId(1), Some(loaded)), Input::Loaded(LoadId(3), None)] =
        told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert_eq!(loaded.join(), &b"new"[..]);
}

#[test]
fn a_reader_gets_its_bytes_and_its_drop_takes_the_request_back() {
    let mut stage = Stage::new(|input| match input {
        Input::SegmentRequested { request, segment: KEY } => vec![
            Output::DeliverSize(*request, 3),
            Output::Deliver(*request, Bytes::from_static(b"ab")),
            Output::Deliver(*request, Bytes::from_static(b"c")),
            Output::DeliverEnd(*request),
        ],
        Input::SegmentRequested { request, segment: SegmentKey { id: SegmentId(8), .. } } => {
            vec![Output::DeliverFailed(*request, SegmentError::UnknownSegment)]
        }
        _ => Vec::new(),
    });
    let (whole, failed, waiting) = (
        stage.session.segment(KEY),
        stage.session.segment(SegmentKey { id: SegmentId(8), ..KEY }),
        stage.session.segment(SegmentKey { id: SegmentId(9), ..KEY }),
    );
    let read = async { (whole.read_all().await, failed.read_all().await) };
    let (whole, failed) = stage.world.run(&mut stage.pool, LIMIT, read);
    assert_eq!(whole.unwrap().join(), &b"abc"[..]);
    assert_eq!(failed, Err(SegmentError::UnknownSegment));
    drop(waiting);
    stage.pool.run_until_stalled();
    assert_eq!(stage.texts()[3..], ["RequestCancelled(PlayerRequestId(2))"], "requests that were answered are not taken back");
}

#[test]
fn events_validation_and_stats_pass_through() {
    struct OnlySevens;
    impl SegmentValidator for OnlySevens {
        async fn validate(&self, segment: SegmentToValidate) -> bool {
            segment.bytes.join().iter().all(|byte| *byte == 7)
        }
    }
    let (handle, input) = session(Config::default(), 1);
    let mut stage = Stage::with_input(handle, input.with_validator(OnlySevens), no_reaction);
    let events = stage.session.events();
    let event = Event::TrackerWarning { tracker: "wss://tracker.test".into(), warning: "slow down".to_owned() };
    let validate = |id, byte| Output::Validate {
        id: ValidationId(id),
        segment: KEY,
        url: "a".into(),
        source: SegmentSource::P2p,
        bytes: Bytes::from(vec![byte; 3]).into(),
    };
    stage.output([Output::Event(event.clone()), validate(1, 7), validate(2, 8)]);
    assert_eq!(stage.texts(), ["Validated(ValidationId(1), true)", "Validated(ValidationId(2), false)"]);

    let session = stage.session.clone();
    let (running, ended) = stage.world.run(&mut stage.pool, LIMIT, async move {
        let running = session.stats().await;
        session.shutdown().await;
        (running, session.stats().await)
    });
    assert_eq!((running.http_requests, ended.http_requests), (0, 1), "the last figures stay");
    assert_eq!(stage.world.run(&mut stage.pool, LIMIT, events.collect::<Vec<_>>()), [event]);
}

#[test]
fn deadlines_are_reached_when_they_come_also_when_moved() {
    let mut stage = Stage::new(no_reaction);
    let seconds = |seconds: u64| Some(Timestamp::from_micros(seconds * 1_000_000));
    stage.log.deadline.set(seconds(5));
    stage.nudge();
    stage.pool.run_until_stalled();
    stage.log.deadline.set(seconds(2));
    stage.nudge();
    stage.pass(Duration::from_secs(2));
    assert_eq!(stage.texts(), ["DeadlineReached"]);
    // Moved back: the timer that was armed first must not be taken for it.
    stage.log.deadline.set(seconds(8));
    stage.nudge();
    stage.pass(Duration::from_secs(5));
    assert_eq!(stage.texts(), Vec::<String>::new());
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.texts(), ["DeadlineReached"]);
}

#[test]
fn shutdown_waits_for_farewells_but_not_for_ever() {
    for (is_stuck, expected) in [(false, 0), (true, 1)] {
        let mut stage = Stage::new(|input| match input {
            Input::Shutdown => {
                vec![Output::SendToTracker(TrackerId(0), r#"{"event":"stopped"}"#.to_owned()), Output::CloseTracker(TrackerId(0))]
            }
            _ => Vec::new(),
        });
        stage.output([Output::OpenTracker(TrackerId(0), "ws://one".into())]);
        stage.world.relay.is_stuck.set(is_stuck);
        let (session, clock) = (stage.session.clone(), stage.world.clock.clone());
        let waiting = stage.session.segment(KEY);
        let took = stage.world.run(&mut stage.pool, LIMIT, async move {
            session.shutdown().await;
            session.shutdown().await;
            assert!(session.has_ended());
            crate::backend::Clock::now(&clock)
        });
        assert_eq!(took.as_micros(), expected * 1_000_000);
        assert_eq!(stage.world.relay.received.borrow().len(), usize::from(!is_stuck));
        assert_eq!(stage.world.relay.open_sockets.get(), 0);
        assert_eq!(stage.world.run(&mut stage.pool, LIMIT, waiting.read_all()), Err(SegmentError::SessionEnded));
    }
}

#[test]
fn dropping_every_handle_is_a_shutdown() {
    let Stage { mut pool, log, session, .. } = Stage::new(no_reaction);
    let clone = session.clone();
    drop(session);
    pool.run_until_stalled();
    assert!(log.inputs.borrow().is_empty());
    drop(clone);
    // Returns only because the driver, the one task left, has ended.
    pool.run();
    assert!(matches!(log.inputs.borrow().as_slice(), [Input::Shutdown]));
}

#[test]
fn a_busy_transfer_keeps_neither_timer_nor_player_nor_others_waiting() {
    let mut stage = Stage::new(no_reaction);
    stage.world.origin.state.resources.borrow_mut().insert("long".to_owned(), Bytes::from(vec![0; 64 << 20]));
    stage.log.deadline.set(Some(Timestamp::from_micros(0)));
    stage.log.outputs.borrow_mut().push_back(Output::StartHttp(HttpId(1), request("long")));
    stage.nudge();
    let (session, sent) = (stage.session.clone(), Rc::clone(&stage.world.origin.state));
    stage.world.run(&mut stage.pool, LIMIT, async move {
        for _ in 0..5 {
            session.stats().await;
        }
        assert!(sent.bytes_sent.get() > 0 && sent.bytes_sent.get() < 32 << 20, "{} bytes came meanwhile", sent.bytes_sent.get());
    });
    assert!(stage.texts().contains(&"DeadlineReached".to_owned()));
}
