//! Peers that fail or lie: playback goes on, and nothing wrong is played.

mod common;

use bytes::Bytes;
use common::{assert_played_to_the_end, assert_played_well, film, live, peer_with_the_film, segment};
use p2p_media_core::media::{SegmentId, StreamKey};
use p2p_media_core::peer_protocol::{Command, MAX_MESSAGE_BYTES};
use p2p_media_sim::report::Report;
use p2p_media_sim::scripted_peer::{Act, ScriptedPeer, Seen, command};
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

/// Bytes of each segment that the scripted peers have for sure: less than any segment has.
const SOME_BYTES: usize = 200_000;

/// One viewer of the film, who meets this peer before it needs anything beyond the first seconds.
fn watch_with(peer: ScriptedPeer) -> Report {
    watch_with_peers(vec![peer], ViewerOptions::vod())
}

fn watch_with_peers(peers: Vec<ScriptedPeer>, options: ViewerOptions) -> Report {
    let mut simulation = Simulation::new(1, film());
    for peer in peers {
        simulation.add_scripted_peer(0.0, peer);
    }
    simulation.add_viewer(1.0, options);
    simulation.run_until(75.0);
    simulation.report()
}

/// The messages of a segment from `first_byte` on.
fn payload(bytes: &Bytes, first_byte: u64) -> Vec<Act> {
    let bytes = bytes.slice(first_byte as usize..);
    let chunks = (0..bytes.len()).step_by(MAX_MESSAGE_BYTES).map(|from| bytes.slice(from..bytes.len().min(from + MAX_MESSAGE_BYTES)));
    chunks.map(|chunk| Act::Send(0.0, chunk)).collect()
}

/// A peer that answers each request with a number of bytes told and the bytes sent, both made from the right bytes that are missing.
fn peer_that_answers(number: u64, answer: impl Fn(Bytes) -> (u64, Vec<Act>, bool) + 'static) -> ScriptedPeer {
    let presentation = film();
    peer_with_the_film(number, move |seen| {
        let Command::Request { segment: id, request, first_byte, .. } = seen else {
            return if matches!(seen, Command::Cancel { .. }) { vec![Act::StopSending] } else { Vec::new() };
        };
        let right = presentation.bytes_of(segment(id.0)).slice(first_byte as usize..);
        let (remaining, sent, completes) = answer(right);
        let mut acts = vec![Act::StopSending];
        acts.extend(command(&Command::Data { segment: id, request, remaining: Some(remaining) }));
        acts.extend(sent);
        if completes {
            acts.extend(command(&Command::Completed { segment: id, request }));
        }
        acts
    })
}

fn honest_peer(number: u64) -> ScriptedPeer {
    peer_that_answers(number, |right| (right.len() as u64, payload(&right, 0), true))
}

#[test]
fn a_correct_peer_gives_nearly_everything() {
    let report = watch_with(honest_peer(1));
    assert_played_to_the_end(&report);
    assert!(report.offload() > 0.9, "{report}");
    assert_eq!(report.viewers[0].engine.peers_misbehaved, 0);
}

#[test]
fn a_peer_that_closes_amid_a_segment_is_made_up_for_at_the_byte_reached() {
    let report = watch_with(peer_that_answers(1, |right| {
        let mut acts = payload(&right.slice(..SOME_BYTES), 0);
        acts.push(Act::Close(0.5));
        (right.len() as u64, acts, false)
    }));
    assert_played_to_the_end(&report);
    let engine = &report.viewers[0].engine;
    assert!(engine.p2p_bytes >= SOME_BYTES as u64, "{report}");
    assert_eq!(engine.http_bytes + engine.p2p_bytes, report.delivered_bytes(), "bytes were fetched twice");
}

#[test]
fn a_peer_that_falls_silent_amid_a_segment_costs_no_stall() {
    let report = watch_with(peer_that_answers(1, |right| (right.len() as u64, payload(&right.slice(..SOME_BYTES), 0), false)));
    assert_played_to_the_end(&report);
    let engine = &report.viewers[0].engine;
    assert!(engine.p2p_bytes >= SOME_BYTES as u64, "{report}");
    assert_eq!(engine.http_bytes + engine.p2p_bytes, report.delivered_bytes(), "bytes were fetched twice");
}

