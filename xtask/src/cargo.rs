//! Running cargo and the project's program, in the root of the project.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What went wrong, for a person to read.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// The project's root.
pub(crate) fn root() -> PathBuf {
    // xtask is a folder of the root.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Runs cargo with these arguments and environment variables.
pub(crate) fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), Failure> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    eprintln!("$ cargo {}", arguments.join(" "));
    run(
        Command::new(cargo).args(arguments).envs(environment.iter().copied()).current_dir(root()),
        &format!("cargo {}", arguments.join(" ")),
    )
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs the `p2p-media` program, built in release, in the caller's folder.
pub(crate) fn program(arguments: &[&str]) -> Result<(), Failure> {
    run(Command::new(built_program()?).args(arguments), "p2p-media")
}

/// Runs a script with Node.js in the caller's folder, and tells it where the program is, built in release.
pub(crate) fn node_with_program(script: &Path, arguments: &[String]) -> Result<(), Failure> {
    let program = built_program()?;
    run(Command::new("node").arg(script).arg("--program").arg(program).args(arguments), "node")
}

/// Runs a fuzz target for so many seconds, from the seeds and what earlier runs have found.
pub(crate) fn fuzz(name: &str, seconds: u32) -> Result<(), Failure> {
    /// One input that takes longer is a finding.
    const TIMEOUT_SECONDS: u32 = 10;
    /// A run that takes more memory is a finding.
    const MEMORY_LIMIT_MIB: u32 = 1024;
    let folder = root().join("fuzz");
    let found = format!("corpus/{name}");
    std::fs::create_dir_all(folder.join(&found)).map_err(|error| Failure(format!("{found}: {error}")))?;
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", "run", "--fuzz-dir", ".", name, &found, &format!("corpus-seeds/{name}"), "--"]);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-timeout={TIMEOUT_SECONDS}"));
    command.arg(format!("-rss_limit_mb={MEMORY_LIMIT_MIB}"));
    let dictionary = format!("dictionaries/{name}.dict");
    if folder.join(&dictionary).exists() {
        command.arg(format!("-dict={dictionary}"));
    }
    run(command.current_dir(folder), &format!("fuzzing {name}"))
}

/// Builds the program in release, and gives its path.
pub(crate) fn built_program() -> Result<PathBuf, Failure> {
    cargo(&["build", "--release", "--package", "p2p-media-native", "--bin", "p2p-media"], &[])?;
    Ok(target_folder().join("release").join(format!("p2p-media{}", std::env::consts::EXE_SUFFIX)))
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command, name: &str) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!("{name} failed ({status})"))),
        Err(error) => Err(Failure(format!("cannot run {name}: {error}"))),
    }
}
