//! The lines of a recording as they are written. Their names are the format: a change of one is a new [`VERSION`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a file begins with that is one.
pub(crate) const FORMAT: &str = "p2p-media recording";
/// Of the format.
pub(crate) const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Line {
    /// The first one.
    Header(Header),
    /// Something happened to the engine.
    Step(StepLine),
    /// The last one.
    End(End),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) version: u32,
    /// Version of the program that wrote it.
    pub(crate) program: String,
    /// When the engine was made, in microseconds.
    pub(crate) at_us: u64,
    pub(crate) seed: u64,
    pub(crate) options: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepLine {
    pub(crate) at_us: u64,
    pub(crate) input: InputLine,
    /// How much the engine asked for, and its digest.
    pub(crate) outputs: u64,
    pub(crate) digest: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) steps: u64,
}

/// An input; ids are numbers, texts are as they came, of media there is the length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum InputLine {
    SegmentRequested { request: u64, segment: KeyLine },
    RequestCancelled { request: u64 },
    SegmentFetched { segment: KeyLine, bytes: u64, response_us: u64, body_us: u64 },
    PlayheadMoved { position: Seconds, rate: Seconds },
    StreamAdded { stream: u32, kind: KindLine, swarm: String },
    StreamUpdated { stream: u32, added: Vec<SegmentLine>, removed: Vec<i64>, live: bool },
    StreamRemoved { stream: u32 },
    ConfigChanged { options: Map<String, Value> },
    Shutdown {},

    HttpHead { id: u64, status: u16, range_first: Option<u64>, range_total: Option<u64>, content_length: Option<u64> },
    HttpChunk { id: u64, bytes: u64 },
    HttpEnd { id: u64 },
    HttpFailed { id: u64, error: String },

    TrackerOpened { tracker: u32 },
    TrackerMessage { tracker: u32, text: String },
    TrackerClosed { tracker: u32, error: String },

    OfferMade { connection: u64, sdp: String },
    AnswerMade { connection: u64, sdp: String },
    ChannelOpened { connection: u64 },
    PeerCommand { connection: u64, base64: String },
    PeerPayload { connection: u64, bytes: u64 },
    PeerSent { connection: u64, bytes: u64 },
    ConnectionClosed { connection: u64, reason: String },

    Stored { segment: KeyLine },
    StoreFailed { segment: KeyLine, error: String },
    Loaded { id: u64, pieces: Option<Vec<u64>> },
    Validated { id: u64, right: bool },

    DeadlineReached {},
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyLine {
    pub(crate) stream: u32,
    pub(crate) id: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindLine {
    Main,
    Secondary,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentLine {
    pub(crate) id: i64,
    pub(crate) url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) byte_range: Option<(u64, u64)>,
    pub(crate) start: Seconds,
    pub(crate) duration: Seconds,
    pub(crate) form: FormLine,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FormLine {
    Whole,
    Unfinished,
    Part,
}

/// Any floating-point number: JSON has none that is not finite, players may.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Seconds {
    Finite(f64),
    Other(NotFinite),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum NotFinite {
    #[serde(rename = "NaN")]
    NotANumber,
    #[serde(rename = "infinity")]
    Infinity,
    #[serde(rename = "-infinity")]
    NegativeInfinity,
}

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Self {
        match seconds {
            seconds if seconds.is_finite() => Self::Finite(seconds),
            seconds if seconds.is_nan() => Self::Other(NotFinite::NotANumber),
            seconds if seconds > 0.0 => Self::Other(NotFinite::Infinity),
            _ => Self::Other(NotFinite::NegativeInfinity),
        }
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> Self {
        match seconds {
            Seconds::Finite(seconds) => seconds,
            Seconds::Other(NotFinite::NotANumber) => Self::NAN,
            Seconds::Other(NotFinite::Infinity) => Self::INFINITY,
            Seconds::Other(NotFinite::NegativeInfinity) => Self::NEG_INFINITY,
        }
    }
}
