//! `p2p-media inspect`: what a manifest means, as text for people or JSON for programs.

use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

use p2p_media_core::identity::manifest_swarm_base;
use p2p_media_dash::{Mpd, inspect as dash};
use p2p_media_hls::{Playlist, Variables, inspect as hls};
use serde::Serialize;
use serde_json::{Value, json};

use super::ProgramError;
use super::shared_options::SharedOptions;
use crate::http_fetcher::ReqwestFetcher;
use crate::manifest_fetch::{MAX_MANIFEST_BYTES, fetch_manifest};
use crate::manifest_format::ManifestFormat;

/// Segments of a DASH representation that the text lists.
const SEGMENTS_IN_TEXT: usize = 3;

/// Options of `p2p-media inspect`.
#[derive(Clone, Debug, clap::Args)]
pub struct InspectArgs {
    /// Manifest: an http(s) URL, a file, or - for standard input
    #[arg(value_name = "URL-or-FILE")]
    pub manifest: String,

    /// One JSON object in place of text
    #[arg(long)]
    pub json: bool,

    /// The manifest's own URL, when it is read from a file
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,

    /// Name of the swarm in place of the manifest's URL
    #[arg(long, value_name = "ID")]
    pub swarm_id: Option<String>,

    /// The time for which a live MPD is shown, such as 2025-01-31T12:00:00Z, in place of the clock
    #[arg(long, value_name = "RFC3339", value_parser = date_time)]
    pub now: Option<f64>,
}

fn date_time(text: &str) -> Result<f64, &'static str> {
    p2p_media_core::date_time::parse_date_time(text).ok_or("not a date and time such as 2025-01-31T12:00:00Z")
}

/// Prints the report. With `--json` an error is printed as JSON too.
///
/// # Errors
/// When the manifest cannot be read or is none.
pub async fn run(args: InspectArgs) -> Result<(), ProgramError> {
    let manifest = match Manifest::load(&args).await {
        Ok(manifest) => manifest,
        Err(error) if args.json => {
            print(&json!({ "error": error.to_string() }).to_string())?;
            return Err(ProgramError::AlreadyReported);
        }
        Err(error) => return Err(error),
    };
    if args.json {
        // Written as it is made: the report of the longest manifest needs no copy in memory.
        let mut out = BufWriter::new(std::io::stdout().lock());
        let written = serde_json::to_writer(&mut out, &manifest.report(dash::MAX_SHOWN_SEGMENTS)).map_err(std::io::Error::from);
        written.and_then(|()| writeln!(out)).and_then(|()| out.flush()).or_else(reader_went_away)
    } else {
        if matches!((&manifest.contents, &args.swarm_id), (Contents::Hls(Playlist::Media(_)), None)) {
            tracing::info!("swarm ids are those of a player that opened this media playlist by itself");
        }
        let report = serde_json::to_value(manifest.report(SEGMENTS_IN_TEXT)).map_err(|error| ProgramError::Output(error.to_string()))?;
        print(as_text(&report).trim_end())
    }
}

fn print(text: &str) -> Result<(), ProgramError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).or_else(reader_went_away)
}

/// A reader that goes away early, such as `head`, is no failure.
fn reader_went_away(error: std::io::Error) -> Result<(), ProgramError> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(ProgramError::Output(error.to_string())) }
}

/// A manifest that was read, and what its report depends on.
struct Manifest {
    contents: Contents,
    url: String,
    /// What swarm ids are built of: the protocol label, and the name of the swarm or manifest.
    naming: (String, String),
    /// Seconds since 1970.
    now: f64,
}

