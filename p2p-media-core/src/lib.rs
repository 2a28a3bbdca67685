//! The engine of p2p-media: decides where every segment of a stream comes from (the origin over HTTP, or a peer over WebRTC), and speaks
//! the peer and tracker protocols of P2P Media Loader 2.3.
//!
//! The crate knows no platform and no manifest format. [`engine::Engine`] is a state machine without IO; [`driver`] connects it to a
//! platform through the traits in [`backend`]; [`session::Session`] is the handle that a player holds.

pub mod backend;
pub mod config;
pub mod date_time;
pub mod driver;
pub mod engine;
pub mod error;
pub mod event;
pub mod identity;
pub mod media;
pub mod peer_protocol;
pub mod segment_bytes;
pub mod segment_validator;
pub mod session;
mod sort;
mod sorted_map;
pub mod timestamp;
pub mod tracker_protocol;
