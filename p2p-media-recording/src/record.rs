//! Writing a recording while the session runs.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use p2p_media_core::config::Config;
use p2p_media_core::driver::Observer;
use p2p_media_core::engine::input::Input;
use p2p_media_core::engine::output::Output;
use p2p_media_core::timestamp::Timestamp;

use crate::MOST_LINE_BYTES;
use crate::digest::Digest;
use crate::inputs::to_line;
use crate::lines::{End, FORMAT, Header, InputLine, Line, StepLine, VERSION};
use crate::options;

/// Writes what it observes. Dropping it, as the driver does at its end, ends the recording properly. It never disturbs the session: when it
/// cannot write, it stops recording, and its [`Outcome`] says why.
pub struct Recorder {
    /// None once writing has failed.
    out: Option<Box<dyn Write + Send>>,
    step: Option<UnfinishedStep>,
    steps: u64,
    /// The header is written.
    has_begun: bool,
    outcome: Outcome,
}

/// What became of a recording.
#[derive(Clone, Debug, Default)]
pub struct Outcome(Arc<Mutex<Option<String>>>);

/// An input whose outputs are still coming.
struct UnfinishedStep {
    at: Timestamp,
    input: InputLine,
    outputs: u64,
    digest: Digest,
}

impl Outcome {
    /// Why the recording is not whole; `None` when nothing went wrong so far.
    pub fn error(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Recorder {
    /// Records into a file, which is made anew.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::to_writer(BufWriter::new(File::create(path)?)))
    }

    /// Records into whatever can be written to. It is written to in short pieces and flushed at the end.
    pub fn to_writer(out: impl Write + Send + 'static) -> Self {
        Self { out: Some(Box::new(out)), step: None, steps: 0, has_begun: false, outcome: Outcome::default() }
    }

    /// Tells what becomes of the recording, also when it is gone.
    pub fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }

    fn finish_step(&mut self) {
        if let Some(UnfinishedStep { at, input, outputs, digest }) = self.step.take() {
            self.steps += 1;
            self.write(&Line::Step(StepLine { at_us: at.as_micros(), input, outputs, digest: digest.to_string() }));
        }
    }

    fn write(&mut self, line: &Line) {
        let Some(out) = &mut self.out else { return };
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            if text.len() > MOST_LINE_BYTES {
                return Err(io::Error::other(format!("an input takes more than {MOST_LINE_BYTES} bytes")));
            }
            out.write_all(&text)
        });
        if let Err(error) = written {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &dyn fmt::Display) {
        self.out = None;
        *self.outcome.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

impl Observer for Recorder {
    fn begins(&mut self, config: &Config, seed: u64, now: Timestamp) {
        let options = options::of_config(config);
        let comes_back = options::to_config(options.clone()).map(|read| Config { ice_servers: config.ice_servers.clone(), ..read });
        match comes_back {
            Ok(read) if read == *config => {}
            Ok(_) => return self.fail(&"an option has a value that a recording cannot hold"),
            Err(error) => return self.fail(&error),
        }
        self.has_begun = true;
        let program = env!("CARGO_PKG_VERSION").to_owned();
        self.write(&Line::Header(Header { format: FORMAT.to_owned(), version: VERSION, program, at_us: now.as_micros(), seed, options }));
    }

    fn input(&mut self, now: Timestamp, input: &Input) {
        self.finish_step();
        if self.out.is_some() {
            self.step = Some(UnfinishedStep { at: now, input: to_line(input), outputs: 0, digest: Digest::new() });
        }
    }

    fn output(&mut self, output: &Output) {
        if let Some(step) = &mut self.step {
            step.outputs += 1;
            step.digest.note(output);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.has_begun {
            return;
        }
        self.finish_step();
        self.write(&Line::End(End { steps: self.steps }));
        if let Some(Err(error)) = self.out.as_mut().map(Write::flush) {
            self.fail(&error);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("steps", &self.steps).field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
