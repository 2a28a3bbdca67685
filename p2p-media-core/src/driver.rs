//! drive().
