//! Low latency: parts and unfinished segments are passed on while they come.

mod common;

use common::{VIDEO, assert_played_well};
use p2p_media_core::event::SegmentSource;
use p2p_media_sim::content::{Presentation, StreamModel};
use p2p_media_sim::network::AccessLink;
use p2p_media_sim::report::Report;
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

/// Segments of 2 s in parts of a third of a second.
fn parts() -> Presentation {
    Presentation::new(vec![StreamModel::live(2.0, VIDEO).in_parts(6)])
}

/// Segments of 2 s in chunks of a third of a second.
fn chunks() -> Presentation {
    Presentation::new(vec![StreamModel::live(2.0, VIDEO).in_chunks(6)])
}

/// So many viewers 3 s behind the edge, joining one after the other.
fn viewers(simulation: &mut Simulation, viewers: u32, options: &ViewerOptions) {
    for index in 0..viewers {
        simulation.add_viewer(f64::from(index) * 1.5, options.clone());
    }
}

fn assert_little_delay(report: &Report, most_ms: f64) {
    let delay_ms = |source| report.median_delay_ms(source).unwrap_or(f64::INFINITY);
    let (http_ms, p2p_ms) = (delay_ms(SegmentSource::Http), delay_ms(SegmentSource::P2p));
    assert!(p2p_ms <= http_ms + most_ms, "{report}");
}

#[test]
fn six_viewers_of_parts_three_seconds_behind_the_edge() {
    for seed in 1..4 {
        let mut simulation = Simulation::new(seed, parts());
        viewers(&mut simulation, 6, &ViewerOptions::live(3.0));
        simulation.run_until(70.0);
        let report = simulation.report();
        assert_played_well(&report);
        assert!(report.offload() >= 0.7, "{report}");
        assert_little_delay(&report, 150.0);
    }
}

#[test]
fn six_viewers_of_unfinished_segments_three_seconds_behind_the_edge() {
    let mut simulation = Simulation::new(1, chunks());
    viewers(&mut simulation, 6, &ViewerOptions::live(3.0));
    simulation.run_until(70.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert!(report.offload() >= 0.6, "{report}");
    assert_little_delay(&report, 150.0);
}

#[test]
fn thirty_viewers_of_parts_cost_the_origin_little_more_than_one() {
    let mut simulation = Simulation::new(1, parts());
    viewers(&mut simulation, 30, &ViewerOptions::live(3.0));
    simulation.run_until(90.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert!(report.offload() >= 0.8, "{report}");
}

#[test]
fn parts_over_poor_uplinks_are_played_without_a_stall() {
    let mut simulation = Simulation::new(1, parts());
    viewers(&mut simulation, 6, &ViewerOptions::live(3.0).on(AccessLink::mbits(20.0, 2.0, 0.04)));
    simulation.run_until(70.0);
    assert_played_well(&simulation.report());
}

#[test]
fn parts_one_second_long_close_to_the_edge() {
    let mut simulation = Simulation::new(1, Presentation::new(vec![StreamModel::live(4.0, VIDEO).in_parts(4)]));
    viewers(&mut simulation, 6, &ViewerOptions::live(4.0));
    simulation.run_until(70.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert!(report.offload() >= 0.6, "{report}");
}

#[test]
fn viewers_nearer_to_the_edge_than_is_good_play_as_with_plain_http() {
    for behind_s in [1.0, 1.5, 2.0] {
        let mut simulation = Simulation::new(1, parts());
        viewers(&mut simulation, 6, &ViewerOptions::live(behind_s));
        simulation.run_until(60.0);
        assert_played_well(&simulation.report());
    }
}
