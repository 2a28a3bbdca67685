//! The third driver of the engine: many viewers in one process in virtual time, without sockets, deterministic by seed.
//!
//! A [`simulation::Simulation`] has one event queue; viewers are unchanged [`p2p_media_core::engine::Engine`]s with a simple player each, and
//! origin, tracker, network and storage are models that fail when told to. Scenarios are tests: see `tests/`.
//!
//! [`population::run`] brings thousands of viewers to life as a [`scenario::Scenario`] describes them; the program of this crate is its command
//! line. [`replay::replay`] has an engine do again what it did in a real session that was recorded.

mod batches;
pub mod chart;
mod connections;
pub mod content;
mod effects;
pub mod engine_bench;
mod event_hash;
mod event_queue;
mod flow_control;
mod hostile;
mod link;
pub mod link_classes;
pub mod network;
pub mod origin;
pub mod player;
pub mod population;
pub mod population_report;
pub mod reachability;
pub mod replay;
pub mod report;
pub mod scenario;
mod scenario_actions;
pub mod scripted_peer;
pub mod simulation;
mod tracker;
pub mod viewer;
