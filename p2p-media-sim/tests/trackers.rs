//! Trackers that are not there, die, and come back.

mod common;

use common::{assert_played_to_the_end, assert_played_well, film, live};
use p2p_media_sim::simulation::{Simulation, TRACKER_URL};
use p2p_media_sim::viewer::ViewerOptions;

/// A second tracker.
const OTHER_URL: &str = "wss://other.test";

#[test]
fn without_any_tracker_viewers_play_as_plain_http_players() {
    let mut simulation = Simulation::new(1, film());
    for index in 0..3 {
        simulation.add_viewer(f64::from(index), ViewerOptions::vod().with(|config| config.announce_trackers.clear()));
    }
    simulation.run_until(80.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert!(report.longest_startup_ms() < 400.0, "{report}");
    assert_eq!(report.median_origin_copies(), 3.0);
}

#[test]
fn an_unreachable_tracker_delays_nothing() {
    let mut simulation = Simulation::new(1, live());
    simulation.tracker_goes_down(TRACKER_URL);
    for index in 0..3 {
        simulation.add_viewer(f64::from(index), ViewerOptions::live(6.0));
    }
    simulation.run_until(60.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert!(report.longest_startup_ms() < 400.0, "{report}");
}

#[test]
fn connected_peers_outlive_their_tracker_and_newcomers_find_them_when_it_is_back() {
    let mut simulation = Simulation::new(1, live());
    let old: Vec<_> = (0..3).map(|index| simulation.add_viewer(f64::from(index), ViewerOptions::live(6.0))).collect();
    simulation.at(10.0, |simulation| simulation.tracker_goes_down(TRACKER_URL));
    simulation.run_until(30.0);
    assert!(old.iter().all(|node| simulation.stats(*node).peers == 2), "peers are kept while a tracker is down");
    let newcomer = simulation.add_viewer(30.0, ViewerOptions::live(6.0));
    simulation.run_until(40.0);
    assert_eq!(simulation.stats(newcomer).peers, 0);
    simulation.at(41.0, |simulation| simulation.tracker_comes_back(TRACKER_URL));
    simulation.run_until(120.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert_eq!(simulation.swarm_members(0), 4, "everybody is back");
    assert_eq!(simulation.stats(newcomer).peers, 3, "{report}");
}

#[test]
fn of_two_trackers_the_one_that_lives_is_enough() {
    let mut simulation = Simulation::new(1, film());
    simulation.add_tracker(OTHER_URL);
    simulation.tracker_goes_down(TRACKER_URL);
    let options = ViewerOptions::vod().with(|config| config.announce_trackers.push(OTHER_URL.to_owned()));
    simulation.add_viewer(0.0, options.clone());
    simulation.add_viewer(3.0, options);
    simulation.run_until(80.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert!(report.viewers.iter().all(|viewer| viewer.engine.peers == 1), "{report}");
    assert!(report.offload() > 0.4, "{report}");
}

#[test]
fn a_viewer_that_leaves_says_goodbye_to_its_tracker() {
    let mut simulation = Simulation::new(1, film());
    let first = simulation.add_viewer(0.0, ViewerOptions::vod());
    simulation.add_viewer(0.0, ViewerOptions::vod());
    simulation.run_until(5.0);
    assert_eq!(simulation.swarm_members(0), 2);
    simulation.leave(first);
    simulation.run_until(6.0);
    assert_eq!(simulation.swarm_members(0), 1);
}
