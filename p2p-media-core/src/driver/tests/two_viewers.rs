//! Two real engines in one process: the second viewer gets segments from the first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;

use super::stub_backend::World;
use crate::config::Config;
use crate::driver::{Observer, drive};
use crate::engine::Engine;
use crate::engine::input::Input;
use crate::engine::output::Output;
use crate::event::Event;
use crate::media::{FetchTimes, Playhead, Segment, SegmentId, SegmentKey, StreamKey, StreamKind, StreamUpdate};
use crate::session::{Session, session};
use crate::timestamp::Timestamp;

const SEGMENTS: i64 = 12;
const SEGMENT_SECONDS: f64 = 4.0;
const SEGMENT_BYTES: usize = 200_000;
const LIMIT: Duration = Duration::from_secs(120);

fn segment_bytes(id: i64) -> Bytes {
    (0..SEGMENT_BYTES).map(|offset| (offset as i64 * 31 + id * 7) as u8).collect::<Vec<_>>().into()
}

fn segments() -> Vec<Segment> {
    (0..SEGMENTS)
        .map(|id| Segment {
            id: SegmentId(id),
            url: format!("http://origin.test/{id}.ts").into(),
            byte_range: None,
            start: id as f64 * SEGMENT_SECONDS,
            duration: SEGMENT_SECONDS,
            form: Default::default(),
        })
        .collect()
}

/// Keeps what it sees of a session.
#[derive(Clone, Debug, Default)]
struct Notes(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    made: Option<(Config, u64, Timestamp)>,
    steps: Vec<(Timestamp, Input, Vec<Output>)>,
}

impl Observer for Notes {
    fn begins(&mut self, config: &Config, seed: u64, now: Timestamp) {
        self.0.lock().unwrap().made = Some((config.clone(), seed, now));
    }

    fn input(&mut self, now: Timestamp, input: &Input) {
        self.0.lock().unwrap().steps.push((now, input.clone(), Vec::new()));
    }

    fn output(&mut self, output: &Output) {
        self.0.lock().unwrap().steps.last_mut().unwrap().2.push(output.clone());
    }
}

fn viewer(world: &World, pool: &LocalPool, seed: u64) -> (Session, StreamKey, Notes) {
    let config = Config { announce_trackers: vec!["ws://tracker.test".to_owned()], ..Config::default() };
    let (session, input) = session(config, seed);
    let notes = Notes::default();
    let input = input.with_observer(Box::new(notes.clone()));
    pool.spawner().spawn_local(drive(world.backend(), input)).unwrap();
    let key = session.add_stream(StreamKind::Main, "v2-http://origin.test/master.m3u8-main-stream").unwrap();
    session.update_stream(key, StreamUpdate { added: segments(), removed: Vec::new(), live: false }).unwrap();
    session.set_playhead(Playhead { position: 0.0, rate: 1.0 }).unwrap();
    (session, key, notes)
}

/// Plays in real (virtual) time with 3 segments of buffer, and checks every byte.
async fn play(world: World, session: Session, stream: StreamKey) {
    for id in 0..SEGMENTS {
        let bytes = session.segment(SegmentKey { stream, id: SegmentId(id) }).read_all().await.unwrap();
        assert_eq!(bytes.join(), segment_bytes(id), "segment {id}");
        let position = (id - 3).max(0) as f64 * SEGMENT_SECONDS;
        session.set_playhead(Playhead { position, rate: 1.0 }).unwrap();
        if id >= 3 {
            world.clock.sleep(Duration::from_secs_f64(SEGMENT_SECONDS)).await;
        }
    }
}

