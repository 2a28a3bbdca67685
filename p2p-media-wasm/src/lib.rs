//! p2p-media in a web page. The crate is built twice, see the features in Cargo.toml: `engine` shares segments over the browser's own HTTP,
//! WebSocket and WebRTC; `manifests` reads playlists and MPDs. What players need around them is TypeScript, in `js/`.

#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "manifests")]
pub mod manifests;
