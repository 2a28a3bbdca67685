//! Several sources for one segment: together they are in time where each alone would be late, and no byte is fetched twice.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use common::{assert_played_well, film, live, segment};
use p2p_media_core::media::{SegmentId, StreamKey};
use p2p_media_core::peer_protocol::{Command, RequestId};
use p2p_media_sim::network::AccessLink;
use p2p_media_sim::report::Report;
use p2p_media_sim::scripted_peer::{Act, ScriptedPeer, Seen, command};
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

/// The last request that a peer serves, from the first byte to the last.
type Served = Option<(RequestId, u64, u64)>;

/// A peer of ours that has all of a live stream and sends so many bytes a second. It closes at a byte of every segment, if one is given.
fn slow_peer(number: u64, bytes_per_s: f64, closes_at: Option<usize>) -> ScriptedPeer {
    const MESSAGE_BYTES: usize = 8_000;
    let presentation = live();
    let mut served: Served = None;
    let script = move |seen: Seen| match seen {
        Seen::Opened => {
            let loaded = (0..200).map(SegmentId).collect();
            command(&Command::Announcement { loaded, loading: Vec::new(), relaying: Some(Vec::new()) })
        }
        // Less is wanted of what it sends. It goes on, as one may that has handed out all already.
        Seen::Command(Command::Request { request, .. }) if served.is_some_and(|(other, ..)| other == request) => Vec::new(),
        Seen::Command(Command::Request { segment: id, request, first_byte, last_byte }) => {
            let whole = presentation.bytes_of(segment(id.0));
            let end = last_byte.map_or(whole.len(), |last| whole.len().min(last as usize + 1));
            let bytes = whole.slice(first_byte as usize..end);
            served = Some((request, first_byte, end as u64));
            let mut acts = vec![Act::StopSending];
            acts.extend(command(&Command::Data { segment: id, request, remaining: Some(bytes.len() as u64) }));
            for (index, from) in (0..bytes.len()).step_by(MESSAGE_BYTES).enumerate() {
                let at_s = index as f64 * MESSAGE_BYTES as f64 / bytes_per_s;
                acts.push(Act::Send(at_s, bytes.slice(from..bytes.len().min(from + MESSAGE_BYTES))));
                if closes_at.is_some_and(|at| from >= at) {
                    acts.push(Act::Close(at_s + 0.01));
                    break;
                }
            }
            acts
        }
        Seen::Command(Command::Cancel { .. }) => vec![Act::StopSending],
        _ => Vec::new(),
    };
    ScriptedPeer::new(number, StreamKey(0), Box::new(script))
}

