//! The third driver of the engine: many viewers in one process in virtual time, without sockets, deterministic by seed.
//!
//! A [`simulation::Simulation`] has one event queue; viewers are unchanged [`p2p_media_core::engine::Engine`]s with a simple player each, and
//! origin, tracker, network and storage are models that fail when told to. Scenarios are tests: see `tests/`.

pub mod content;

pub mod engine_bench;
mod event_hash;
mod event_queue;
mod link;
pub mod network;
pub mod origin;
pub mod player;
pub mod report;
mod scenario_actions;
pub mod scripted_peer;
pub mod simulation;
mod tracker;
pub mod viewer;
