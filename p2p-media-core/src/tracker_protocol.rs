//! WebTorrent tracker messages.
