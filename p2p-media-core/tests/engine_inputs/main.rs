//! The engine against a hostile world: any inputs in any order. It must not panic, must keep the rules of its interface (`ledger`), must
//! not spin, must not grow without bound, and must do the same each time.

mod actions;
mod floods;
mod ledger;
mod world;

use p2p_media_core::config::Config;
use p2p_media_core::event::Stats;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use self::actions::{Action, ConnectionAction, actions, config};
use self::world::World;

/// What came out, as a number, the figures at the end, and how often a transfer was passed on.
fn run(config: &Config, seed: u64, actions: &[Action]) -> (u64, Stats, u64) {
    let mut world = World::playing(config.clone(), seed);
    for number in 0..(seed % 4) as u32 {
        let peer = world.meet(number);
        world.on_connection(
            peer,
            &ConnectionAction::Announce { first: i64::from(number), loaded: 16, loading: 0, relaying: None, in_parts: false },
        );
    }
    for action in actions {
        world.act(action);
    }
    world.shut_down();
    (world.ledger.digest(), world.engine.stats(), world.ledger.passed_on)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_inputs_in_any_order_are_survived_and_give_the_same_each_time(config in config(), seed: u64, actions in actions(300)) {
        prop_assert_eq!(run(&config, seed, &actions), run(&config, seed, &actions));
    }
}

/// Guards the test itself: a world in which nothing works would find nothing.
#[test]
fn the_hostile_world_reaches_every_part() {
    let mut runner = TestRunner::deterministic();
    let mut reached = [0_u64; 7];
    for seed in 0..120 {
        let (config, actions) = (config(), actions(300)).new_tree(&mut runner).expect("drawn").current();
        let (_, stats, passed_on) = run(&config, seed, &actions);
        let figures = [
            stats.http_bytes,
            stats.p2p_bytes,
            stats.uploaded_bytes,
            stats.segments_loaded,
            stats.peers_misbehaved,
            stats.peers_max.saturating_sub(1) as u64,
            passed_on,
        ];
        reached.iter_mut().zip(figures).for_each(|(reached, figure)| *reached += u64::from(figure > 0));
    }
    assert!(reached.iter().all(|runs| *runs >= 4), "of 120 runs so many got there: {reached:?}");
}
