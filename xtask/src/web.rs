//! `cargo xtask web`: the example pages, with all that they need on this machine.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo::{Failure, built_program, root, run};
use crate::{npm, wasm};

/// Serves until Ctrl-C.
pub(crate) fn run_command(arguments: &[String]) -> Result<(), Failure> {
    wasm::run_command()?;
    let script = pages_server()?;
    let (program, package) = (built_program()?, wasm::package_folder());
    let (program, package) = (program.to_string_lossy(), package.to_string_lossy());
    let mut all = vec!["--program", &program, "--package", &package];
    all.extend(arguments.iter().map(String::as_str));
    npm::node(&script, &all)
}

/// What sharing costs a page, beside the official library.
pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    wasm::run_command()?;
    let folder = root().join("xtask/browser");
    npm::install(&folder)?;
    let mut command = Command::new("node");
    command.arg(folder.join("bench.mjs")).args(arguments);
    command.env("P2P_MEDIA_PROGRAM", built_program()?).env("P2P_MEDIA_PACKAGE", wasm::package_folder());
    run(&mut command, "node")
}

/// The script that serves the pages, when the players that they use are there.
pub(crate) fn pages_server() -> Result<PathBuf, Failure> {
    npm::install(&root().join("examples/web"))?;
    Ok(root().join("xtask/browser/web.mjs"))
}
