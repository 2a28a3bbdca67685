//! p2p-media on tokio: the backends of the engine, a player API, and the servers of the `p2p-media` program.

pub mod backend;
pub mod clock;
pub mod config_file;
mod error_chain;
pub mod http_fetcher;
#[cfg(feature = "program")]
pub mod origin_server;
pub mod peer_transport;
pub mod segment_storage;
mod tls;
#[cfg(feature = "program")]
pub mod tracker_server;
pub mod tracker_socket;
