//! `cargo xtask test`: everything that must hold, in Rust, in TypeScript, and in real browsers.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{Failure, built_program, cargo, root, run};
use crate::{WASM, npm, tidy, wasm, wasm_bindgen};

/// The driver that wasm-bindgen's runner opens Chromium with (Debian: chromium-driver).
const CHROMEDRIVER: &str = "/usr/bin/chromedriver";

/// All of it, or what is named: `rust`, or `browser` and names of files there.
pub(crate) fn run_command(arguments: &[String]) -> Result<(), Failure> {
    match arguments {
        [] => {
            rust()?;
            browser(&[])
        }
        [what] if what == "rust" => rust(),
        [what, files @ ..] if what == "browser" => browser(files),
        _ => Err(Failure("test what? nothing for all, rust, or browser [FILE…]".to_owned())),
    }
}

fn rust() -> Result<(), Failure> {
    tidy::run()?;
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])?;
    cargo(&["check", "--target", WASM, "-p", "p2p-media-core", "-p", "p2p-media-hls", "-p", "p2p-media-dash"], &[])?;
    cargo(&["test", "--workspace", "--no-fail-fast"], &[])?;
    // The other one of the two modules for pages.
    let manifests = ["--package", "p2p-media-wasm", "--features", "manifests"];
    cargo(&[&["clippy", "--all-targets"], &manifests[..], &["--", "--deny", "warnings"]].concat(), &[])?;
    cargo(&[&["test"], &manifests[..]].concat(), &[])?;
    cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"], &[("RUSTDOCFLAGS", "--deny warnings")])
}

/// The package is built, its TypeScript tested by itself, its backends in Chromium, and pages that use it in Chromium and Firefox.
fn browser(files: &[String]) -> Result<(), Failure> {
    wasm::run_command()?;
    if files.is_empty() {
        eprintln!("$ node --test p2p-media-wasm/js/test");
        node_test(&test_files(&root().join("p2p-media-wasm/js/test"), &[])?, |_| ())?;
        backends()?;
    }
    let program = built_program()?;
    let folder = root().join("xtask/browser");
    npm::install(&folder)?;
    npm::install(&root().join("examples/web"))?;
    let tests = folder.join("tests");
    let only: Vec<PathBuf> = files.iter().map(|name| tests.join(format!("{name}.test.mjs"))).collect();
    let package = wasm::package_folder();
    let mut failed = Vec::new();
    for file in test_files(&tests, &only)? {
        let run = || {
            eprintln!("$ node --test {}", file.display());
            node_test(std::slice::from_ref(&file), |command| {
                command.env("P2P_MEDIA_PROGRAM", &program).env("P2P_MEDIA_PACKAGE", &package);
            })
        };
        // Browsers that starve on a busy machine are no finding: what fails twice is one.
        if run().is_err() && run().is_err() {
            failed.push(file.display().to_string());
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure(format!("tests in browsers failed twice: {}", failed.join(", ")))),
    }
}

/// The unit tests of the wasm crate, in headless Chromium.
fn backends() -> Result<(), Failure> {
    let runner = wasm_bindgen::installed()?.join("wasm-bindgen-test-runner");
    let driver = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| CHROMEDRIVER.to_owned());
    if !Path::new(&driver).exists() {
        return Err(Failure(format!("{driver} is missing: it comes with Debian's chromium-driver, or say with $CHROMEDRIVER where it is")));
    }
    let runner = runner.to_string_lossy();
    let environment = [("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", &*runner), ("CHROMEDRIVER", &driver)];
    cargo(&["test", "--target", WASM, "-p", "p2p-media-wasm", "--lib"], &environment)
}

/// All test files of a folder, or only those.
fn test_files(folder: &Path, only: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = only.to_vec();
    if files.is_empty() {
        let entries = std::fs::read_dir(folder).map_err(|error| Failure(format!("{}: {error}", folder.display())))?;
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(".test.mjs")));
        files.sort();
    }
    Ok(files)
}

/// Runs tests, one file after the other: pages that play share the machine's cores.
fn node_test(files: &[PathBuf], set: impl FnOnce(&mut Command)) -> Result<(), Failure> {
    let mut command = Command::new("node");
    command.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]).args(files);
    set(&mut command);
    run(&mut command, "node --test")
}
