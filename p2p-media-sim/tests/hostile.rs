//! Peers that lie to viewers with a validator: nothing wrong is played or passed on, and none but the liar loses its connection.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use common::{assert_played_to_the_end, assert_played_well, film, live, segment};
use p2p_media_core::media::{SegmentId, StreamKey};
use p2p_media_core::peer_protocol::{Command, RequestId};
use p2p_media_sim::report::Report;
use p2p_media_sim::scripted_peer::{Act, ScriptedPeer, Seen, command};
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

const MESSAGE_BYTES: usize = 8_000;
/// What false media is made of.
const WRONG: u8 = 0xee;

fn wrong(bytes: &Bytes) -> Bytes {
    Bytes::from(vec![WRONG; bytes.len()])
}

/// What a peer says that it has whole, and that it is loading from the origin.
fn announcement(loaded: std::ops::Range<i64>, loading: std::ops::Range<i64>) -> Vec<Act> {
    let ids = |ids: std::ops::Range<i64>| ids.map(SegmentId).collect();
    command(&Command::Announcement { loaded: ids(loaded), loading: ids(loading), relaying: Some(Vec::new()) })
}

/// So many bytes a second, in small messages.
fn paced(bytes: &Bytes, bytes_per_s: f64) -> Vec<Act> {
    let message = |from: usize| Act::Send(from as f64 / bytes_per_s, bytes.slice(from..bytes.len().min(from + MESSAGE_BYTES)));
    (0..bytes.len()).step_by(MESSAGE_BYTES).map(message).collect()
}

/// A peer of ours that says this at first, and answers a request for right bytes with a number of bytes told and those sent.
fn peer(number: u64, opening: Vec<Act>, answer: impl Fn(SegmentId, Bytes) -> (u64, Vec<Act>) + 'static) -> ScriptedPeer {
    let presentation = live();
    let mut served: Option<RequestId> = None;
    let script = move |seen: Seen| match seen {
        Seen::Opened => opening.clone(),
        // Less is wanted: it goes on, as one may that has handed out all already.
        Seen::Command(Command::Request { request, .. }) if served == Some(request) => Vec::new(),
        Seen::Command(Command::Request { segment: id, request, first_byte, last_byte }) => {
            served = Some(request);
            let whole = presentation.bytes_of(segment(id.0));
            let end = last_byte.map_or(whole.len(), |last| whole.len().min(last as usize + 1));
            let (told, sent) = answer(id, whole.slice((first_byte as usize).min(end)..end));
            let data = Command::Data { segment: id, request, remaining: Some(told) };
            [vec![Act::StopSending], command(&data), sent].concat()
        }
        Seen::Command(Command::Cancel { .. }) => vec![Act::StopSending],
        _ => Vec::new(),
    };
    ScriptedPeer::new(number, StreamKey(0), Box::new(script))
}

/// A live viewer and these peers.
fn watch_with(peers: Vec<ScriptedPeer>, checks: bool) -> Report {
    let mut simulation = Simulation::new(1, live());
    for peer in peers {
        simulation.add_scripted_peer(0.0, peer);
    }
    simulation.add_viewer(1.0, ViewerOptions::live(6.0).with(|config| config.main.validate_p2p_segment = checks));
    simulation.run_until(60.0);
    let report = simulation.report();
    assert_played_well(&report);
    report
}

fn honest(number: u64, bytes_per_s: f64) -> ScriptedPeer {
    peer(number, announcement(0..200, 0..0), move |_, right| (right.len() as u64, paced(&right, bytes_per_s)))
}

#[test]
fn a_peer_keeps_its_connection_whatever_it_passes_on() {
    // It gives four segments that it has whole. After that it is itself loading, and cannot know what it passes on.
    let asked = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&asked);
    let relay = peer(1, announcement(0..200, 0..0), move |_, right| {
        *counter.borrow_mut() += 1;
        let is_checked = *counter.borrow() <= 4;
        let sent = if is_checked { right } else { wrong(&right) };
        (
            sent.len() as u64,
            [if *counter.borrow() == 4 { announcement(0..0, 0..200) } else { Vec::new() }, paced(&sent, 1_000_000.0)].concat(),
        )
    });
    let report = watch_with(vec![relay], true);
    let engine = &report.viewers[0].engine;
    assert_eq!((engine.peers, engine.peers_misbehaved), (1, 0), "{report}");
    assert_eq!(*asked.borrow(), 5, "it was followed again before it had given anything right: {report}");
}

