//! An origin that fails: retried, gone on with at the byte reached, and made up for by peers.

mod common;

use common::{AUDIO, assert_played_to_the_end, assert_played_well, film, live, segment, viewers_of_a_film};
use p2p_media_sim::content::{Presentation, StreamModel};
use p2p_media_sim::origin::Failure;
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

#[test]
fn a_stalled_response_is_asked_for_again_from_the_byte_reached() {
    let mut simulation = Simulation::new(1, film());
    simulation.origin().fail_requests(Failure::Stall(100_000), 1.0, 2);
    let report = viewers_of_a_film(&mut simulation, 1, 0.0);
    assert_played_to_the_end(&report);
    assert_eq!(report.origin_requests, 32);
    assert_eq!(report.most_origin_copies(), 1.0, "bytes were fetched twice");
}

#[test]
fn errors_are_retried_until_the_origin_is_well() {
    let mut simulation = Simulation::new(1, film());
    simulation.origin().fail_requests(Failure::Status(500), 1.0, 3);
    let report = viewers_of_a_film(&mut simulation, 1, 0.0);
    assert_played_to_the_end(&report);
    assert_eq!(report.origin_requests, 33);
}

#[test]
fn an_origin_that_is_down_for_ten_seconds_is_outlived_on_the_buffer() {
    let mut simulation = Simulation::new(1, film());
    simulation.origin().fail_between(Failure::Down, 12.0, 22.0);
    simulation.add_viewer(0.0, ViewerOptions::vod());
    simulation.run_until(75.0);
    let report = simulation.report();
    // The player is told, and asks again: that is what a plain player does too.
    println!("{report}");
    assert_eq!((report.stalls(), report.wrong_deliveries()), (0, 0));
    assert!(report.viewers[0].playback.has_ended);
    assert_eq!(report.viewers[0].playback.skipped_segments, 0);
}

#[test]
fn a_missing_segment_fails_at_once_and_only_that_one() {
    let mut simulation = Simulation::new(1, film());
    simulation.origin().fail_requests(Failure::Status(404), 1.0, 1);
    let report = viewers_of_a_film(&mut simulation, 1, 0.0);
    println!("{report}");
    // The player is told without a retry of the engine's own; its own retry gets it.
    assert_eq!((report.failed_requests(), report.origin_requests), (1, 31));
    assert!(report.viewers[0].playback.has_ended && report.wrong_deliveries() == 0);
}

#[test]
fn a_segment_that_is_gone_for_good_holds_up_nothing_that_comes_after_it() {
    let mut simulation = Simulation::new(1, film());
    simulation.origin().fail_segment(Failure::Status(404), segment(10));
    let report = viewers_of_a_film(&mut simulation, 3, 2.0);
    println!("{report}");
    assert_eq!((report.stalls(), report.wrong_deliveries()), (0, 0));
    for viewer in &report.viewers {
        let playback = &viewer.playback;
        assert!(playback.has_ended && playback.skipped_segments == 1 && playback.segments == 29, "{report}");
    }
}

#[test]
fn what_the_origin_misses_a_peer_gives() {
    let mut simulation = Simulation::new(1, film());
    let mut first = ViewerOptions::vod();
    first.player.buffer_goal_s = 60.0;
    simulation.add_viewer(0.0, first);
    simulation.add_viewer(5.0, ViewerOptions::vod());
    // From here on the origin has nothing at all; the first viewer has everything.
    simulation.origin().fail_between(Failure::Status(404), 6.5, 100.0);
    simulation.run_until(90.0);
    let report = simulation.report();
    println!("{report}");
    assert_eq!((report.stalls(), report.wrong_deliveries()), (0, 0));
    assert!(report.viewers[1].playback.has_ended);
    assert_eq!(report.viewers[1].playback.failed_requests, 0, "{report}");
}

#[test]
fn a_truncated_response_is_completed() {
    let mut simulation = Simulation::new(1, film());
    simulation.origin().fail_requests(Failure::Truncate(100_000), 1.0, 2);
    simulation.origin().fail_requests(Failure::Reset(100_000), 5.0, 2);
    let report = viewers_of_a_film(&mut simulation, 1, 0.0);
    assert_played_to_the_end(&report);
    assert_eq!((report.origin_requests, report.most_origin_copies()), (34, 1.0));
}

#[test]
fn a_200_to_the_rest_of_a_segment_is_read_from_its_beginning() {
    let mut simulation = Simulation::new(1, film());
    simulation.origin().fail_requests(Failure::Reset(100_000), 1.0, 1);
    simulation.origin().fail_requests(Failure::IgnoreRange, 1.0, u64::MAX);
    let report = viewers_of_a_film(&mut simulation, 1, 0.0);
    assert_played_to_the_end(&report);
    assert_eq!(report.origin_requests, 31);
    assert_eq!(report.viewers[0].engine.http_bytes, report.delivered_bytes(), "skipped bytes are no media");
}

#[test]
fn a_200_to_byte_ranges_of_one_resource_is_cut_to_the_segment() {
    let one_resource = Presentation::new(vec![StreamModel::vod(12.0, 2.0, AUDIO).in_one_resource()]);
    for ignores_ranges in [false, true] {
        let mut simulation = Simulation::new(1, one_resource.clone());
        if ignores_ranges {
            simulation.origin().fail_requests(Failure::IgnoreRange, 0.0, u64::MAX);
        }
        let report = viewers_of_a_film(&mut simulation, 2, 2.0);
        assert_played_to_the_end(&report);
        assert!(report.offload() > 0.2 || ignores_ranges, "{report}");
    }
}

#[test]
fn live_viewers_outlive_an_origin_that_fails_every_other_request_for_a_while() {
    let mut simulation = Simulation::new(1, live());
    for time in 0..20 {
        simulation.origin().fail_requests(Failure::Status(503), 20.0 + f64::from(time), 1);
    }
    for index in 0..6 {
        simulation.add_viewer(f64::from(index), ViewerOptions::live(6.0));
    }
    simulation.run_until(60.0);
    assert_played_well(&simulation.report());
}
