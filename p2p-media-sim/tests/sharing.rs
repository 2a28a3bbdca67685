//! Viewers among themselves: how much they share, and that playback never pays for it.

mod common;

use common::{assert_played_to_the_end, assert_played_well, film, film_with_audio, live, viewers_of_a_film};
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

#[test]
fn a_lone_viewer_plays_like_a_plain_http_player() {
    let mut simulation = Simulation::new(1, film());
    let report = viewers_of_a_film(&mut simulation, 1, 0.0);
    assert_played_to_the_end(&report);
    assert!(report.longest_startup_ms() < 400.0, "{report}");
    assert_eq!(report.most_origin_copies(), 1.0);
}

#[test]
fn equal_seeds_give_equal_runs_and_other_seeds_give_others() {
    let run = |seed| viewers_of_a_film(&mut Simulation::new(seed, film()), 3, 1.0).event_hash();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn four_viewers_of_a_film_two_seconds_apart() {
    let mut simulation = Simulation::new(1, film_with_audio());
    for index in 0..4 {
        simulation.add_viewer(f64::from(index) * 2.0, ViewerOptions::vod().playing(&[0, 1]));
    }
    simulation.run_until(80.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert!(report.longest_startup_ms() < 1000.0, "{report}");
    assert!(report.offload() >= 0.62, "{report}");
}

#[test]
fn eight_viewers_of_a_film_two_seconds_apart() {
    let mut simulation = Simulation::new(1, film_with_audio());
    for index in 0..8 {
        simulation.add_viewer(f64::from(index) * 2.0, ViewerOptions::vod().playing(&[0, 1]));
    }
    simulation.run_until(90.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert!(report.longest_startup_ms() < 1000.0, "{report}");
    assert!(report.offload() >= 0.72, "{report}");
}

#[test]
fn six_live_viewers_six_seconds_behind_the_edge() {
    let mut simulation = Simulation::new(1, live());
    for index in 0..6 {
        simulation.add_viewer(f64::from(index) * 2.0, ViewerOptions::live(6.0));
    }
    simulation.run_until(70.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert!(report.offload() >= 0.60, "{report}");
}

#[test]
fn a_hundred_live_viewers_six_seconds_behind_the_edge() {
    let mut simulation = Simulation::new(1, live());
    for index in 0..100 {
        simulation.add_viewer(f64::from(index) * 0.2, ViewerOptions::live(6.0));
    }
    simulation.run_until(80.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert!(report.offload() >= 0.75, "{report}");
    assert!(report.median_origin_copies() <= 25.0, "{report}");
}