#[test]
fn a_viewer_that_vanishes_while_it_uploads_costs_no_stall() {
    let mut simulation = Simulation::new(1, film());
    let first = simulation.add_viewer(0.0, ViewerOptions::vod());
    simulation.add_viewer(2.0, ViewerOptions::vod());
    simulation.add_viewer(3.0, ViewerOptions::vod());
    simulation.at(4.3, move |simulation| simulation.vanish(first));
    simulation.run_until(80.0);
    let mut report = simulation.report();
    report.viewers.remove(0);
    assert_played_to_the_end(&report);
    assert!(report.viewers.iter().all(|viewer| viewer.engine.p2p_bytes > 0), "{report}");
}

#[test]
fn a_peer_whose_segments_are_empty_has_none() {
    let report = watch_with(peer_that_answers(1, |_| (0, Vec::new(), true)));
    assert_played_to_the_end(&report);
    let engine = &report.viewers[0].engine;
    assert_eq!((engine.p2p_bytes, engine.peers_misbehaved, engine.http_bytes), (0, 0, report.delivered_bytes()), "{report}");
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    let report = watch_with(peer_with_the_film(1, |_| Vec::new()));
    assert_played_to_the_end(&report);
    let engine = &report.viewers[0].engine;
    assert!((1..=6).contains(&engine.p2p_requests), "{report}");
    assert_eq!((engine.p2p_bytes, engine.peers), (0, 0));
}

