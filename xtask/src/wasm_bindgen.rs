//! The wasm-bindgen programs, in exactly the version of the library that Cargo.lock names: others refuse what it made.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{Failure, cargo, root, target_folder};

/// The folder of `wasm-bindgen` and `wasm-bindgen-test-runner`, built there when the machine has none of that version.
pub(crate) fn installed() -> Result<PathBuf, Failure> {
    let version = locked_version()?;
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let own = target_folder().join("tools");
    let fits = |folder: &PathBuf| has_version(folder, &version);
    if let Some(folder) = std::env::split_paths(&on_path).chain([own.join("bin")]).find(fits) {
        return Ok(folder);
    }
    eprintln!("wasm-bindgen {version} is not installed: building it, once, in a few minutes");
    let own_folder = own.to_string_lossy();
    // Without TLS, which only its server for tests by hand has a use for.
    cargo(&["install", "wasm-bindgen-cli", "--version", &version, "--no-default-features", "--root", &own_folder], &[])?;
    Ok(own.join("bin"))
}

fn locked_version() -> Result<String, Failure> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).map_err(|error| Failure(format!("Cargo.lock: {error}")))?;
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"wasm-bindgen\"");
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")).and_then(|line| line.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| Failure("Cargo.lock names no wasm-bindgen".to_owned()))
}

fn has_version(folder: &Path, version: &str) -> bool {
    let output = Command::new(folder.join("wasm-bindgen")).arg("--version").output();
    // As "wasm-bindgen 0.2.130".
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1) == Some(version))
        && folder.join(format!("wasm-bindgen-test-runner{}", std::env::consts::EXE_SUFFIX)).exists()
}
