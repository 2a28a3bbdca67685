//! Links and origins that are barely enough: P2P must make it better, never worse.

mod common;

use common::{assert_played_to_the_end, assert_played_well, film, live};
use p2p_media_sim::network::AccessLink;
use p2p_media_sim::simulation::Simulation;
use p2p_media_sim::viewer::ViewerOptions;

#[test]
fn an_origin_too_slow_for_all_is_made_up_for_by_peers() {
    // 6 Mbit/s for six viewers of 3 Mbit/s.
    let run = |p2p_disabled| {
        let mut simulation = Simulation::new(1, film());
        simulation.set_origin_rate(6.0 * 125_000.0);
        for index in 0..6 {
            let options = ViewerOptions::vod().with(|config| config.main.p2p_disabled = p2p_disabled);
            simulation.add_viewer(f64::from(index) * 4.0, options);
        }
        simulation.run_until(400.0);
        simulation.report()
    };
    let (shared, plain) = (run(false), run(true));
    println!("{shared}{plain}");
    assert_eq!(shared.wrong_deliveries(), 0);
    assert!(shared.stall_ms() < plain.stall_ms() / 20.0, "{} ms and {} ms", shared.stall_ms(), plain.stall_ms());
    assert!(shared.longest_startup_ms() < plain.longest_startup_ms() / 2.0);
    assert!(shared.offload() > 0.65, "{shared}");
}

#[test]
fn a_poor_uplink_delays_nobody() {
    let mut simulation = Simulation::new(1, film());
    simulation.add_viewer(0.0, ViewerOptions::vod().on(AccessLink::mbits(20.0, 0.3, 0.04)));
    simulation.add_viewer(3.0, ViewerOptions::vod().on(AccessLink::mbits(20.0, 0.3, 0.04)));
    simulation.add_viewer(6.0, ViewerOptions::vod().on(AccessLink::mbits(20.0, 0.3, 0.04)));
    simulation.run_until(90.0);
    assert_played_to_the_end(&simulation.report());
}

#[test]
fn a_downlink_barely_above_the_bitrate_plays_on_as_with_plain_http() {
    // Whether the peers have less than the bitrate to give, as much, or so much that they could fill the downlink with what comes later.
    for up in [2.0, 5.0, 50.0] {
        let mut simulation = Simulation::new(1, film());
        for index in 0..6 {
            simulation.add_viewer(f64::from(index) * 3.0, ViewerOptions::vod().on(AccessLink::mbits(4.5, up, 0.03)));
        }
        simulation.run_until(100.0);
        assert_played_to_the_end(&simulation.report());
    }
}

#[test]
fn a_narrow_downlink_keeps_a_live_stream_going() {
    for up in [2.0, 20.0] {
        let mut simulation = Simulation::new(1, live());
        for index in 0..6 {
            simulation.add_viewer(f64::from(index) * 3.0, ViewerOptions::live(6.0).on(AccessLink::mbits(5.0, up, 0.015)));
        }
        simulation.run_until(80.0);
        assert_played_well(&simulation.report());
    }
}
