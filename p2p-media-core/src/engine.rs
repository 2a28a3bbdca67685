//! The engine: a state machine without IO that decides where every segment comes from.

pub mod input;
pub mod output;

use input::Input;
use output::Output;

use crate::config::Config;
use crate::event::Stats;
use crate::timestamp::Timestamp;

/// Decides everything; see the crate's documentation.
pub struct Engine {
    config: Config,
}

impl Engine {
    /// An engine that has joined nothing yet. Equal inputs and an equal seed give equal outputs.
    pub fn new(config: Config, _seed: u64, _now: Timestamp) -> Self {
        Self { config }
    }

    /// Takes in what happened at `now`. Infallible: a misbehaving peer yields an output that closes it.
    pub fn handle_input(&mut self, _now: Timestamp, _input: Input) {
        let _ = &self.config;
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When to give [`Input::DeadlineReached`] even if nothing else happens.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Figures since the session began.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// True once [`Input::Shutdown`] was handled and every farewell is out.
    pub fn is_finished(&self) -> bool {
        false
    }
}
