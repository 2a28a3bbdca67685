//! Data-channel messages.
