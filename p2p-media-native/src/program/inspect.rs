//! `p2p-media inspect`: what a manifest means, as text for people or JSON for programs.

use std::io::{Read as _, Write as _};
use std::path::Path;

use p2p_media_core::identity::manifest_swarm_base;
use p2p_media_hls::{Playlist, Variables, inspect as hls, parse};
use serde_json::{Value, json};

use super::ProgramError;
use super::shared_options::SharedOptions;
use crate::http_fetcher::ReqwestFetcher;
use crate::manifest_fetch::{MAX_MANIFEST_BYTES, fetch_manifest};

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
}

/// Prints the report. With `--json` an error is printed as JSON too.
///
/// # Errors
/// When the manifest cannot be read or is none.
pub async fn run(args: InspectArgs) -> Result<(), ProgramError> {
    let outcome = report(&args).await;
    let text = match (&outcome, args.json) {
        (Ok(report), true) => serde_json::to_string(report).map_err(|error| ProgramError::Output(error.to_string()))?,
        (Ok(report), false) => as_text(report),
        (Err(error), true) => json!({ "error": error.to_string() }).to_string(),
        (Err(_), false) => String::new(),
    };
    let mut out = std::io::stdout().lock();
    // A reader that goes away early, such as `head`, is no failure.
    if !text.is_empty() && writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()).is_err() {
        return Ok(());
    }
    match outcome {
        Ok(_) => Ok(()),
        Err(_) if args.json => Err(ProgramError::AlreadyReported),
        Err(error) => Err(error),
    }
}

async fn report(args: &InspectArgs) -> Result<Value, ProgramError> {
    let is_url = args.manifest.starts_with("http://") || args.manifest.starts_with("https://");
    let (bytes, fetched_from) = if is_url { fetch(&args.manifest).await? } else { (read_file(&args.manifest)?, None) };
    let own_url = match (&args.base_url, fetched_from) {
        (Some(url), _) => url.clone(),
        (None, Some(url)) => url,
        (None, None) => file_url(&args.manifest)?,
    };
    let playlist = parse(&bytes, &own_url, &Variables::default())
        .map_err(|error| ProgramError::Manifest { manifest: args.manifest.clone(), problem: error.to_string() })?;
    let options = SharedOptions::default().config(true)?;
    let base = args.swarm_id.as_deref().unwrap_or_else(|| manifest_swarm_base(&own_url));
    let naming = hls::SwarmNaming { label: &options.protocol_version_label, base };
    let report = serde_json::to_value(hls::report(&playlist, &own_url, naming)).map_err(|error| ProgramError::Output(error.to_string()))?;
    if let (Playlist::Media(_), None, false) = (&playlist, &args.swarm_id, args.json) {
        tracing::info!("swarm ids are those of a player that opened this media playlist by itself");
    }
    Ok(report)
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
    let mut text = format!("{} {} playlist\n", word(&report["format"]).to_uppercase(), word(&report["kind"]));
    for (list, title) in [("variants", "Variants"), ("renditions", "Renditions"), ("segments", "Segments")] {
        let Some(items) = report[list].as_array().filter(|items| !items.is_empty()) else { continue };
        text += &format!("\n{title} ({})\n", items.len());
        for item in items {
            text += &format!("  {}\n", one_line(item));
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
            Value::Null | Value::Array(_) => {}
            Value::Object(_) if name == "stream" => parts.push(format!("[{}]", one_line(value))),
            Value::Object(_) => {}
            value => parts.push(format!("{} {}", name.replace('_', " "), word(value))),
        }
    }
    parts.join(", ")
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
