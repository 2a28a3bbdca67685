//! The driver on stub backends: what it makes of a script's outputs, and two real engines that meet in one process.

mod sendness;
mod stub_backend;
mod stub_network;
mod translation;
mod two_viewers;
