//! The npm packages that a folder of the project names, and Node.js.

use std::path::Path;
use std::process::Command;

use crate::cargo::{Failure, run};

/// What npm writes when it is done: as old as the last installation.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// Installs exactly what the folder's lockfile says, unless that was done already.
pub(crate) fn install(folder: &Path) -> Result<(), Failure> {
    let modified = |name: &str| std::fs::metadata(folder.join(name)).and_then(|file| file.modified()).ok();
    if modified(INSTALLED) > modified("package-lock.json") && modified(INSTALLED) > modified("package.json") {
        return Ok(());
    }
    eprintln!("$ npm ci ({})", folder.display());
    // Nothing that is used here needs its install script.
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run(Command::new("npm").args(arguments).current_dir(folder), "npm ci (it comes with Node.js 20 or newer)")
}

/// Runs a script with Node.js in its folder.
pub(crate) fn node(script: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let folder = script.parent().unwrap_or(Path::new("."));
    let name = script.file_name().unwrap_or_default().to_string_lossy();
    run(Command::new("node").arg(script).args(arguments).current_dir(folder), &format!("node {name}"))
}
