//! What scenarios have in common.
#![allow(dead_code, reason = "every test file uses a part of it")]

use p2p_media_core::media::{SegmentId, SegmentKey, StreamKey};
use p2p_media_core::peer_protocol::Command;
use p2p_media_sim::content::{Presentation, StreamModel};
use p2p_media_sim::report::Report;
use p2p_media_sim::scripted_peer::{Act, Script, ScriptedPeer, command};
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

/// Bits per second of the main stream.
pub(crate) const VIDEO: f64 = 3_000_000.0;
/// Bits per second of separate audio.
pub(crate) const AUDIO: f64 = 128_000.0;

/// A film of one minute in segments of 2 s, without separate audio.
pub(crate) fn film() -> Presentation {
    Presentation::new(vec![StreamModel::vod(60.0, 2.0, VIDEO)])
}

/// The same with separate audio.
pub(crate) fn film_with_audio() -> Presentation {
    Presentation::new(vec![StreamModel::vod(60.0, 2.0, VIDEO), StreamModel::vod(60.0, 2.0, AUDIO).audio()])
}

/// A live stream in segments of 2 s.
pub(crate) fn live() -> Presentation {
    Presentation::new(vec![StreamModel::live(2.0, VIDEO)])
}

/// Viewers of a film, one joining after the other, so many seconds apart; run until all must have played it.
pub(crate) fn viewers_of_a_film(simulation: &mut Simulation, viewers: u32, apart_s: f64) -> Report {
    for index in 0..viewers {
        simulation.add_viewer(f64::from(index) * apart_s, ViewerOptions::vod());
    }
    simulation.run_until(70.0 + f64::from(viewers) * apart_s);
    simulation.report()
}

/// A scenario must end so whatever went wrong in it.
pub(crate) fn assert_played_well(report: &Report) {
    println!("{report}");
    assert_eq!(report.wrong_deliveries(), 0, "something wrong was delivered");
    assert_eq!(report.stalls(), 0, "playback was interrupted");
    assert_eq!(report.failed_requests(), 0, "a request of a player failed");
    for (index, viewer) in report.viewers.iter().enumerate() {
        assert!(viewer.playback.startup_ms.is_some(), "viewer {index} never started");
    }
}

/// Also played to the end.
pub(crate) fn assert_played_to_the_end(report: &Report) {
    assert_played_well(report);
    for (index, viewer) in report.viewers.iter().enumerate() {
        assert!(viewer.playback.has_ended, "viewer {index} only came to {} s", viewer.playback.position_s);
    }
}

/// A segment of the first stream.
pub(crate) fn segment(id: i64) -> SegmentKey {
    SegmentKey { stream: StreamKey(0), id: SegmentId(id) }
}

/// A scripted peer that announces the whole film and answers requests by `answer`.
pub(crate) fn peer_with_the_film(number: u64, mut answer: impl FnMut(Command) -> Vec<Act> + 'static) -> ScriptedPeer {
    use p2p_media_sim::scripted_peer::Seen;
    let script: Script = Box::new(move |seen| match seen {
        Seen::Opened => command(&Command::Announcement { loaded: (0..30).map(SegmentId).collect(), loading: Vec::new(), relaying: None }),
        Seen::Command(command) => answer(command),
        Seen::Payload(_) => Vec::new(),
    });
    ScriptedPeer::new(number, StreamKey(0), script)
}
