//! The engine among peers, without a network: who is asked for a segment, and who is served.

use bytes::Bytes;

use super::input::PlayerRequestId;
use super::throughput::Average;
use super::*;
use crate::backend::HttpHead;
use crate::media::{Segment, SegmentId, StreamUpdate};
use crate::peer_protocol::{Command, MAX_MESSAGE_BYTES, MessageReader, PeerMessage, RequestId};
use crate::segment_bytes::SegmentBytes;
use crate::tracker_protocol::OfferId;

const STREAM: StreamKey = StreamKey(0);
const KEY: SegmentKey = key(5);

const fn key(id: i64) -> SegmentKey {
    SegmentKey { stream: STREAM, id: SegmentId(id) }
}

/// An engine in a swarm, and the time there.
struct World {
    engine: Engine,
    at_s: f64,
}

impl World {
    /// It plays segment 0, which is here, and knows another that begins at 10 s. The origin does not answer any more.
    fn new() -> Self {
        let mut world = Self { engine: Engine::new(Config::default(), 1, Timestamp::ZERO), at_s: 0.0 };
        world.give(Input::StreamAdded(Stream { key: STREAM, kind: StreamKind::Main, swarm_id: "swarm".into() }));
        let segment = |id: i64| Segment {
            id: SegmentId(id),
            url: "u".into(),
            byte_range: None,
            start: id as f64 * 2.0,
            duration: 2.0,
            form: Default::default(),
        };
        world.give(Input::StreamUpdated(STREAM, StreamUpdate { added: vec![segment(0), segment(KEY.id.0)], ..StreamUpdate::default() }));
        world.give(Input::PlayheadMoved(crate::media::Playhead { position: 0.0, rate: 1.0 }));
        let outputs = world.give(Input::SegmentRequested { request: PlayerRequestId(1), segment: key(0) });
        let fetch =
            outputs.iter().find_map(|output| if let Output::StartHttp(id, _) = output { Some(*id) } else { None }).expect("fetched");
        let head = HttpHead { status: 200, content_length: Some(1000), range_first: None, range_total: None };
        world.give(Input::HttpHead(fetch, head));
        world.give(Input::HttpChunk(fetch, Bytes::from_static(&[7; 1000])));
        assert!(world.engine.stored.contains(key(0)));
        world
    }

    fn give(&mut self, input: Input) -> Vec<Output> {
        self.engine.handle_input(Timestamp::ZERO.offset_secs(self.at_s), input);
        std::iter::from_fn(|| self.engine.poll_output()).collect()
    }

    /// Time passes, and all timers are served that are due.
    fn wait(&mut self, seconds: f64) -> Vec<Output> {
        self.at_s += seconds;
        self.give(Input::DeadlineReached)
    }

    /// A peer of ours whose place in the order for [`KEY`] is before or after that of the engine.
    fn meet(&mut self, number: u64, is_before: bool) -> ConnectionId {
        self.engine.want(KEY, self.engine.streams.get(&STREAM).and_then(|state| state.segments.get(KEY.id)).cloned().expect("known"));
        let place = self.engine.place_in_election(KEY).expect("in a swarm");
        let ours = place(&self.engine.peer_id.0);
        let mut random = Random::new(number);
        let ids = std::iter::repeat_with(|| PeerId::generate(crate::identity::PEER_ID_PREFIX, || random.next()));
        let id = ids.take(1000).find(|id| (place(&id.0) < ours) == is_before).expect("half of them");
        let connection = ConnectionId(1000 + number);
        self.engine.peer_connected(connection, STREAM, id, (id, OfferId([0; 20])));
        connection
    }

    fn hear(&mut self, from: ConnectionId, command: &Command) -> Vec<Output> {
        command.encode(MAX_MESSAGE_BYTES).into_iter().flat_map(|message| self.give(Input::PeerMessage(from, message))).collect()
    }

    fn announces(&mut self, from: ConnectionId, loading: &[i64], relaying: &[i64]) -> Vec<Output> {
        let ids = |ids: &[i64]| ids.iter().map(|id| SegmentId(*id)).collect();
        self.hear(from, &Command::Announcement { loaded: Vec::new(), loading: ids(loading), relaying: Some(ids(relaying)) })
    }

    fn asks(&mut self, from: ConnectionId, segment: SegmentId) -> Vec<Output> {
        self.hear(from, &Command::Request { segment, request: RequestId(1), first_byte: 0, last_byte: None })
    }