#[test]
fn the_second_viewer_is_served_by_the_first() {
    let (world, mut pool) = (World::default(), LocalPool::new());
    for id in 0..SEGMENTS {
        world.origin.state.resources.borrow_mut().insert(format!("http://origin.test/{id}.ts"), segment_bytes(id));
    }
    world.origin.state.chunk_interval.set(Duration::from_millis(5));

    let (first, stream, first_notes) = viewer(&world, &pool, 1);
    world.run(&mut pool, LIMIT, play(world.clone(), first.clone(), stream));
    let from_origin = world.origin.state.bytes_sent.get();
    assert_eq!(from_origin, SEGMENTS as usize * SEGMENT_BYTES);

    let (second, stream, second_notes) = viewer(&world, &pool, 2);
    let events = second.events();
    world.run(&mut pool, LIMIT, play(world.clone(), second.clone(), stream));
    let (first_stats, second_stats) = world.run(&mut pool, LIMIT, async move {
        let stats = (first.stats().await, second.stats().await);
        second.shutdown().await;
        first.shutdown().await;
        stats
    });
    assert_eq!(second_stats.http_bytes + second_stats.p2p_bytes, (SEGMENTS as usize * SEGMENT_BYTES) as u64);
    assert!(second_stats.p2p_bytes >= 8 * SEGMENT_BYTES as u64, "{second_stats:?}");
    assert_eq!(first_stats.uploaded_bytes, second_stats.p2p_bytes);
    assert_eq!((first_stats.peers_misbehaved, second_stats.peers_misbehaved), (0, 0));

    let events = world.run(&mut pool, LIMIT, events.collect::<Vec<_>>());
    assert_eq!(events.iter().filter(|event| matches!(event, Event::PeerConnected { .. })).count(), 1);
    let stopped = world.relay.received.borrow().iter().filter(|message| message["event"] == "stopped").count();
    assert_eq!(stopped, 2, "both said goodbye");
    assert_eq!(world.relay.open_sockets.get(), 0);
    for notes in [first_notes, second_notes] {
        does_the_same_again(&notes.0.lock().unwrap());
    }
}

/// A fresh engine, told what an observer saw, asks for the same.
fn does_the_same_again(seen: &Seen) {
    let (config, seed, now) = seen.made.clone().unwrap();
    let mut engine = Engine::new(config, seed, now);
    assert!(seen.steps.len() > 50, "{}", seen.steps.len());
    for (now, input, outputs) in &seen.steps {
        engine.handle_input(*now, input.clone());
        let again: Vec<_> = std::iter::from_fn(|| engine.poll_output()).collect();
        assert_eq!(format!("{again:?}"), format!("{outputs:?}"), "after {input:?}");
    }
    assert!(engine.is_finished());
}

#[test]
fn what_a_player_fetched_itself_is_shared() {
    let (world, mut pool) = (World::default(), LocalPool::new());
    for id in 1..SEGMENTS {
        world.origin.state.resources.borrow_mut().insert(format!("http://origin.test/{id}.ts"), segment_bytes(id));
    }
    world.origin.state.chunk_interval.set(Duration::from_millis(5));

    let (first, stream, _) = viewer(&world, &pool, 1);
    let (segment, times) =
        (SegmentKey { stream, id: SegmentId(0) }, FetchTimes { response: Duration::from_millis(50), body: Duration::from_millis(200) });
    let unknown = SegmentKey { stream, id: SegmentId(SEGMENTS) };
    let events = first.events();
    first.take_fetched(segment, segment_bytes(0), times).unwrap();
    first.take_fetched(segment, segment_bytes(0), times).unwrap();
    first.take_fetched(unknown, segment_bytes(0), times).unwrap();
    let asked = first.clone();
    let stats = world.run(&mut pool, LIMIT, async move { asked.stats().await });
    assert_eq!((stats.stored_segments, stats.http_bytes), (1, 2 * SEGMENT_BYTES as u64));

    // The origin has no segment 0: who joins can have it from the first viewer alone.
    let (second, stream, _) = viewer(&world, &pool, 2);
    let (clock, asked) = (world.clock.clone(), second.clone());
    let bytes = world.run(&mut pool, LIMIT, async move {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match asked.segment(SegmentKey { stream, id: SegmentId(0) }).read_all().await {
                Ok(bytes) => break bytes,
                Err(error) => assert!(attempts < 100, "{error}"),
            }
            clock.sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(bytes.join(), segment_bytes(0));

    world.run(&mut pool, LIMIT, async move {
        first.shutdown().await;
        second.shutdown().await;
    });
    let events = world.run(&mut pool, LIMIT, events.collect::<Vec<_>>());
    let of_first = |event: &&Event| matches!(event, Event::SegmentLoaded { bytes, .. } if *bytes == SEGMENT_BYTES as u64);
    assert_eq!(events.iter().filter(of_first).count(), 1);
}