#[test]
fn a_peer_that_never_answers_is_given_up_in_a_live_swarm_too() {
    let everything = (0..200).map(SegmentId).collect();
    let announcement = Command::Announcement { loaded: everything, loading: Vec::new(), relaying: None };
    let silent =
        ScriptedPeer::new(1, StreamKey(0), Box::new(move |seen| if seen == Seen::Opened { command(&announcement) } else { Vec::new() }));
    let mut simulation = Simulation::new(1, live());
    simulation.add_scripted_peer(0.0, silent);
    simulation.add_viewer(1.0, ViewerOptions::live(6.0));
    simulation.run_until(75.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert!((1..=6).contains(&report.viewers[0].engine.p2p_requests), "{report}");
}

#[test]
fn a_peer_that_says_nothing_at_all_delays_nothing() {
    let silent = ScriptedPeer::new(1, StreamKey(0), Box::new(|_| Vec::new()));
    let report = watch_with(silent);
    assert_played_to_the_end(&report);
    assert!(report.longest_startup_ms() < 400.0, "{report}");
}

#[test]
fn a_peer_that_sends_more_than_it_said_is_dropped() {
    let report = watch_with(peer_that_answers(1, |right| (right.len() as u64 - 1000, payload(&right, 0), true)));
    assert_dropped_as_misbehaving(&report);
}

#[test]
fn a_peer_that_completes_early_is_dropped() {
    let report = watch_with(peer_that_answers(1, |right| (right.len() as u64, payload(&right.slice(..SOME_BYTES), 0), true)));
    assert_dropped_as_misbehaving(&report);
}

#[test]
fn a_peer_that_promises_an_absurd_length_is_dropped() {
    let report = watch_with(peer_that_answers(1, |right| (u64::MAX >> 1, payload(&right, 0), true)));
    assert_dropped_as_misbehaving(&report);
}

#[test]
fn a_peer_that_sends_undecodable_commands_is_dropped() {
    let garbage = Bytes::from_static(b"cstr\x01i\xff\xff\xffcend");
    let report = watch_with(peer_with_the_film(1, move |_| vec![Act::Send(0.0, garbage.clone())]));
    assert_dropped_as_misbehaving(&report);
}

#[test]
fn a_peer_that_sends_noise_unasked_harms_nobody() {
    let report = watch_with(peer_with_the_film(1, move |seen| match seen {
        Command::Announcement { .. } => (0..50).map(|index| Act::Send(f64::from(index), Bytes::from(vec![index as u8; 60_000]))).collect(),
        Command::Request { segment, request, .. } => command(&Command::Absent { segment, request }),
        _ => Vec::new(),
    }));
    assert_played_to_the_end(&report);
    assert_eq!(report.viewers[0].engine.p2p_bytes, 0);
}

#[test]
fn payload_that_looks_like_commands_is_payload() {
    // The chunks are cut from a segment that is made of nothing but a command's marks, and sent as an official peer would.
    let cancel = Command::Cancel { segment: SegmentId(1), request: p2p_media_core::peer_protocol::RequestId(1) };
    let mut broken = cancel.encode(MAX_MESSAGE_BYTES)[0].to_vec();
    broken[5] = 0xff;
    let broken = Bytes::from(broken);
    let report = watch_with_peers(
        vec![peer_that_answers(1, move |right| {
            let length = broken.len() as u64;
            let mut acts = vec![Act::Send(0.0, broken.clone())];
            acts.extend(payload(&right, length));
            (right.len() as u64, acts, true)
        })],
        ViewerOptions::vod().with(|config| config.main.validate_p2p_segment = true),
    );
    // The marks were taken for bytes of the segment, which the validator then refused: as a command they would have ended the connection
    // for misbehaviour.
    assert_played_to_the_end(&report);
    assert_eq!(report.viewers[0].peer_errors, ["the peer sent wrong bytes"]);
}

#[test]
fn a_peer_that_announces_what_it_does_not_have_and_says_so_is_not_asked_twice_for_it() {
    let report = watch_with(peer_with_the_film(1, |seen| match seen {
        Command::Request { segment, request, .. } => command(&Command::Absent { segment, request }),
        _ => Vec::new(),
    }));
    assert_played_to_the_end(&report);
    assert!(report.viewers[0].engine.p2p_requests <= 30, "{report}");
}

#[test]
fn empty_promises_of_many_peers_do_not_keep_a_viewer_from_the_origin() {
    let liars = (1..=8).map(|number| peer_with_the_film(number, |_| Vec::new())).collect();
    let report = watch_with_peers(liars, ViewerOptions::vod());
    assert_played_to_the_end(&report);
    assert!(report.longest_startup_ms() < 400.0, "{report}");
}

#[test]
fn a_slow_peer_is_left_for_the_origin_in_time() {
    let report = watch_with(peer_that_answers(1, |right| {
        let chunks = (0..right.len()).step_by(1000).map(|from| right.slice(from..right.len().min(from + 1000)));
        // 10 kB/s, where playback needs 375.
        let acts = chunks.enumerate().map(|(index, chunk)| Act::Send(index as f64 * 0.1, chunk)).collect();
        (right.len() as u64, acts, false)
    }));
    assert_played_to_the_end(&report);
}

#[test]
fn poisoned_bytes_are_refused_where_there_is_a_validator() {
    let poisoner = |number| {
        peer_that_answers(number, |right| {
            let wrong = Bytes::from(right.iter().map(|byte| byte ^ 0x55).collect::<Vec<_>>());
            (wrong.len() as u64, payload(&wrong, 0), true)
        })
    };
    let peers = vec![poisoner(1), poisoner(2), honest_peer(3)];
    let report = watch_with_peers(peers, ViewerOptions::vod().with(|config| config.main.validate_p2p_segment = true));
    assert_played_to_the_end(&report);
    let viewer = &report.viewers[0];
    assert_eq!(viewer.engine.peers_misbehaved, 2, "{report}");
    assert!(report.offload() > 0.7, "the honest peer is used still: {report}");
}

#[test]
fn two_connections_to_one_peer_become_one() {
    // Both make offers to each other at the same time, again and again: an announce of either gives the other an offer.
    let mut simulation = Simulation::new(1, film());
    simulation.add_viewer(0.0, ViewerOptions::vod());
    simulation.add_viewer(0.0, ViewerOptions::vod());
    simulation.run_until(75.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert!(report.viewers.iter().all(|viewer| viewer.engine.peers == 1 && viewer.engine.peers_misbehaved == 0), "{report}");
    assert!(report.offload() > 0.4, "{report}");
}

fn assert_dropped_as_misbehaving(report: &Report) {
    assert_played_to_the_end(report);
    let engine = &report.viewers[0].engine;
    assert!(engine.p2p_requests >= 1, "it was never asked: {report}");
    assert_eq!((engine.peers_misbehaved, engine.peers), (1, 0), "{report}");
}
