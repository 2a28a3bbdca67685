//! p2p-media on tokio: the backends of the engine, a player API, and the servers of the `p2p-media` program.

pub mod backend;
pub mod clock;
pub mod config_file;
mod error_chain;
#[cfg(feature = "program")]
pub mod gateway;
pub mod http_fetcher;
pub mod limited_link;
pub mod manifest_fetch;
pub mod manifest_format;
#[cfg(feature = "program")]
pub mod origin_server;
mod pacer;
pub mod peer_transport;
pub mod player;
#[cfg(feature = "program")]
pub mod program;
pub mod segment_storage;
mod tls;
#[cfg(feature = "program")]
mod tracker_log;
#[cfg(feature = "program")]
pub mod tracker_server;
pub mod tracker_socket;
#[cfg(feature = "program")]
pub mod viewer;
