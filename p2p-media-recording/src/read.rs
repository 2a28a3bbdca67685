//! Reading a recording, a line at a time. Files are hostile until they are read: every error tells the line.

use std::fmt;
use std::io::{self, BufRead, Read as _};

use bytes::Bytes;
use p2p_media_core::config::{Config, ConfigError};
use p2p_media_core::engine::input::Input;
use p2p_media_core::timestamp::Timestamp;

use crate::MOST_LINE_BYTES;
use crate::inputs::from_line;
use crate::lines::{FORMAT, Header, Line, StepLine, VERSION};
use crate::options;

/// No session lasts longer, in microseconds: a hundred years.
const MOST_MICROS: u64 = 100 * 366 * 24 * 3600 * 1_000_000;

/// What an engine is made of.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its options; without STUN and TURN servers, which it does not use.
    pub config: Config,
    /// Its seed.
    pub seed: u64,
    /// The time at which it was made.
    pub now: Timestamp,
    /// Version of the program in which it ran.
    pub program: String,
}

/// What happened to an engine, and what it asked for.
#[derive(Clone, Debug)]
pub struct Step {
    /// When.
    pub now: Timestamp,
    /// What.
    pub input: Input,
    /// How many outputs came of it.
    pub outputs: u64,
    /// The text of their [`crate::Digest`].
    pub digest: String,
    /// The line that it stands in.
    pub line: u64,
}

/// A recording that is being read.
#[derive(Debug)]
pub struct Recording<R> {
    lines: Lines<R>,
    made: Made,
    /// What stands for media.
    zeros: Bytes,
    now: Timestamp,
    steps: u64,
    has_ended: bool,
}

/// Why a recording cannot be read on.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RecordingError {
    /// The line, counted from 1.
    pub line: u64,
    /// Why.
    #[source]
    pub reason: Reason,
}

/// See [`RecordingError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file does not begin as one.
    #[error("this is not a recording of a session")]
    NotARecording,
    /// A later program wrote it.
    #[error("the recording is of version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// Longer than a line may be.
    #[error("longer than {MOST_LINE_BYTES} bytes")]
    TooLong,
    /// Not as the format has it.
    #[error("{0}")]
    Syntax(String),
    /// A value that makes no sense.
    #[error("{0}")]
    Value(String),
    /// An option that there is not, or out of range.
    #[error(transparent)]
    Option(#[from] ConfigError),
    /// The file ends before the recording does.
    #[error("the recording breaks off here")]
    BreaksOff,
    /// Lines are missing, or something follows the end.
    #[error("{0} steps should be here instead of {1}")]
    Steps(u64, u64),
}

impl<R: BufRead> Recording<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is not there, or is of another version.
    pub fn open(reader: R) -> Result<Self, RecordingError> {
        let mut lines = Lines { reader, number: 0, text: Vec::new() };
        let header = lines.next().and_then(|text| {
            let header = text.and_then(|text| serde_json::from_slice::<Line>(text).ok());
            match header {
                Some(Line::Header(header)) if header.format == FORMAT => Ok(header),
                _ => Err(Reason::NotARecording),
            }
        });
        let made = header.and_then(made).map_err(|reason| lines.error(reason))?;
        let now = made.now;
        Ok(Self { lines, made, zeros: Bytes::new(), now, steps: 0, has_ended: false })
    }

    /// What the engine was made of.
    pub const fn made(&self) -> &Made {
        &self.made
    }

    /// The next step; `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged here.
    pub fn next_step(&mut self) -> Result<Option<Step>, RecordingError> {
        self.read_step().map_err(|reason| self.lines.error(reason))
    }

    fn read_step(&mut self) -> Result<Option<Step>, Reason> {
        if self.has_ended {
            return Ok(None);
        }
        let text = self.lines.next()?.ok_or(Reason::BreaksOff)?;
        // The place in the file is told by our line, the place in the line by the reader.
        let line = serde_json::from_slice(text).map_err(|error| Reason::Syntax(place_in_line(&error)))?;
        match line {
            Line::Step(step) => self.step(step).map(Some),
            Line::End(end) if end.steps != self.steps => Err(Reason::Steps(end.steps, self.steps)),
            Line::End(_) => {
                self.has_ended = true;
                match self.lines.next()? {
                    None => Ok(None),
                    Some(_) => Err(Reason::Value("something follows the end".to_owned())),
                }
            }
            Line::Header(_) => Err(Reason::Value("a second header".to_owned())),
        }
    }

    fn step(&mut self, line: StepLine) -> Result<Step, Reason> {
        let now = time(line.at_us)?;
        if now < self.now {
            return Err(Reason::Value("time runs backwards".to_owned()));
        }
        let input = from_line(line.input, &mut self.zeros).map_err(|problem| Reason::Value(problem.to_string()))?;
        self.now = now;
        self.steps += 1;
        Ok(Step { now, input, outputs: line.outputs, digest: line.digest, line: self.lines.number })
    }
}

fn made(header: Header) -> Result<Made, Reason> {
    let Header { version, program, at_us, seed, options, .. } = header;
    if version != VERSION {
        return Err(Reason::Version(version));
    }
    let config = options::to_config(options)?;
    Ok(Made { config: Config { ice_servers: Vec::new(), ..config }, seed, now: time(at_us)?, program })
}

fn time(micros: u64) -> Result<Timestamp, Reason> {
    if micros > MOST_MICROS {
        return Err(Reason::Value(format!("{micros} microseconds are longer than any session")));
    }
    Ok(Timestamp::from_micros(micros))
}

/// What the JSON reader says, without its own count of lines, of which it saw one.
fn place_in_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.split(" at line ").next().unwrap_or(&text);
    format!("{said} (column {})", error.column())
}

struct Lines<R> {
    reader: R,
    /// Of the line that was read last, counted from 1.
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end; `None` at the end of the file. Takes no more memory than the line has bytes.
    fn next(&mut self) -> Result<Option<&[u8]>, Reason> {
        self.number += 1;
        self.text.clear();
        let read = (&mut self.reader).take(MOST_LINE_BYTES as u64 + 1).read_until(b'\n', &mut self.text)?;
        match self.text.pop() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(&self.text)),
            Some(_) if read > MOST_LINE_BYTES => Err(Reason::TooLong),
            Some(_) => Err(Reason::BreaksOff),
        }
    }
}

impl<R> Lines<R> {
    const fn error(&self, reason: Reason) -> RecordingError {
        RecordingError { line: self.number, reason }
    }
}

impl<R> fmt::Debug for Lines<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}
