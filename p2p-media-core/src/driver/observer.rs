//! Who looks on while a driver serves an engine: for recordings.

use super::Decider;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::input::Input;
use crate::engine::output::Output;
use crate::event::Stats;
use crate::timestamp::Timestamp;

/// Is told everything that an engine is told and everything that it asks for, in order. What it sees makes an engine do the same again.
pub trait Observer: std::fmt::Debug + Send {
    /// An engine was made of these.
    fn begins(&mut self, config: &Config, seed: u64, now: Timestamp);
    /// The engine will be told this.
    fn input(&mut self, now: Timestamp, input: &Input);
    /// The engine asks for this; because of the last input.
    fn output(&mut self, output: &Output);
}

/// An engine with somebody who looks on, or nobody.
pub(super) struct Observed {
    engine: Engine,
    observer: Option<Box<dyn Observer>>,
}

impl Observed {
    pub(super) fn new(config: Config, seed: u64, now: Timestamp, mut observer: Option<Box<dyn Observer>>) -> Self {
        if let Some(observer) = &mut observer {
            observer.begins(&config, seed, now);
        }
        Self { engine: Engine::new(config, seed, now), observer }
    }
}

impl Decider for Observed {
    fn handle_input(&mut self, now: Timestamp, input: Input) {
        if let Some(observer) = &mut self.observer {
            observer.input(now, &input);
        }
        self.engine.handle_input(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        let output = self.engine.poll_output();
        if let (Some(observer), Some(output)) = (&mut self.observer, &output) {
            observer.output(output);
        }
        output
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.engine.next_deadline()
    }

    fn stats(&self) -> Stats {
        self.engine.stats()
    }

    fn is_finished(&self) -> bool {
        self.engine.is_finished()
    }
}
