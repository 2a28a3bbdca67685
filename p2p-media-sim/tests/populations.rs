//! Populations: equal runs for equal seeds, and what must hold whoever takes part.

use p2p_media_sim::population::run;
use p2p_media_sim::population_report::PopulationReport;
use p2p_media_sim::scenario::{Arrivals, Behaviour, OriginScenario, Outage, Scenario, StreamScenario};

/// Forty viewers for three quarters of a minute, who come within ten seconds.
fn small() -> Scenario {
    let arrivals = Arrivals { within_s: 10.0, ..Arrivals::default() };
    let behaviour =
        Behaviour { churn_per_minute: 0.2, pauses_per_minute: 0.3, seeks_per_minute: 0.3, background: 0.3, ..Behaviour::default() };
    Scenario { viewers: 40, minutes: 0.75, arrivals, behaviour, ..Scenario::default() }
}

fn report(scenario: &Scenario) -> PopulationReport {
    let report = run(scenario, false, |_| {}).unwrap_or_else(|error| panic!("{error}"));
    println!("{report}");
    report
}

#[test]
fn equal_seeds_give_equal_runs_on_one_thread_and_on_two() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| report(&small())).event_hash
    };
    let hash = on(1);
    assert_eq!((on(2), on(2)), (hash.clone(), hash.clone()));
    assert_ne!(report(&Scenario { seed: 2, ..small() }).event_hash, hash);
}

#[test]
fn viewers_share_on_mixed_links_without_stalls() {
    let mut scenario = small();
    (scenario.behaviour.pauses_per_minute, scenario.behaviour.seeks_per_minute) = (0.0, 0.0);
    let shared = report(&scenario);
    let plain = report(&Scenario { p2p: false, ..scenario });
    assert!(shared.offload > 0.35, "{}", shared.offload);
    assert!(shared.rebuffering_ratio <= plain.rebuffering_ratio + 0.001);
    assert_eq!((shared.wrong_deliveries, shared.never_started), (0, 0));
    assert!(plain.offload < 0.01 && shared.control_share < 0.02, "{} {}", plain.offload, shared.control_share);
    // A sample may end in the midst of a segment that the origin has sent already.
    assert!(shared.startup_ms.p95 <= plain.startup_ms.p95 + 50.0);
}

#[test]
fn nothing_wrong_is_played_where_it_is_checked() {
    let mut scenario = small();
    (scenario.behaviour.hostile, scenario.behaviour.integrity) = (0.2, true);
    let report = report(&scenario);
    assert_eq!((report.wrong_deliveries, report.never_started), (0, 0));
    assert!(report.rebuffering_ratio < 0.01, "{}", report.rebuffering_ratio);
}

#[test]
fn a_tracker_that_is_down_separates_nobody() {
    let mut scenario = small();
    scenario.behaviour = Behaviour::default();
    let before = report(&scenario).offload_settled;
    scenario.tracker_outages = vec![Outage { from_s: 20.0, for_s: 20.0 }];
    let during = report(&scenario).offload_settled;
    assert!(during > before - 0.05, "{during} instead of {before}");
}

#[test]
fn renditions_parts_and_films_run() {
    let stream = StreamScenario { mbits: vec![1.0, 3.0, 6.0], latency_s: 10.0, ..StreamScenario::default() };
    let switched = report(&Scenario { viewers: 20, stream, ..small() });
    assert!(switched.switches > 0 && switched.wrong_deliveries == 0);
    let stream = StreamScenario { parts: 6, latency_s: 3.0, ..StreamScenario::default() };
    assert_eq!(report(&Scenario { viewers: 20, stream, ..small() }).wrong_deliveries, 0);
    let stream = StreamScenario { live: false, film_minutes: 1.0, ..StreamScenario::default() };
    let origin = OriginScenario { mbits: 200.0, ..OriginScenario::default() };
    let film = report(&Scenario { viewers: 20, stream, origin, ..small() });
    assert!(film.offload > 0.2 && film.wrong_deliveries == 0, "{}", film.offload);
}
