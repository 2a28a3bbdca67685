//! `cargo xtask wasm`: the npm package for web pages, in `target/npm/p2p-media`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{Failure, cargo, root, run, target_folder};
use crate::{WASM, npm, wasm_bindgen};

/// The wasm modules: each is the crate built with the feature of that name.
const MODULES: [&str; 2] = ["engine", "manifests"];
/// What the crate is called as a file.
const CRATE_FILE: &str = "p2p_media_wasm.wasm";
/// What rustc assumes of every browser; wasm-opt must assume no less and need add no more.
const WASM_FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// What wasm-opt does. Its own choice, -Oz, makes a module that is smaller as it is (the manifest readers: 460 KB for 489) but larger when it
/// is gzipped (211 KB for 204), and takes much longer; these make both smaller, in seconds.
const WASM_OPT_PASSES: [&str; 22] = [
    "--dce",
    "--remove-unused-module-elements",
    "--duplicate-function-elimination",
    "--dae",
    "--remove-unused-brs",
    "--remove-unused-names",
    "--merge-blocks",
    "--vacuum",
    "--optimize-instructions",
    "--precompute-propagate",
    "--coalesce-locals",
    "--reorder-locals",
    "--rse",
    "--vacuum",
    "--remove-unused-brs",
    "--merge-blocks",
    "--optimize-instructions",
    "--remove-unused-names",
    "--merge-blocks",
    "--vacuum",
    "--strip-debug",
    "--strip-producers",
];

/// Builds the package anew from what the sources are now.
pub(crate) fn run_command() -> Result<(), Failure> {
    let js = root().join("p2p-media-wasm/js");
    npm::install(&js)?;
    let wasm_bindgen = wasm_bindgen::installed()?.join("wasm-bindgen");
    // Of its own, so that it waits for no other build.
    let build_folder = target_folder().join("npm/build");
    let folder = ["--target-dir", &build_folder.to_string_lossy()];
    let glue = target_folder().join("npm/wasm-bindgen");
    remove_folder(&glue)?;
    let flags = without_paths_of_this_machine();
    for module in MODULES {
        let features = ["--no-default-features", "--features", module];
        let package = ["build", "--package", "p2p-media-wasm", "--lib", "--target", WASM, "--profile", "wasm"];
        // Without debugging information, but with the list of what the code needs of a browser: wasm-bindgen reads it.
        let environment = [("CARGO_PROFILE_WASM_STRIP", "debuginfo"), ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags.as_str())];
        cargo(&[&package[..], &features[..], &folder[..]].concat(), &environment)?;
        let built = build_folder.join(WASM).join("wasm").join(CRATE_FILE);
        let arguments = ["--target", "web", "--omit-default-module-path", "--out-name", module, "--out-dir"];
        run(Command::new(&wasm_bindgen).args(arguments).arg(&glue).arg(built), "wasm-bindgen")?;
        optimize(module, &glue.join(format!("{module}_bg.wasm")), &glue.join(format!("{module}.wasm")), &js)?;
    }
    // Only now, so that what the sources import is there while it is made anew.
    let generated = js.join("generated");
    remove_folder(&generated)?;
    rename(&glue, &generated)?;
    let (package, unfinished) = (package_folder(), target_folder().join("npm/unfinished"));
    npm::node(&js.join("build.mjs"), &["--out", &unfinished.to_string_lossy(), "--version", &workspace_version()?])?;
    remove_folder(&package)?;
    rename(&unfinished, &package)?;
    println!("The npm package is in {}", package.display());
    npm::node(&js.join("sizes.mjs"), &[&package.to_string_lossy()])
}

/// Options of rustc that leave out where this machine keeps sources: the places of panics name them in the module, some hundred bytes of it.
fn without_paths_of_this_machine() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registries = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok()).into_iter().flatten().flatten();
    let folders = registries.map(|folder| folder.path()).chain([root()]);
    let flags = folders.map(|folder| format!("--remap-path-prefix={}/=", folder.display()));
    // Of a folder with a space in its name only this nicety is lost.
    flags.filter(|flag| !flag.contains(' ')).collect::<Vec<_>>().join(" ")
}

/// Where the package is made.
pub(crate) fn package_folder() -> PathBuf {
    target_folder().join("npm/p2p-media")
}

/// Makes `from` smaller. What the last run made of the same bytes in the same way is taken again, for this is what takes longest.
fn optimize(module: &str, from: &Path, to: &Path, js: &Path) -> Result<(), Failure> {
    let kept = target_folder().join("npm/wasm-opt");
    let (input, output) = (kept.join(format!("{module}.input.wasm")), kept.join(format!("{module}.wasm")));
    let (passes, passes_file) = (WASM_OPT_PASSES.join(" "), kept.join(format!("{module}.passes")));
    let is_kept = output.exists() && fs::read_to_string(&passes_file).is_ok_and(|kept| kept == passes);
    let read = |path: &Path| fs::read(path).map_err(|error| Failure(format!("{}: {error}", path.display())));
    let copy = |from: &Path, to: &Path| fs::copy(from, to).map_err(|error| Failure(format!("{}: {error}", to.display())));
    if !is_kept || read(from)? != read(&input)? {
        fs::create_dir_all(&kept).map_err(|error| Failure(format!("{}: {error}", kept.display())))?;
        eprintln!("$ wasm-opt {module}");
        let program = js.join("node_modules/binaryen/bin/wasm-opt");
        let mut command = Command::new("node");
        command.arg(program).args(WASM_OPT_PASSES).args(WASM_FEATURES).arg(from).arg("-o").arg(&output);
        run(&mut command, "wasm-opt")?;
        copy(from, &input)?;
        fs::write(&passes_file, passes).map_err(|error| Failure(format!("{}: {error}", passes_file.display())))?;
    }
    copy(&output, to)?;
    fs::remove_file(from).map_err(|error| Failure(format!("{}: {error}", from.display())))
}

/// What all crates are released as, and so the package.
fn workspace_version() -> Result<String, Failure> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).map_err(|error| Failure(format!("Cargo.toml: {error}")))?;
    let mut lines = manifest.lines().skip_while(|line| *line != "[workspace.package]");
    let version = lines.find_map(|line| line.strip_prefix("version = \"")).and_then(|line| line.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| Failure("Cargo.toml gives the workspace no version".to_owned()))
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::rename(from, to).map_err(|error| Failure(format!("{}: {error}", to.display())))
}

fn remove_folder(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure(format!("{}: {error}", folder.display()))),
        _ => Ok(()),
    }
}
