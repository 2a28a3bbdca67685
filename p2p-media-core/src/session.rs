//! The player's handle.
