//! Cut-through: what a viewer is loading it passes on as it comes, to peers of ours alone; sources that die, lie or do nothing cost no stall.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use common::{VIDEO, assert_played_to_the_end, assert_played_well, film, live, segment};
use p2p_media_core::event::SegmentSource;
use p2p_media_core::media::{SegmentId, StreamKey};
use p2p_media_core::peer_protocol::{Command, RequestId};
use p2p_media_sim::content::{Presentation, StreamModel};
use p2p_media_sim::network::AccessLink;
use p2p_media_sim::origin::Failure;
use p2p_media_sim::report::Report;
use p2p_media_sim::scripted_peer::{Act, ScriptedPeer, Seen, command};
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

/// Commands that a scripted peer has seen.
type Log = Rc<RefCell<Vec<Command>>>;

/// Segments of 2 s in parts of a third of a second.
fn parts() -> Presentation {
    Presentation::new(vec![StreamModel::live(2.0, VIDEO).in_parts(6)])
}

fn announcement(loaded: &[i64], loading: &[i64], relaying: &[i64]) -> Command {
    let ids = |ids: &[i64]| ids.iter().map(|id| SegmentId(*id)).collect();
    Command::Announcement { loaded: ids(loaded), loading: ids(loading), relaying: Some(ids(relaying)) }
}

/// Notes what it sees, and answers with what `answer` makes of it.
fn peer(number: u64, log: &Log, mut answer: impl FnMut(Seen) -> Vec<Act> + 'static) -> ScriptedPeer {
    let log = Rc::clone(log);
    let script = move |seen: Seen| {
        if let Seen::Command(command) = &seen {
            log.borrow_mut().push(command.clone());
        }
        answer(seen)
    };
    ScriptedPeer::new(number, StreamKey(0), Box::new(script))
}

/// One viewer of a film and a peer that is loading all of it from the origin, as it says, and takes requests in this way.
fn watch_with_loader(mut answer: impl FnMut(SegmentId, RequestId, Bytes) -> Vec<Act> + 'static) -> Report {
    let presentation = film();
    let everything: Vec<i64> = (0..30).collect();
    let loader = peer(1, &Log::default(), move |seen| match seen {
        Seen::Opened => command(&announcement(&[], &everything, &[])),
        Seen::Command(Command::Request { segment: id, request, first_byte, .. }) => {
            answer(id, request, presentation.bytes_of(segment(id.0)).slice(first_byte as usize..))
        }
        Seen::Command(Command::Cancel { .. }) => vec![Act::StopSending],
        _ => Vec::new(),
    });
    let mut simulation = Simulation::new(1, film());
    simulation.add_scripted_peer(0.0, loader);
    simulation.add_viewer(1.0, ViewerOptions::vod());
    simulation.run_until(75.0);
    simulation.report()
}

fn data(segment: SegmentId, request: RequestId, remaining: Option<u64>) -> Vec<Act> {
    command(&Command::Data { segment, request, remaining })
}

/// The bytes in small messages, so many seconds from one to the next.
fn payload(bytes: &Bytes, step_s: f64) -> Vec<Act> {
    let chunks = (0..bytes.len()).step_by(16_000).map(|from| bytes.slice(from..bytes.len().min(from + 16_000)));
    chunks.enumerate().map(|(index, chunk)| Act::Send(index as f64 * step_s, chunk)).collect()
}

#[test]
fn a_size_left_open_is_as_good_as_one_told() {
    let report = watch_with_loader(|id, request, bytes| {
        let completed = command(&Command::Completed { segment: id, request });
        [data(id, request, None), payload(&bytes, 0.0), completed].concat()
    });
    assert_played_to_the_end(&report);
    assert!(report.offload() > 0.8, "{report}");
    assert_eq!(report.viewers[0].engine.peers_misbehaved, 0, "{report}");
}