    /// The uplink is seen to carry so many bytes a second to two receivers, and segments to have 375 kB a second.
    fn uplink_carries(&mut self, bytes_per_s: usize) {
        let now = self.engine.now;
        let uplink = &mut self.engine.uploads.uplink;
        uplink.begin(now);
        uplink.sent(now.offset_secs(1.0), bytes_per_s, 2, false);
        let rate = &mut self.engine.streams.get_mut(&STREAM).expect("added").bytes_per_media_s;
        *rate = Average::default();
        rate.add(375_000.0);
    }
}

/// The commands that were sent, and to whom.
fn commands(outputs: &[Output]) -> Vec<(ConnectionId, Command)> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::SendToPeer(to, message) => Some((*to, message.clone())),
        _ => None,
    });
    let command = |(to, message): (ConnectionId, Bytes)| {
        let mut reader = MessageReader::new();
        reader.push(message, 0).ok()?;
        match reader.next_message()? {
            PeerMessage::Command(command) => Some((to, command)),
            PeerMessage::Payload(_) => None,
        }
    };
    sent.filter_map(command).collect()
}

/// Playback needs [`KEY`] at 10 s; by then the origin must have had the time that it takes, and the playhead is reported a tenth of a second late.
const LATEST_FETCH_S: f64 = 9.7;

/// Who was asked for [`KEY`].
fn asked(outputs: &[Output]) -> Vec<ConnectionId> {
    let is_request = |command: &Command| matches!(command, Command::Request { segment, .. } if *segment == KEY.id);
    commands(outputs).into_iter().filter(|(_, command)| is_request(command)).map(|(to, _)| to).collect()
}

#[test]
fn who_comes_later_in_the_order_is_asked_once_it_has_been_loading_for_a_while() {
    let mut world = World::new();
    let later = world.meet(1, false);
    assert_eq!(asked(&world.announces(later, &[], &[5])), []);
    assert_eq!(asked(&world.wait(0.2)), [], "perhaps it waits for us");
    assert_eq!(asked(&world.wait(0.11)), [later]);

    let mut world = World::new();
    let earlier = world.meet(1, true);
    let outputs = [world.announces(earlier, &[], &[5]), world.wait(0.11)].concat();
    assert_eq!(asked(&outputs), [earlier], "who comes earlier cannot wait for us");
}

#[test]
fn who_had_a_source_that_failed_asks_nobody_who_may_wait_for_it() {
    for passes_on in [false, true] {
        let mut world = World::new();
        let (earlier, follower) = (world.meet(1, true), world.meet(2, false));
        let outputs = [world.announces(earlier, &[], &[5]), world.announces(follower, &[], &[]), world.wait(0.11)].concat();
        assert_eq!(asked(&outputs), [earlier]);
        if passes_on {
            world.asks(follower, KEY.id);
            assert_eq!(world.engine.uploads.following, 1);
        }
        // The follower now says that it is loading what it has from us.
        world.announces(follower, &[], &[5]);
        let request = world.engine.peers.get(&earlier).and_then(|peer| peer.download.as_ref()).expect("asked").incoming.request();
        world.hear(earlier, &Command::Data { segment: KEY.id, request, remaining: None });
        let mut outputs = world.hear(earlier, &Command::Absent { segment: KEY.id, request });
        let refused_at_s = world.at_s;
        while world.at_s < 10.0 && !outputs.iter().any(|output| matches!(output, Output::StartHttp(..))) {
            outputs.extend(world.wait(0.1));
        }
        assert_eq!(asked(&outputs), [], "a ring would close: each would wait for the other");
        let waited_s = world.at_s - refused_at_s;
        if passes_on {
            assert!(waited_s < 1.1, "whoever depends on us is not waited for: {waited_s} s");
        } else {
            assert!(
                waited_s > 1.1 && world.at_s < LATEST_FETCH_S,
                "another will have it soon, but not for ever: {waited_s} s, {} s",
                world.at_s
            );
        }
    }
}

#[test]
fn a_ring_in_which_nothing_comes_is_left_for_the_origin_before_playback_waits() {
    let mut world = World::new();
    let silent = world.meet(1, true);
    let outputs = [world.announces(silent, &[], &[5]), world.wait(0.11)].concat();
    assert_eq!(asked(&outputs), [silent]);
    let mut fetched_at_s = None;
    while world.at_s < 10.0 && fetched_at_s.is_none() {
        let position = world.at_s;
        let moved = Input::PlayheadMoved(crate::media::Playhead { position, rate: 1.0 });
        let outputs = [world.wait(0.1), world.announces(silent, &[], &[5]), world.give(moved)].concat();
        fetched_at_s = outputs.iter().any(|output| matches!(output, Output::StartHttp(..))).then_some(world.at_s);
    }
    assert!(fetched_at_s.is_some_and(|at_s| at_s < LATEST_FETCH_S), "{fetched_at_s:?}");
}

