//! The project's own rules that no other tool holds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo::{Failure, root};

/// Longer files hold more than one idea.
const MAX_LINES: usize = 520;
/// What the core must not depend on: it knows no platform and no manifest format.
const NOT_IN_CORE: [&str; 12] = [
    "tokio",
    "reqwest",
    "webrtc",
    "web-sys",
    "js-sys",
    "url",
    "p2p-media-hls",
    "p2p-media-dash",
    "quick-m3u8",
    "quick-xml",
    "rand",
    "getrandom",
];
/// Only the driver calls backends: the traits' names appear nowhere else in the core.
const BACKEND_TRAITS: [&str; 5] = ["HttpFetcher", "PeerTransport", "DataChannel", "TrackerConnection", "SegmentStorage"];
/// Marks of unfinished work.
const UNFINISHED: [&str; 4] = ["todo!(", "unimplemented!(", "#[ignore", "FIXME"];
/// The same in JavaScript and TypeScript.
const UNFINISHED_SCRIPT: [&str; 6] = ["TODO", "FIXME", "@ts-ignore", "@ts-nocheck", ".only(", ".skip("];
/// What the names of scripts end in.
const SCRIPTS: [&str; 3] = [".ts", ".mjs", ".js"];
/// Folders with files that somebody else wrote, or a program.
const FOREIGN: [&str; 3] = ["target", "node_modules", "generated"];

pub(crate) fn run() -> Result<(), Failure> {
    let root = root();
    let mut problems = Vec::new();
    let mut files = Vec::new();
    source_files(&root, &mut files);
    for (extension, least) in [("rs", 50), ("ts", 20), ("mjs", 10)] {
        let found = files.iter().filter(|file| file.extension().is_some_and(|is| is == extension)).count();
        if found < least {
            problems.push(format!("only {found} files *.{extension} found: the rules were not really checked"));
        }
    }
    for file in &files {
        let text = fs::read_to_string(file).map_err(|error| Failure(format!("{}: {error}", file.display())))?;
        let path = file.strip_prefix(&root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        check_file(&path, &text, &mut problems);
    }
    let manifest =
        fs::read_to_string(root.join("p2p-media-core/Cargo.toml")).map_err(|error| Failure(format!("core manifest: {error}")))?;
    for line in manifest.lines() {
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if NOT_IN_CORE.contains(&name) {
            problems.push(format!("p2p-media-core/Cargo.toml: the core must not depend on {name}"));
        }
    }
    if problems.is_empty() {
        println!("tidy: {} files are in order", files.len());
        return Ok(());
    }
    Err(Failure(format!("tidy found {} problems:\n  {}", problems.len(), problems.join("\n  "))))
}

fn check_file(path: &str, text: &str, problems: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{path}: {lines} lines, more than {MAX_LINES}"));
    }
    if !path.ends_with(".rs") {
        if !["// ", "/** ", "/**\n"].iter().any(|start| text.starts_with(start)) {
            problems.push(format!("{path}: begins without a comment that says what the file is for"));
        }
        problems.extend(UNFINISHED_SCRIPT.iter().filter(|mark| text.contains(**mark)).map(|mark| format!("{path}: holds {mark:?}")));
        return;
    }
    if !text.starts_with("//!") {
        problems.push(format!("{path}: begins without a //! line that says what the file is for"));
    }
    if path != "xtask/src/tidy.rs" {
        problems.extend(UNFINISHED.iter().filter(|mark| text.contains(**mark)).map(|mark| format!("{path}: holds {mark:?}")));
    }
    let is_driver_side = ["p2p-media-core/src/driver", "p2p-media-core/src/backend.rs"].iter().any(|start| path.starts_with(start));
    if path.starts_with("p2p-media-core/src/engine") && !is_driver_side {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            problems
                .extend(BACKEND_TRAITS.iter().filter(|name| line.contains(**name)).map(|name| format!("{path}: the engine names {name}")));
        }
    }
}

fn source_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if !FOREIGN.contains(&name.as_str()) && !name.starts_with('.') {
                source_files(&path, files);
            }
        } else if name.ends_with(".rs") || SCRIPTS.iter().any(|end| name.ends_with(end)) {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_what_it_forbids() {
        let found = |path: &str, text: &str| {
            let mut problems = Vec::new();
            check_file(path, text, &mut problems);
            problems.len()
        };
        assert_eq!(found("a.rs", "//! Fine.\n"), 0);
        assert_eq!(found("a.rs", "fn f() {}\n"), 1);
        assert_eq!(found("a.rs", &"//! Long.\n".repeat(MAX_LINES + 1)), 1);
        assert_eq!(found("a.rs", "//! Later.\nfn f() { todo!() }\n"), 1);
        assert_eq!(found("a.ts", "/** Fine. */\n"), 0);
        assert_eq!(found("a.mjs", "import a from \"a\";\n"), 1);
        assert_eq!(found("a.js", "// Later.\n// TODO\n"), 1);
        assert_eq!(found("p2p-media-core/src/engine/a.rs", "//! Bad.\nuse crate::backend::HttpFetcher;\n"), 1);
    }
}