#[test]
fn a_source_of_unknown_size_that_gives_up_is_followed_by_the_origin_at_the_byte_reached() {
    let report = watch_with_loader(|id, request, bytes| {
        let absent = command(&Command::Absent { segment: id, request });
        [data(id, request, None), payload(&bytes.slice(..200_000), 0.0), absent].concat()
    });
    assert_played_to_the_end(&report);
    let engine = &report.viewers[0].engine;
    assert!(engine.p2p_bytes >= 2_000_000, "{report}");
    assert_eq!(engine.http_bytes + engine.p2p_bytes, report.delivered_bytes(), "bytes were fetched twice");
    assert_eq!((engine.peers, engine.peers_misbehaved), (1, 0), "it is not to blame: {report}");
}

#[test]
fn a_source_that_closes_amid_an_open_transfer_costs_no_stall() {
    let report = watch_with_loader(|id, request, bytes| {
        [data(id, request, None), payload(&bytes.slice(..200_000), 0.0), vec![Act::Close(0.3)]].concat()
    });
    assert_played_to_the_end(&report);
    let engine = &report.viewers[0].engine;
    assert!(engine.p2p_bytes >= 200_000, "{report}");
    assert_eq!(engine.http_bytes + engine.p2p_bytes, report.delivered_bytes(), "bytes were fetched twice");
}

#[test]
fn a_source_that_accepts_and_gives_nothing_is_asked_a_few_times_only() {
    let report = watch_with_loader(|id, request, _| data(id, request, None));
    assert_played_to_the_end(&report);
    let engine = &report.viewers[0].engine;
    assert!((1..=6).contains(&engine.p2p_requests), "{report}");
    assert_eq!(engine.peers_misbehaved, 0, "perhaps it had nothing: {report}");
}

#[test]
fn a_source_that_trickles_is_left_in_time() {
    let report = watch_with_loader(|id, request, bytes| {
        // 16 kB/s, where playback needs 375.
        [data(id, request, None), payload(&bytes, 1.0)].concat()
    });
    assert_played_to_the_end(&report);
}

#[test]
fn a_source_that_sends_more_than_any_segment_has_is_dropped() {
    let mut simulation = Simulation::new(1, film());
    let flood = Bytes::from(vec![7; 60_000]);
    let everything: Vec<i64> = (0..30).collect();
    let flooder = peer(1, &Log::default(), move |seen| match seen {
        Seen::Opened => command(&announcement(&[], &everything, &[])),
        Seen::Command(Command::Request { segment, request, .. }) => {
            let mut acts = data(segment, request, None);
            // More than fits: it is cut off when the size that the origin has told is exceeded, or the most that any segment has.
            acts.extend((0..6000).map(|_| Act::Send(0.0, flood.clone())));
            acts
        }
        Seen::Command(Command::Cancel { .. }) => Vec::new(),
        _ => Vec::new(),
    });
    let fast = AccessLink::mbits(5000.0, 5000.0, 0.001);
    simulation.add_scripted_peer(0.0, flooder.on(fast));
    simulation.add_viewer(1.0, ViewerOptions::vod().on(fast));
    simulation.run_until(75.0);
    let report = simulation.report();
    println!("{report}");
    assert_eq!((report.viewers[0].engine.peers_misbehaved, report.viewers[0].engine.peers), (1, 0), "{report}");
    assert!(report.viewers[0].playback.has_ended, "{report}");
    assert!(report.viewers[0].stored_bytes_max < 100_000_000, "{report}");
}

