//! p2p-media on tokio: the backends of the engine, a player API, and the servers of the `p2p-media` program.

#[cfg(feature = "program")]
pub mod origin_server;
#[cfg(feature = "program")]
pub mod tracker_server;