/// A live viewer with peers of a third of the bitrate each.
fn watch_with_slow_peers(peers: u64, closes_at: Option<usize>) -> Report {
    let mut simulation = Simulation::new(1, live());
    for number in 1..=peers {
        simulation.add_scripted_peer(0.0, slow_peer(number, 130_000.0, closes_at.filter(|_| number == 1)));
    }
    simulation.add_viewer(1.0, ViewerOptions::live(6.0));
    simulation.run_until(60.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert_eq!(report.viewers[0].engine.peers_misbehaved, 0, "{report}");
    report
}

#[test]
fn peers_that_are_slow_each_bring_a_segment_together() {
    let report = watch_with_slow_peers(5, None);
    assert!(report.offload() > 0.85, "{report}");
}

#[test]
fn the_origin_brings_only_what_a_slow_peer_does_not() {
    let report = watch_with_slow_peers(1, None);
    let engine = &report.viewers[0].engine;
    // A peer that brings 130 of 375 kB/s has about three of every four seconds in which there is time for it.
    assert!(report.offload() > 0.2, "{report}");
    let twice = (engine.http_bytes + engine.p2p_bytes) as f64 / report.delivered_bytes() as f64;
    assert!(twice < 1.1, "{twice:.2} times as much was fetched as was played: {report}");
}

#[test]
fn a_source_that_closes_amid_its_stretch_costs_no_stall() {
    let report = watch_with_slow_peers(4, Some(40_000));
    assert!(report.offload() > 0.5, "{report}");
}

/// A live viewer and a peer that answers requests for its segments in this way.
fn watch_with(answer: impl Fn(SegmentId, RequestId, Bytes) -> Vec<Act> + Copy + 'static) -> Report {
    let mut simulation = Simulation::new(1, live());
    let presentation = live();
    let mut served = None;
    let script = move |seen: Seen| match seen {
        Seen::Opened => {
            let loaded = (0..200).map(SegmentId).collect();
            command(&Command::Announcement { loaded, loading: Vec::new(), relaying: Some(Vec::new()) })
        }
        // As from one that has handed out all already.
        Seen::Command(Command::Request { request, .. }) if served == Some(request) => Vec::new(),
        Seen::Command(Command::Request { segment: id, request, first_byte, last_byte }) => {
            served = Some(request);
            let whole = presentation.bytes_of(segment(id.0));
            let end = last_byte.map_or(whole.len(), |last| whole.len().min(last as usize + 1));
            let bytes = whole.slice(first_byte as usize..end);
            [vec![Act::StopSending], answer(id, request, bytes)].concat()
        }
        Seen::Command(Command::Cancel { .. }) => vec![Act::StopSending],
        _ => Vec::new(),
    };
    simulation.add_scripted_peer(0.0, ScriptedPeer::new(1, StreamKey(0), Box::new(script)));
    simulation.add_viewer(1.0, ViewerOptions::live(6.0));
    simulation.run_until(60.0);
    let report = simulation.report();
    assert_played_well(&report);
    report
}

/// So many bytes a second, in small messages.
fn paced(bytes: &Bytes, bytes_per_s: f64) -> Vec<Act> {
    const MESSAGE_BYTES: usize = 8_000;
    let message = |from: usize| Act::Send(from as f64 / bytes_per_s, bytes.slice(from..bytes.len().min(from + MESSAGE_BYTES)));
    (0..bytes.len()).step_by(MESSAGE_BYTES).map(message).collect()
}

#[test]
fn a_peer_that_falls_silent_just_before_the_end_costs_no_stall() {
    let report = watch_with(|id, request, bytes| {
        let data = Command::Data { segment: id, request, remaining: Some(bytes.len() as u64) };
        [command(&data), paced(&bytes.slice(..bytes.len() - 1_000), 400_000.0)].concat()
    });
    assert!(report.offload() > 0.5, "{report}");
}

#[test]
fn a_peer_that_is_wrong_about_the_size_costs_no_stall() {
    watch_with(|id, request, bytes| {
        let shorter = bytes.slice(..bytes.len() - 100_000);
        let data = Command::Data { segment: id, request, remaining: Some(shorter.len() as u64) };
        [command(&data), paced(&shorter, 130_000.0)].concat()
    });
}

#[test]
fn a_request_with_a_known_number_only_shortens_what_is_sent() {
    let payload = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&payload);
    let mut has_asked = false;
    let ask = |last_byte| command(&Command::Request { segment: SegmentId(0), request: RequestId(7), first_byte: 1_000, last_byte });
    let script = move |seen: Seen| match seen {
        Seen::Command(Command::Announcement { loaded, .. }) if loaded.contains(&SegmentId(0)) && !has_asked => {
            has_asked = true;
            [ask(None), ask(Some(300_000)), ask(Some(100_999))].concat()
        }
        // Everything has been sent: it is not sent again.
        Seen::Command(Command::Completed { .. }) => ask(Some(50_000)),
        Seen::Payload(bytes) => {
            *counter.borrow_mut() += bytes.len();
            Vec::new()
        }
        _ => Vec::new(),
    };
    let mut simulation = Simulation::new(1, film());
    simulation.add_scripted_peer(0.0, ScriptedPeer::new(1, StreamKey(0), Box::new(script)));
    simulation.add_viewer(1.0, ViewerOptions::vod().on(AccessLink::mbits(20.0, 2.0, 0.02)));
    simulation.run_until(75.0);
    assert_played_well(&simulation.report());
    assert_eq!(*payload.borrow(), 100_000);
}