#[test]
fn requests_for_anything_with_any_bytes_harm_nobody() {
    let log = Log::default();
    let mut request = 0;
    let asker = peer(1, &log, move |seen| {
        let Seen::Command(Command::Announcement { loaded, loading, relaying }) = seen else { return Vec::new() };
        let ids = [loaded, loading, relaying.unwrap_or_default(), vec![SegmentId(-1), SegmentId(29), SegmentId(i64::MAX)]].concat();
        let mut acts = Vec::new();
        for segment in ids {
            for (first_byte, last_byte) in [(0, Some(0)), (u64::MAX >> 1, None), (5, Some(2)), (1000, Some(u64::MAX >> 1)), (0, None)] {
                request += 1;
                acts.extend(command(&Command::Request { segment, request: RequestId(request), first_byte, last_byte }));
            }
        }
        acts
    });
    let mut simulation = Simulation::new(1, film());
    simulation.add_scripted_peer(0.0, asker);
    for index in 0..3 {
        simulation.add_viewer(1.0 + f64::from(index), ViewerOptions::vod());
    }
    simulation.run_until(75.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert!(report.offload() > 0.5, "{report}");
    let is_one_byte = |command: &Command| matches!(command, Command::Data { remaining: Some(1), .. });
    assert!(log.borrow().iter().any(is_one_byte), "a request with an end was not served");
}

#[test]
fn three_viewers_in_a_row_pass_the_bytes_on() {
    // The first and the last have room for one connection, and the one in the middle is there before the last.
    let mut simulation = Simulation::new(1, parts());
    for (at_s, peers) in [(0.0, 1), (1.0, 2), (4.0, 1)] {
        simulation.add_viewer(at_s, ViewerOptions::live(3.0).with(|config| config.max_peers_per_swarm = peers));
    }
    simulation.run_until(60.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert_eq!(report.viewers.iter().map(|viewer| viewer.engine.peers).collect::<Vec<_>>(), [1, 2, 1], "{report}");
    assert!(report.offload() > 0.45, "{report}");
    let delay_ms = |source| report.median_delay_ms(source).unwrap_or(f64::INFINITY);
    assert!(delay_ms(SegmentSource::P2p) < delay_ms(SegmentSource::Http) + 150.0, "{report}");
}

#[test]
fn what_the_origin_stops_sending_is_taken_over_by_all_without_a_stall() {
    let mut simulation = Simulation::new(1, parts());
    simulation.origin().fail_requests(Failure::Stall(30_000), 20.0, 3);
    simulation.origin().fail_requests(Failure::Reset(30_000), 30.0, 3);
    simulation.origin().fail_requests(Failure::Status(503), 40.0, 3);
    for index in 0..6 {
        simulation.add_viewer(f64::from(index), ViewerOptions::live(4.0));
    }
    simulation.run_until(60.0);
    assert_played_well(&simulation.report());
}

#[test]
fn a_viewer_that_vanishes_while_others_follow_it_costs_no_stall() {
    for vanishes_at in [20.0, 20.1, 20.2, 20.3] {
        let mut simulation = Simulation::new(1, parts());
        let viewers: Vec<_> = (0..5).map(|index| simulation.add_viewer(f64::from(index), ViewerOptions::live(4.0))).collect();
        simulation.vanish_at(vanishes_at, viewers[1]);
        simulation.run_until(50.0);
        let mut report = simulation.report();
        report.viewers.remove(1);
        assert_played_well(&report);
    }
}

#[test]
fn who_says_that_it_gets_a_segment_from_us_is_not_asked_for_it() {
    // It asks for all that the viewer loads, says that it is loading it from peers, and accepts every request without a byte.
    let log = Log::default();
    let (mut request, mut asked_for) = (0, Vec::new());
    let asked_while_served = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&asked_while_served);
    let cyclist = peer(1, &log, move |seen| match seen {
        Seen::Opened => command(&announcement(&[0], &[], &[])),
        Seen::Command(Command::Announcement { loading, .. }) => {
            let Some(segment) = loading.first().copied() else { return Vec::new() };
            request += 1;
            asked_for.push(segment);
            let first = command(&Command::Request { segment, request: RequestId(request), first_byte: 0, last_byte: None });
            [first, command(&announcement(&[0], &[], &asked_for.iter().map(|id| id.0).collect::<Vec<_>>()))].concat()
        }
        Seen::Command(Command::Request { segment, request, .. }) => {
            *counter.borrow_mut() += u32::from(asked_for.contains(&segment));
            data(segment, request, None)
        }
        _ => Vec::new(),
    });
    let mut simulation = Simulation::new(1, live());
    simulation.add_scripted_peer(0.0, cyclist);
    simulation.add_viewer(1.0, ViewerOptions::live(6.0));
    simulation.run_until(60.0);
    assert_played_well(&simulation.report());
    assert_eq!(*asked_while_served.borrow(), 0);
    assert!(log.borrow().iter().any(|command| matches!(command, Command::Data { .. })), "it was never served");
}

#[test]
fn what_a_validator_must_see_of_the_origin_is_not_passed_on() {
    let log = Log::default();
    let mut request = 0;
    let asker = peer(1, &log, move |seen| {
        let Seen::Command(Command::Announcement { loading, relaying, .. }) = seen else { return Vec::new() };
        assert_eq!(relaying, None, "it said that it passes on what it loads");
        let ask = |segment: SegmentId| {
            request += 1;
            command(&Command::Request { segment, request: RequestId(request), first_byte: 0, last_byte: None })
        };
        loading.into_iter().flat_map(ask).collect()
    });
    let mut simulation = Simulation::new(1, film());
    simulation.add_scripted_peer(0.0, asker);
    for index in 0..3 {
        let options = ViewerOptions::vod().with(|config| config.main.validate_http_segment = true);
        simulation.add_viewer(f64::from(index) * 2.0, options);
    }
    simulation.run_until(80.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert!(report.offload() > 0.5, "{report}");
    let mut told = Vec::new();
    for command in log.borrow().iter() {
        match command {
            Command::Announcement { loaded, .. } => told.extend(loaded.iter().copied()),
            Command::Data { segment, .. } => assert!(told.contains(segment), "it was served before the check"),
            _ => {}
        }
    }
    assert!(log.borrow().iter().any(|command| matches!(command, Command::Absent { .. })), "it never asked");
}

#[test]
fn an_official_peer_sees_whole_segments_only() {
    let log = Log::default();
    let asker = {
        let log = Rc::clone(&log);
        let mut request = 0;
        let script = move |seen: Seen| {
            let Seen::Command(seen) = seen else { return Vec::new() };
            log.borrow_mut().push(seen.clone());
            let Command::Announcement { loaded, loading, .. } = seen else { return Vec::new() };
            let mut ask = |segment: &SegmentId| {
                request += 1;
                command(&Command::Request { segment: *segment, request: RequestId(request), first_byte: 0, last_byte: None })
            };
            loading.first().map(&mut ask).unwrap_or_default().into_iter().chain(loaded.first().map(&mut ask).unwrap_or_default()).collect()
        };
        ScriptedPeer::official(1, StreamKey(0), Box::new(script))
    };
    let mut simulation = Simulation::new(1, parts());
    simulation.add_scripted_peer(0.0, asker);
    for index in 0..6 {
        simulation.add_viewer(f64::from(index) * 1.5, ViewerOptions::live(3.0));
    }
    simulation.run_until(60.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert!(report.offload() >= 0.6, "{report}");
    assert!(report.viewers.iter().all(|viewer| viewer.engine.peers == 6), "{report}");
    let log = log.borrow();
    for command in log.iter() {
        match command {
            Command::Announcement { loaded, loading, relaying } => {
                assert!(relaying.is_none() && !loaded.iter().chain(loading).any(|id| id.is_part()), "{command:?}");
            }
            Command::Data { remaining, .. } => assert!(remaining.is_some(), "{command:?}"),
            Command::Request { segment, .. } => panic!("it was asked for {segment:?}"),
            _ => {}
        }
    }
    assert!(log.len() < 60, "it is told nothing that does not concern it, but got {} commands", log.len());
}
