//! One hostile pattern repeated: the engine's state must stop growing, its answers must stay in proportion, and timers must not spin.

use std::time::Duration;

use p2p_media_core::config::Config;
use p2p_media_core::engine::input::Input;
use p2p_media_core::engine::output::Output;

use crate::actions::{Action, ConnectionAction, HttpAction, PlayerAction, TrackerAction};
use crate::ledger::Stage;
use crate::world::World;

/// Rounds after which every table has reached its limit.
const WARM_UP_ROUNDS: u32 = 400;

/// A session that plays, with its tracker open.
fn playing() -> World {
    World::playing(Config { announce_trackers: vec!["ws://a.test".to_owned()], ..Config::default() }, 1)
}

/// Repeats a pattern, as many times again as it takes to fill the tables, and compares what the engine holds.
fn assert_stays_small(mut world: World, mut round: impl FnMut(&mut World, u32)) -> World {
    let mut size_after = |world: &mut World, rounds: std::ops::Range<u32>| {
        rounds.for_each(|number| round(world, number));
        format!("{:?}", world.engine).len()
    };
    let early = size_after(&mut world, 0..WARM_UP_ROUNDS);
    let late = size_after(&mut world, WARM_UP_ROUNDS..4 * WARM_UP_ROUNDS);
    // Numbers get longer.
    assert!(late < early + early / 4 + 2_000, "from {early} to {late} characters");
    world
}

#[test]
fn offers_without_end() {
    let world = assert_stays_small(playing(), |world, number| {
        world.offer(number);
        world.pass(Duration::from_millis(50));
    });
    let in_flight = world.ledger.connections.values().filter(|connection| connection.stage != Stage::Closed).count();
    assert!(in_flight <= 40, "{in_flight} handshakes");
}

#[test]
fn peers_that_come_misbehave_and_go() {
    let world = assert_stays_small(playing(), |world, number| {
        let peer = world.meet(number);
        world.on_connection(peer, &ConnectionAction::Announce { first: 0, loaded: 16, loading: 0, relaying: None, in_parts: false });
        world.on_connection(peer, &ConnectionAction::Bytes(b"cstr\x01cend".to_vec()));
        world.pass(Duration::from_millis(10));
    });
    assert_eq!(world.engine.stats().peers, 0);
    assert!(world.engine.stats().peers_misbehaved > u64::from(WARM_UP_ROUNDS));
}

#[test]
fn a_peer_that_asks_without_end_begins_few_reads() {
    let mut world = playing();
    let peer = world.meet(0);
    world.ledger.loads.clear();
    let world = assert_stays_small(world, |world, number| {
        let request = u64::from(number);
        world.on_connection(peer, &ConnectionAction::Request { segment: 0, request, first_byte: 0, last_byte: None, of_part: false });
        if number % 3 == 0 {
            world.on_connection(peer, &ConnectionAction::Cancel { segment: 0, request });
        }
    });
    assert!((1..=4).contains(&world.ledger.loads.len()), "{} reads", world.ledger.loads.len());
}

#[test]
fn a_peer_that_never_reads_is_closed() {
    let mut world = playing();
    let peer = world.meet(0);
    world.ledger.open.clear();
    let asked = (0..2_000_000_u64).find(|request| {
        world.on_connection(
            peer,
            &ConnectionAction::Request { segment: 999, request: *request, first_byte: 0, last_byte: None, of_part: false },
        );
        world.ledger.open.clear();
        world.ledger.connections[&peer].stage == Stage::Closed
    });
    assert!(asked.is_some_and(|asked| asked < 600_000), "{asked:?}");
}

#[test]
fn trackers_that_open_and_close() {
    assert_stays_small(playing(), |world, _| {
        world.act(&Action::Tracker(0, TrackerAction::Closed));
        world.pass(Duration::from_secs(100));
        world.act(&Action::Tracker(0, TrackerAction::Opened));
        world.pass(Duration::from_secs(1));
        world.act(&Action::Tracker(0, TrackerAction::Announced { stream: 0, interval: 0.0, members: u64::MAX }));
        world.ledger.open.clear();
    });
}

#[test]
fn an_origin_that_always_fails() {
    let world = assert_stays_small(playing(), |world, number| {
        world.request(0, 1 + i64::from(number % 15));
        for _ in 0..8 {
            world.act(&Action::Http(17, HttpAction::Head { status: 500, range_first: None, range_total: None, content_length: None }));
            world.pass(Duration::from_secs(1));
        }
    });
    let waiting = world.ledger.requests.values().filter(|delivery| !delivery.ended).count();
    assert!(waiting <= 16, "{waiting} requests without an end");
}

#[test]
fn a_player_that_asks_and_cancels() {
    assert_stays_small(playing(), |world, number| {
        world.request((number % 2) as u8, i64::from(number % 16));
        world.act(&Action::Player(PlayerAction::Cancel(17)));
        world.ledger.loads.keys().copied().collect::<Vec<_>>().into_iter().for_each(|load| world.give(Input::Loaded(load, None)));
        world.ledger.loads.clear();
        world.ledger.open.clear();
    });
}

#[test]
fn streams_that_come_and_go() {
    assert_stays_small(playing(), |world, number| {
        let stream = 2 + (number % 2) as u8;
        world.act(&Action::Player(PlayerAction::AddStream(stream)));
        world.act(&Action::Player(PlayerAction::AddSegments {
            stream,
            first: 0,
            count: 16,
            duration: 2.0,
            range: None,
            is_unfinished: false,
        }));
        world.request(stream, 3);
        world.act(&Action::Obey(6));
        world.act(&Action::Player(PlayerAction::RemoveStream(stream)));
        world.ledger.open.retain(|output| !matches!(output, Output::SendToPeer(..)));
    });
}

#[test]
fn announcements_without_end_do_not_make_timers_spin() {
    let mut world = playing();
    let peers: Vec<_> = (0..8).map(|number| world.meet(number)).collect();
    for round in 0..40_u16 {
        for peer in &peers {
            world.on_connection(
                *peer,
                &ConnectionAction::Announce { first: i64::from(round % 3), loaded: 4_000, loading: 200, relaying: None, in_parts: false },
            );
        }
        world.pass(Duration::from_millis(100));
    }
    let served = world.pass(Duration::from_secs(60));
    assert!(served < 60 * 200, "{served} timers in a minute");
}
