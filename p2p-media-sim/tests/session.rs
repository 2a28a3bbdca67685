//! What users and machines do: seek, switch quality, pause, sleep, change options, run out of room.

mod common;

use std::time::Duration;

use common::{AUDIO, VIDEO, assert_played_to_the_end, assert_played_well, film, film_with_audio, live};
use p2p_media_core::config::{DynamicConfig, StreamConfig};
use p2p_media_core::media::StreamKey;
use p2p_media_sim::content::{Presentation, StreamModel};
use p2p_media_sim::simulation::{NodeId, Simulation};
use p2p_media_sim::viewer::ViewerOptions;

/// Two viewers of a film, the second five seconds later.
fn two_viewers(presentation: Presentation, options: &ViewerOptions) -> (Simulation, NodeId, NodeId) {
    let mut simulation = Simulation::new(1, presentation);
    let first = simulation.add_viewer(0.0, options.clone());
    let second = simulation.add_viewer(5.0, options.clone());
    (simulation, first, second)
}

#[test]
fn after_a_quality_switch_the_new_swarm_is_joined_and_the_old_one_lives_on_for_the_configured_time() {
    let two_levels = Presentation::new(vec![StreamModel::vod(80.0, 2.0, VIDEO), StreamModel::vod(80.0, 2.0, VIDEO / 3.0)]);
    let mut options = ViewerOptions::vod().with(|config| config.main.p2p_inactive_loader_destroy_timeout = Duration::from_secs(12));
    options.player.buffer_goal_s = 10.0;
    let (mut simulation, first, second) = two_viewers(two_levels, &options);
    simulation.at(20.0, move |simulation| simulation.switch(first, 0, 1));
    simulation.run_until(19.0);
    assert_eq!((simulation.swarm_members(0), simulation.swarm_members(1)), (2, 0));
    simulation.run_until(31.0);
    assert_eq!((simulation.swarm_members(0), simulation.swarm_members(1)), (2, 1), "the old swarm was left too early");
    simulation.run_until(36.0);
    assert_eq!((simulation.swarm_members(0), simulation.swarm_members(1)), (1, 1), "the old swarm was not left");
    simulation.at(40.0, move |simulation| simulation.switch(second, 0, 1));
    simulation.run_until(100.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    let second_level: f64 = report.origin_copies.iter().filter(|(key, _)| key.stream == StreamKey(1)).map(|(_, copies)| copies).sum();
    // From its switch on the second viewer finds what the first one has.
    assert!(second_level < 35.0, "{second_level}: {report}");
}

#[test]
fn a_seek_forward_and_back_starts_again_at_once() {
    let (mut simulation, _, second) = two_viewers(film(), &ViewerOptions::vod());
    simulation.at(12.0, move |simulation| simulation.seek(second, 47.0));
    simulation.at(15.0, move |simulation| simulation.seek(second, 1.0));
    simulation.run_until(90.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    let seeks = &report.viewers[1].playback.seek_ms;
    assert_eq!(seeks.len(), 2);
    assert!(seeks[0] < 500.0, "forward, from the origin or a peer: {seeks:?}");
    assert!(seeks[1] < 10.0, "back, from storage: {seeks:?}");
}

#[test]
fn a_viewer_that_pauses_goes_on_without_a_stall_and_serves_meanwhile() {
    let (mut simulation, first, _) = two_viewers(film(), &ViewerOptions::vod());
    simulation.at(4.0, move |simulation| simulation.pause(first));
    simulation.at(60.0, move |simulation| simulation.resume(first));
    simulation.run_until(130.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert!(report.viewers[0].engine.uploaded_bytes > 5_000_000, "{report}");
}

#[test]
fn a_tab_that_stood_still_for_a_minute_keeps_its_peers() {
    let (mut simulation, first, second) = two_viewers(film(), &ViewerOptions::vod());
    simulation.at(10.0, move |simulation| simulation.freeze(second, 60.0));
    simulation.run_until(71.0);
    assert_eq!(simulation.stats(second).peers, 1, "a jump of time is no fault of the peer");
    simulation.run_until(140.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert_eq!(report.viewers[1].engine.peers_max, 1);
    let _ = first;
}

#[test]
fn a_laptop_that_slept_an_hour_plays_on_from_its_buffer_and_finds_its_peers_again() {
    let (mut simulation, _, second) = two_viewers(Presentation::new(vec![StreamModel::vod(7200.0, 2.0, AUDIO)]), &ViewerOptions::vod());
    simulation.at(20.0, move |simulation| simulation.sleep(second, 3600.0));
    simulation.run_until(3650.0);
    let report = simulation.report();
    assert_played_well(&report);
    assert_eq!(report.viewers[1].engine.peers, 1, "{report}");
    assert!((40.0..50.0).contains(&report.viewers[1].playback.position_s), "{report}");
}

#[test]
fn a_live_viewer_whose_laptop_slept_jumps_to_the_edge_and_shares_again() {
    let mut simulation = Simulation::new(1, live());
    let viewers: Vec<_> = (0..4).map(|index| simulation.add_viewer(f64::from(index), ViewerOptions::live(6.0))).collect();
    let sleeper = viewers[2];
    simulation.at(20.0, move |simulation| simulation.sleep(sleeper, 120.0));
    simulation.run_until(200.0);
    let report = simulation.report();
    println!("{report}");
    assert_eq!((report.wrong_deliveries(), report.viewers[2].playback.resyncs), (0, 1), "{report}");
    let others = report.viewers.iter().enumerate().filter(|(index, _)| *index != 2);
    assert!(others.clone().all(|(_, viewer)| viewer.playback.stalls == 0), "{report}");
    assert!(report.viewers[2].playback.stalls <= 1, "at most while it finds the edge: {report}");
    assert_eq!(report.viewers[2].engine.peers, 3, "{report}");
}

#[test]
fn separate_audio_is_shared_in_its_own_swarm() {
    let (mut simulation, _, _) = two_viewers(film_with_audio(), &ViewerOptions::vod().playing(&[0, 1]));
    simulation.run_until(80.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    let copies = |stream| report.origin_copies.iter().filter(|(key, _)| key.stream == StreamKey(stream)).map(|(_, copies)| copies).sum();
    let (video, audio): (f64, f64) = (copies(0), copies(1));
    assert!(video < 40.0 && audio < 40.0, "of 30 each: {video} and {audio}");
    assert_eq!(report.viewers[1].engine.peers_max, 2, "one connection in each swarm");
}

/// The options of the main stream changed.
fn main_options(change: impl FnOnce(&mut StreamConfig)) -> DynamicConfig {
    let mut main = StreamConfig::default();
    change(&mut main);
    DynamicConfig { main: Some(main), ..DynamicConfig::default() }
}

#[test]
fn an_upload_switched_off_at_run_time_ends_at_once_and_costs_the_other_no_stall() {
    let (mut simulation, first, second) = two_viewers(film(), &ViewerOptions::vod());
    simulation.run_until(7.0);
    let before = simulation.stats(second).p2p_bytes;
    assert!(before > 0, "nothing was shared before");
    simulation.configure(first, |_| main_options(|main| main.p2p_upload_disabled = true));
    let uploaded = simulation.stats(first).uploaded_bytes;
    simulation.run_until(90.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    assert_eq!(report.viewers[0].engine.uploaded_bytes, uploaded, "{report}");
}

#[test]
fn a_download_switched_off_at_run_time_leaves_the_upload_on() {
    let options = ViewerOptions::vod();
    let (mut simulation, first, second) = two_viewers(film(), &options);
    simulation.run_until(7.0);
    simulation.configure(second, |_| main_options(|main| main.p2p_download_disabled = true));
    let received = simulation.stats(second).p2p_bytes;
    // Whoever comes late gets from both.
    simulation.add_viewer(20.0, options);
    simulation.vanish_at(22.0, first);
    simulation.run_until(100.0);
    let mut report = simulation.report();
    report.viewers.remove(0);
    assert_played_to_the_end(&report);
    assert_eq!(report.viewers[0].engine.p2p_bytes, received, "{report}");
    assert!(report.viewers[0].engine.uploaded_bytes > 0, "{report}");
}

#[test]
fn p2p_switched_off_at_run_time_leaves_the_swarm() {
    let (mut simulation, first, second) = two_viewers(film(), &ViewerOptions::vod());
    simulation.run_until(7.0);
    assert_eq!(simulation.swarm_members(0), 2);
    simulation.configure(first, |_| main_options(|main| main.p2p_disabled = true));
    simulation.run_until(8.0);
    assert_eq!((simulation.swarm_members(0), simulation.stats(first).peers, simulation.stats(second).peers), (1, 0, 0));
    simulation.run_until(90.0);
    assert_played_to_the_end(&simulation.report());
}

#[test]
fn the_upload_limit_is_kept() {
    const LIMIT_BYTES_PER_S: u64 = 100_000;
    let (mut simulation, first, _) =
        two_viewers(film(), &ViewerOptions::vod().with(|config| config.upload_rate_limit = Some(LIMIT_BYTES_PER_S)));
    let mut before = 0;
    for second in 1..60 {
        simulation.run_until(f64::from(second));
        let uploaded = simulation.stats(first).uploaded_bytes;
        assert!(uploaded - before <= LIMIT_BYTES_PER_S + 2 * 65_536, "{} bytes in one second", uploaded - before);
        before = uploaded;
    }
    simulation.run_until(90.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    let uploaded = report.viewers[0].engine.uploaded_bytes;
    assert!((500_000..=LIMIT_BYTES_PER_S * 60).contains(&uploaded), "{report}");
}

#[test]
fn storage_stays_within_its_limit() {
    const LIMIT_BYTES: u64 = 6_000_000;
    let (mut simulation, _, _) = two_viewers(film(), &ViewerOptions::vod().with(|config| config.segment_storage_limit_bytes = LIMIT_BYTES));
    simulation.run_until(90.0);
    let report = simulation.report();
    assert_played_to_the_end(&report);
    for viewer in &report.viewers {
        // A segment is noted when it is complete, and another makes room for it then.
        assert!(viewer.stored_bytes_max <= LIMIT_BYTES + 1_000_000, "{}", viewer.stored_bytes_max);
        assert!(viewer.engine.stored_bytes <= LIMIT_BYTES);
    }
}