enum Contents {
    Hls(Playlist),
    Dash(Mpd),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Report<'m> {
    Hls(hls::PlaylistReport<'m>),
    Dash(dash::MpdReport<'m>),
}

impl Manifest {
    async fn load(args: &InspectArgs) -> Result<Self, ProgramError> {
        let is_url = args.manifest.starts_with("http://") || args.manifest.starts_with("https://");
        let (bytes, fetched_from) = if is_url { fetch(&args.manifest).await? } else { (read_file(&args.manifest)?, None) };
        let url = match (&args.base_url, fetched_from) {
            (Some(url), _) => url.clone(),
            (None, Some(url)) => url,
            (None, None) => file_url(&args.manifest)?,
        };
        let contents =
            Contents::read(&bytes, &url).map_err(|problem| ProgramError::Manifest { manifest: args.manifest.clone(), problem })?;
        let label = SharedOptions::default().config(true)?.protocol_version_label;
        let base = args.swarm_id.clone().unwrap_or_else(|| manifest_swarm_base(&url).to_owned());
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Ok(Self { contents, url, naming: (label, base), now: args.now.unwrap_or(clock) })
    }

    /// `segments` bounds those of each DASH representation.
    fn report(&self, segments: usize) -> Report<'_> {
        let (label, base) = (&*self.naming.0, &*self.naming.1);
        match &self.contents {
            Contents::Hls(playlist) => Report::Hls(hls::report(playlist, &self.url, hls::SwarmNaming { label, base })),
            Contents::Dash(mpd) => {
                Report::Dash(dash::report(mpd, dash::SwarmNaming { label, base }, dash::View { now: self.now, segments }))
            }
        }
    }
}

impl Contents {
    fn read(bytes: &[u8], url: &str) -> Result<Self, String> {
        // Of what has no format the reader that fits best says why.
        let is_markup = || bytes.iter().take(8).any(|&byte| byte == b'<');
        match ManifestFormat::of(bytes) {
            Some(ManifestFormat::Hls) => Self::hls(bytes, url),
            Some(ManifestFormat::Dash) => Self::dash(bytes, url),
            None if is_markup() => Self::dash(bytes, url),
            None => Self::hls(bytes, url),
        }
    }

    fn hls(bytes: &[u8], url: &str) -> Result<Self, String> {
        p2p_media_hls::parse(bytes, url, &Variables::default()).map(Self::Hls).map_err(|error| error.to_string())
    }

