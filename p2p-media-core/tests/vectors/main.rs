//! Identity and protocols against vectors recorded from the official packages (see `tests/fixtures/README.md`), and their properties.

mod identity;
mod peer_behaviour;
mod properties;
mod session;
mod tracker;
mod wire;

use p2p_media_core::media::SegmentId;
use p2p_media_core::peer_protocol::{Command, RequestId};
use serde_json::Value;

/// The rows of a section of a fixture.
fn rows(fixture: &str, section: &str) -> Vec<Value> {
    let fixture: Value = serde_json::from_str(fixture).expect("a fixture is JSON");
    fixture[section].as_array().expect("a section is a list").clone()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("no text {field} in {row}"))
}

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn frames(row: &Value) -> Vec<Vec<u8>> {
    row["frames"].as_array().expect("frames").iter().map(|frame| bytes_of_hex(frame.as_str().expect("hex"))).collect()
}

/// A command as the fixtures have it; `None` when it lacks what ours must have.
fn command(value: &Value) -> Option<Command> {
    let segment = || value["i"].as_i64().map(SegmentId);
    let request = || value["r"].as_u64().map(RequestId);
    Some(match value["c"].as_u64()? {
        0 => Command::Announcement { loaded: ids(&value["l"])?, loading: ids(&value["p"])?, relaying: None },
        1 => {
            let first_byte = value["b"].as_u64().unwrap_or(0);
            Command::Request { segment: segment()?, request: request()?, first_byte, last_byte: None }
        }
        2 => Command::Data { segment: segment()?, request: request()?, remaining: Some(value["s"].as_u64()?) },
        3 => Command::Completed { segment: segment()?, request: request()? },
        4 => Command::Absent { segment: segment()?, request: request()? },
        5 => Command::Cancel { segment: segment()?, request: request()? },
        code => Command::Unknown { code: code as u8 },
    })
}

fn ids(runs: &Value) -> Option<Vec<SegmentId>> {
    let Some(runs) = runs.as_array() else { return runs.is_null().then(Vec::new) };
    let run = |run: &Value| {
        let ends = run.as_array().map(|ends| (ends[0].as_i64(), ends[1].as_i64())).unwrap_or((run.as_i64(), run.as_i64()));
        (ends.0.expect("an id")..=ends.1.expect("an id")).map(SegmentId)
    };
    Some(runs.iter().flat_map(run).collect())
}

/// As the decoder gives it: ids sorted, each once.
fn decoded(command: Command) -> Command {
    match command {
        Command::Announcement { mut loaded, mut loading, mut relaying } => {
            for ids in [Some(&mut loaded), Some(&mut loading), relaying.as_mut()].into_iter().flatten() {
                ids.sort();
                ids.dedup();
            }
            Command::Announcement { loaded, loading, relaying }
        }
        other => other,
    }
}
