//! Manifests in a page: text in, segments for the engine out. The page half of the Service Worker is its user.
//!
//! A [`Presentation`] is what the manifests of one stream have said so far. What that changes for the engine comes out as [`StreamNews`], in few
//! large pieces: an object for each segment would cost more than reading the playlist. Ids of streams and segments are those of all other
//! viewers.

mod clock;
mod dash_streams;
mod hls_streams;
mod names;
mod news;

use p2p_media_core::media::ByteRange;
use p2p_media_dash::{IndexId, IndexRequest};
use wasm_bindgen::prelude::wasm_bindgen;

use self::dash_streams::{DashStreams, MpdVersion};
use self::hls_streams::HlsStreams;
use self::names::{is_playlist, manifest_name};
use self::news::News;
pub use self::news::StreamNews;

/// A stream of either format, with all its renditions.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Presentation {
    name: String,
    manifest_url: String,
    streams: Streams,
    news: News,
}

/// What manifests have said, by their format.
#[derive(Debug, Default)]
enum Streams {
    /// None has been read.
    #[default]
    None,
    Hls(HlsStreams),
    Dash(Box<DashStreams>),
}

/// A segment index (`sidx`) that has to be fetched before segments are known.
#[wasm_bindgen]
#[derive(Debug)]
pub struct IndexNeeded {
    request: IndexRequest,
}

#[wasm_bindgen]
impl Presentation {
    /// One of which nothing is known yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a manifest of either format, or a patch of one. `asked` is the URL that the player asked for, `own_url` where the answer came
    /// from; `now` is the browser's clock and `sent_at` what the answer's `Date` says, in seconds since 1970.
    ///
    /// # Errors
    /// What is wrong with it, when it cannot be read. Nothing has changed then.
    pub fn read(&mut self, asked: &str, own_url: &str, text: &[u8], now: f64, sent_at: Option<f64>) -> Result<(), String> {
        let name = manifest_name(asked);
        if is_playlist(text) {
            self.read_playlist(&name, own_url, text)?;
        } else {
            self.read_mpd(own_url, text, now, sent_at)?;
        }
        if self.name.is_empty() {
            self.name = name;
            self.manifest_url = own_url.to_owned();
        }
        Ok(())
    }

    /// True for the URL of one of its manifests, or of a patch.
    pub fn names(&self, url: &str) -> bool {
        let name = manifest_name(url);
        self.name == name
            || match &self.streams {
                Streams::None => false,
                Streams::Hls(hls) => hls.is_named(&name),
                Streams::Dash(dash) => dash.is_named(&name),
            }
    }

    /// Directories where an MPD has segments of streams that no news has told of yet, as URLs, one a line.
    pub fn directories(&self) -> String {
        match &self.streams {
            Streams::Dash(dash) => dash.directories().into_iter().collect::<Vec<_>>().join("\n"),
            _ => String::new(),
        }
    }

    /// The names of its manifests, one a line: URLs without fragment and delivery directives.
    pub fn manifest_names(&self) -> String {
        let mut names = vec![self.name.as_str()];
        match &self.streams {
            Streams::None => {}
            Streams::Hls(hls) => names.extend(hls.names()),
            Streams::Dash(dash) => names.extend(dash.names()),
        }
        names.join("\n")
    }

    /// Where its first manifest came from, which names its swarms.
    #[wasm_bindgen(getter)]
    pub fn manifest_url(&self) -> String {
        self.manifest_url.clone()
    }

    /// What the engine has yet to be told, in order.
    pub fn next_news(&mut self) -> Option<StreamNews> {
        self.news.next()
    }

    /// Finds out what the passing of time has changed. Gives the seconds until that is to be done again, if it is at all.
    pub fn follow_time(&mut self, now: f64) -> Option<f64> {
        match &mut self.streams {
            Streams::Dash(dash) => dash.follow_time(now, &mut self.news),
            _ => None,
        }
    }

    /// Looks for a segment that no news has told of: of a stream that nobody has played yet, or too new for the browser's clock. `first` and `last`
    /// are the bytes asked for, both inclusive. Gives the stream of which an index is missing that may tell more.
    pub fn look_for(&mut self, url: &str, first: Option<f64>, last: Option<f64>, now: f64) -> Option<u32> {
        let Streams::Dash(dash) = &mut self.streams else { return None };
        let range = first.zip(last).map(|(first, last)| ByteRange { first: first as u64, last: last as u64 });
        u32::try_from(dash.look_for(url, range, now, &mut self.news)?).ok()
    }

    /// The next index to fetch for a stream.
    pub fn index_needed(&self, stream: u32) -> Option<IndexNeeded> {
        let Streams::Dash(dash) = &self.streams else { return None };
        Some(IndexNeeded { request: dash.index_needed(stream as usize)? })
    }

    /// Takes in an index, or with `None` that it could not be had.
    pub fn read_index(&mut self, index: &IndexNeeded, bytes: Option<Box<[u8]>>, now: f64) {
        if let Streams::Dash(dash) = &mut self.streams {
            dash.read_index(index.id(), index.first_byte(), bytes.as_deref(), now, &mut self.news);
        }
    }
}

impl Presentation {
    fn read_playlist(&mut self, name: &str, own_url: &str, text: &[u8]) -> Result<(), String> {
        match &mut self.streams {
            Streams::Hls(hls) => hls.read(name, own_url, text, &mut self.news),
            Streams::None => {
                let mut hls = HlsStreams::default();
                hls.read(name, own_url, text, &mut self.news)?;
                self.streams = Streams::Hls(hls);
                Ok(())
            }
            Streams::Dash(_) => Err("a playlist where an MPD was".to_owned()),
        }
    }

    fn read_mpd(&mut self, own_url: &str, text: &[u8], now: f64, sent_at: Option<f64>) -> Result<(), String> {
        let parsed = p2p_media_dash::parse(text, own_url).map_err(|error| error.to_string());
        match (&mut self.streams, parsed) {
            (Streams::Dash(dash), Ok(mpd)) => dash.read(MpdVersion { mpd, text, own_url, sent_at }, now, &mut self.news),
            // It may be a patch, which has another root.
            (Streams::Dash(dash), Err(_)) => dash.read_patch(text, sent_at, now, &mut self.news)?,
            (Streams::None, Ok(mpd)) => {
                self.streams = Streams::Dash(Box::new(DashStreams::new(MpdVersion { mpd, text, own_url, sent_at }, now)));
            }
            (Streams::None, Err(error)) => return Err(error),
            (Streams::Hls(_), _) => return Err("an MPD where a playlist was".to_owned()),
        }
        Ok(())
    }
}

#[wasm_bindgen]
impl IndexNeeded {
    /// The file that it is in.
    #[wasm_bindgen(getter)]
    pub fn url(&self) -> String {
        self.request.resource.url.to_string()
    }

    /// The bytes that it is, as the value of a `Range` header; absent for the whole file.
    #[wasm_bindgen(getter)]
    pub fn range(&self) -> Option<String> {
        self.request.resource.byte_range.map(|range| format!("bytes={}-{}", range.first, range.last))
    }

    fn id(&self) -> IndexId {
        self.request.id
    }

    fn first_byte(&self) -> u64 {
        self.request.resource.byte_range.map_or(0, |range| range.first)
    }
}

#[cfg(test)]
#[path = "manifests/tests.rs"]
mod tests;