    fn dash(bytes: &[u8], url: &str) -> Result<Self, String> {
        p2p_media_dash::parse(bytes, url).map(Self::Dash).map_err(|error| error.to_string())
    }
}

async fn fetch(url: &str) -> Result<(Vec<u8>, Option<String>), ProgramError> {
    let fails = |problem: String| ProgramError::Manifest { manifest: url.to_owned(), problem };
    let http = ReqwestFetcher::new().map_err(|error| fails(error.to_string()))?;
    let manifest = fetch_manifest(&http, url).await.map_err(|error| fails(error.to_string()))?;
    Ok((manifest.bytes.into(), Some(manifest.url)))
}

fn read_file(path: &str) -> Result<Vec<u8>, ProgramError> {
    let fails = |problem: String| ProgramError::Manifest { manifest: path.to_owned(), problem };
    let mut bytes = Vec::new();
    let limit = MAX_MANIFEST_BYTES as u64 + 1;
    let read = match path {
        "-" => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|error| fails(error.to_string()))?;
    Ok(bytes)
}

fn file_url(path: &str) -> Result<String, ProgramError> {
    if path == "-" {
        return Ok("file:///".to_owned());
    }
    let fails = |problem: &str| ProgramError::Manifest { manifest: path.to_owned(), problem: problem.to_owned() };
    let absolute = Path::new(path).canonicalize().map_err(|error| fails(&error.to_string()))?;
    Ok(url::Url::from_file_path(absolute).map_err(|()| fails("has no absolute path"))?.to_string())
}

/// The report as lines: a heading, then what it lists.
fn as_text(report: &Value) -> String {
    let mut text = match word(&report["format"]).as_str() {
        "dash" => format!("DASH {} MPD\n", if report["live"] == true { "dynamic" } else { "static" }),
        format => format!("{} {} playlist\n", format.to_uppercase(), word(&report["kind"])),
    };
    let facts =
        report.as_object().into_iter().flatten().filter(|(name, _)| !["format", "kind", "error", "stream"].contains(&name.as_str()));
    let facts = one_line(&facts.map(|(name, value)| (name.clone(), value.clone())).collect());
    if !facts.is_empty() {
        text += &format!("  {facts}\n");
    }
    let lists = ["variants", "renditions", "periods", "representations", "segments", "parts", "preload_hints", "remarks"];
    for list in lists {
        let Some(items) = report[list].as_array().filter(|items| !items.is_empty()) else { continue };
        let (first, rest) = list.split_at(1);
        text += &format!("\n{}{} ({})\n", first.to_uppercase(), rest.replace('_', " "), items.len());
        for item in items {
            text += &format!("  {}\n", one_line(item));
            for segment in item["segments"].as_array().into_iter().flatten() {
                text += &format!("    {}\n", one_line(segment));
            }
            if let Some(more) = item["truncated"].as_u64() {
                text += &format!("    and {more} more\n");
            }
        }
    }
    if let Some(stream) = report.get("stream").filter(|stream| stream.is_object()) {
        text += &format!("\nStream\n  {}\n", one_line(stream));
    }
    text
}

/// The members of an object that have a simple value, as `name value`.
fn one_line(item: &Value) -> String {
    let Some(members) = item.as_object() else { return word(item) };
    let mut parts = Vec::new();
    for (name, value) in members {
        match value {
            // A flag that is not set says nothing.
            Value::Null | Value::Bool(false) => {}
            Value::Array(ends) if name == "range" => {
                // The end of a part that is still to come is not known.
                let ends: Vec<_> = ends.iter().map(|end| if end.is_null() { String::new() } else { word(end) }).collect();
                parts.push(format!("range {}", ends.join("-")));
            }
            Value::Array(_) => {}
            Value::Object(_) if name == "stream" => parts.push(format!("[{}]", one_line(value))),
            Value::Object(_) if name == "index" => parts.push(format!("segments as listed at {}", one_line(value))),
            Value::Object(_) => {}
            _ if name == "segment_count" && item["index"].is_object() => {}
            _ if name == "truncated" => {}
            value => parts.push(format!("{} {}", name.replace('_', " "), word(value))),
        }
    }
    parts.join(", ")
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(manifest: &str) -> String {
        let url = "https://a.example/x".to_owned();
        let contents = Contents::read(manifest.as_bytes(), &url).unwrap();
        let manifest = Manifest { contents, url, naming: ("v2".to_owned(), "name".to_owned()), now: 0.0 };
        as_text(&serde_json::to_value(manifest.report(SEGMENTS_IN_TEXT)).unwrap())
    }

    #[test]
    fn content_decides_on_the_format() {
        assert!(text("#EXTM3U\n#EXTINF:4,\ns\n").starts_with("HLS media playlist"));
        let dash = text(
            r#"<MPD mediaPresentationDuration="PT20S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="v">
            <SegmentTemplate media="$Number$" duration="4"/></Representation></AdaptationSet></Period></MPD>"#,
        );
        assert!(dash.starts_with("DASH static MPD"));
        assert!(
            dash.contains("segment count 5") && dash.contains("https://a.example/3") && !dash.contains("https://a.example/4"),
            "{dash}"
        );
        let indexed = text(
            r#"<MPD mediaPresentationDuration="PT20S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="v">
            <BaseURL>v.mp4</BaseURL><SegmentBase indexRange="10-99"/></Representation></AdaptationSet></Period></MPD>"#,
        );
        assert!(indexed.contains("segments as listed at range 10-99, url https://a.example/v.mp4"), "{indexed}");
        assert!(indexed.contains("duration 20.0") && !indexed.contains("segment count"), "{indexed}");
        let parts = text(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PART-INF:PART-TARGET=0.5\n#EXTINF:4,\ns\n#EXT-X-PART:DURATION=0.5,URI=\"p\"\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q\",BYTERANGE-START=5\n",
        );
        assert!(parts.contains("part target 0.5") && parts.contains("Parts (1)") && parts.contains("https://a.example/p"), "{parts}");
        assert!(parts.contains("Preload hints (1)") && parts.contains("range 5-,"), "{parts}");
        let problem = |text: &[u8]| Contents::read(text, "https://a.example/x").err().unwrap();
        assert!(problem(b"<html></html>").contains("not an MPD"));
        assert!(!problem(b"hello").is_empty());
    }
}