#[test]
fn a_slow_uplink_serves_few_and_refuses_further_ones_at_once() {
    let served = |bytes_per_s: Option<usize>| {
        let mut world = World::new();
        bytes_per_s.into_iter().for_each(|bytes_per_s| world.uplink_carries(bytes_per_s));
        let mut outputs = Vec::new();
        for number in 0..20 {
            let peer = world.meet(number, true);
            outputs.extend(world.asks(peer, SegmentId(0)));
        }
        let loads = outputs.iter().filter(|output| matches!(output, Output::Load(..))).count();
        let refused = commands(&outputs).iter().filter(|(_, command)| matches!(command, Command::Absent { .. })).count();
        (loads, refused)
    };
    let slots = Config::default().upload_slots;
    assert_eq!(served(None), (slots, 0), "nothing is known of it");
    assert_eq!(served(Some(100_000_000)), (slots, 0));
    // It carries six times the media's rate, so three get twice that each.
    assert_eq!(served(Some(2_300_000)), (3, 13));
    assert_eq!(served(Some(100_000)), (2, 14), "a few are always served");
}

#[test]
fn a_slot_that_becomes_free_is_taken_by_the_next_in_line() {
    let mut world = World::new();
    world.uplink_carries(100_000);
    world.engine.stored.insert(key(1), 1000, 4.0);
    let peers: Vec<_> = (0..4).map(|number| world.meet(number, true)).collect();
    let mut loads = Vec::new();
    for peer in &peers {
        loads.extend(world.asks(*peer, SegmentId(0)).into_iter().filter_map(|output| match output {
            Output::Load(load, _) => Some(load),
            _ => None,
        }));
    }
    assert_eq!(loads.len(), 2);
    let bytes: SegmentBytes = Bytes::from_static(&[7; 1000]).into();
    let outputs = world.give(Input::Loaded(loads[0], Some(bytes)));
    let completed = commands(&outputs).into_iter().find(|(_, command)| matches!(command, Command::Completed { .. }));
    assert_eq!(completed.map(|(to, _)| to), Some(peers[0]));
    assert_eq!(outputs.iter().filter(|output| matches!(output, Output::Load(..))).count(), 1, "the third begins");
}

#[test]
fn nobody_is_invited_to_wait_at_a_weak_uplink() {
    for (bytes_per_s, told) in [(10_000_000, vec![KEY.id]), (100_000, vec![])] {
        let mut world = World::new();
        world.uplink_carries(bytes_per_s);
        let source = world.meet(1, true);
        let outputs = [world.announces(source, &[], &[5]), world.wait(0.11)].concat();
        assert_eq!(asked(&outputs), [source]);
        let Command::Announcement { relaying, .. } = world.engine.announcement(STREAM, true) else { panic!("an announcement") };
        assert_eq!(relaying, Some(told));
    }
}

#[test]
fn a_segment_whose_end_was_not_told_is_finished_by_the_origin() {
    let mut world = World::new();
    let relay = world.meet(1, true);
    let outputs = [world.announces(relay, &[], &[5]), world.wait(0.11)].concat();
    assert_eq!(asked(&outputs), [relay]);
    let request = world.engine.peers.get(&relay).and_then(|peer| peer.download.as_ref()).expect("asked").incoming.request();
    world.give(Input::SegmentRequested { request: PlayerRequestId(2), segment: KEY });
    world.hear(relay, &Command::Data { segment: KEY.id, request, remaining: None });
    // That was all of it, but the peer falls silent before it says so.
    world.give(Input::PeerMessage(relay, Bytes::from_static(&[7; 1000])));
    let mut fetch = None;
    while world.at_s < 10.0 && fetch.is_none() {
        fetch = world.wait(0.1).into_iter().find_map(|output| match output {
            Output::StartHttp(id, request) => Some((id, request)),
            _ => None,
        });
    }
    let (id, request) = fetch.expect("fetched");
    assert_eq!((request.first, request.last), (999, None), "what begins at the end is no range, and would be answered by 416");
    let head = HttpHead { status: 206, content_length: Some(1), range_first: Some(999), range_total: None };
    let outputs = [world.give(Input::HttpHead(id, head)), world.give(Input::HttpChunk(id, Bytes::from_static(&[7])))].concat();
    assert!(!outputs.iter().any(|output| matches!(output, Output::Deliver(..))), "the player has that byte");
    assert!(world.give(Input::HttpEnd(id)).iter().any(|output| matches!(output, Output::DeliverEnd(PlayerRequestId(2)))));
    assert_eq!(world.engine.stored.bytes(), 2000);
}