#[test]
fn a_liar_among_several_sources_is_found_out_and_the_others_are_not_blamed() {
    let asked = RefCell::new(0);
    let liar = peer(1, announcement(0..200, 0..0), move |_, right| {
        *asked.borrow_mut() += 1;
        let sent = if *asked.borrow() <= 4 { right } else { wrong(&right) };
        (sent.len() as u64, paced(&sent, 130_000.0))
    });
    let peers = (2..=5).map(|number| honest(number, 130_000.0)).chain([liar]).collect();
    let report = watch_with(peers, true);
    let engine = &report.viewers[0].engine;
    assert_eq!((engine.peers, engine.peers_misbehaved), (4, 1), "{report}");
    assert_eq!(report.viewers[0].peer_errors, ["the peer sent wrong bytes"]);
    assert!(report.offload() > 0.6, "{report}");
}

#[test]
fn what_a_peer_lies_about_a_size_is_not_held_against_others() {
    for checks in [false, true] {
        // It accepts with a wrong size, and sends nothing.
        let liar = peer(1, announcement(0..200, 0..0), |_, right| (right.len() as u64 + 50_000, Vec::new()));
        let report = watch_with(vec![liar, honest(2, 1_000_000.0)], checks);
        let engine = &report.viewers[0].engine;
        assert_eq!(engine.peers_misbehaved, 0, "{report}");
        assert!(report.offload() > 0.6, "{report}");
    }
}

#[test]
fn more_bytes_than_the_origin_has_are_dropped() {
    // All of the segment and more, but never as much as it says: the origin has nothing from there on.
    let liar = peer(1, announcement(0..200, 0..0), |_, right| {
        let more = Bytes::from([&right[..], &[WRONG; 20_000][..]].concat());
        (more.len() as u64 + 50_000, paced(&more, 2_000_000.0))
    });
    let report = watch_with(vec![liar], true);
    assert!(report.viewers[0].engine.p2p_bytes > 0, "it was never asked: {report}");
}

#[test]
fn what_an_unproven_peer_sends_is_not_passed_on() {
    let poisoner = |number| {
        let presentation = film();
        let script = move |seen: Seen| match seen {
            Seen::Opened => announcement(0..30, 0..0),
            Seen::Command(Command::Request { segment: id, request, first_byte, .. }) => {
                let sent = wrong(&presentation.bytes_of(segment(id.0)).slice(first_byte as usize..));
                let data = Command::Data { segment: id, request, remaining: Some(sent.len() as u64) };
                [command(&data), paced(&sent, 1_000_000.0)].concat()
            }
            _ => Vec::new(),
        };
        ScriptedPeer::new(number, StreamKey(0), Box::new(script))
    };
    let received = Rc::new(RefCell::new((0, 0)));
    let counter = Rc::clone(&received);
    let mut number = 0;
    let follower = move |seen: Seen| match seen {
        Seen::Command(Command::Announcement { loading, relaying, .. }) => {
            let mut ask = |segment: SegmentId| {
                number += 1;
                command(&Command::Request { segment, request: RequestId(number), first_byte: 0, last_byte: None })
            };
            loading.into_iter().chain(relaying.into_iter().flatten()).flat_map(&mut ask).collect()
        }
        Seen::Payload(bytes) => {
            let mut received = counter.borrow_mut();
            received.0 += bytes.len();
            received.1 += usize::from(bytes.iter().all(|byte| *byte == WRONG));
            Vec::new()
        }
        _ => Vec::new(),
    };
    let mut simulation = Simulation::new(1, film());
    simulation.add_scripted_peer(0.0, ScriptedPeer::new(9, StreamKey(0), Box::new(follower)));
    for number in 1..=3 {
        simulation.add_scripted_peer(0.0, poisoner(number));
    }
    simulation.add_viewer(1.0, ViewerOptions::vod().with(|config| config.main.validate_p2p_segment = true));
    simulation.run_until(75.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert_eq!(report.viewers[0].engine.peers_misbehaved, 3, "{report}");
    let (bytes, wrong_messages) = *received.borrow();
    assert!(bytes > 0 && wrong_messages == 0, "{bytes} bytes were passed on, {wrong_messages} wrong messages among them");
}
