//! Chores of the project, started with `cargo xtask`. See `cargo xtask help`.

mod cargo;
mod demo;
mod npm;
mod test;
mod tidy;
mod wasm;
mod wasm_bindgen;
mod wasm_size;
mod web;

use std::process::ExitCode;

use cargo::{Failure, cargo, program};

const HELP: &str = "\
cargo xtask COMMAND [ARGUMENTS]

  demo [ARGS]        Origin, tracker and viewers on this machine, over real WebRTC (see `cargo xtask demo --help`)
  test               Everything that must hold: format, lints, tests, documentation, tidiness, and the package in real browsers
                     (`test rust` leaves those out; `test browser [FILE…]` runs nothing else, or some files of xtask/browser/tests)
  wasm               Make the npm package for web pages in target/npm/p2p-media (needs Node.js 20 or newer)
  web [--port N]     Serve the example pages, streams to play and a tracker, to open in a browser (--host ADDR for other machines too)
  bench NAME [ARGS]  Measure: transport, engine, tracker, memory, manifest, wasm or web (the first five take --json FILE; web needs ffmpeg)
  fuzz NAME [SECS]   Feed a reader what nobody should send it: hls, mpd, sidx or peer_messages (needs nightly Rust and cargo-fuzz)
  interop ARGS       Beside official JS players, given the folder of a rig that runs them: --rig DIR [--case NAMES] [--tracker official|ours]
  tidy               The project's own rules: file lengths, headings, what the core may depend on
  help               This text
";

/// The browser: what knows no platform is built for it too (`rustup target add wasm32-unknown-unknown`).
const WASM: &str = "wasm32-unknown-unknown";

/// What `cargo xtask fuzz` can run: the binaries of `fuzz/`.
const FUZZ_TARGETS: [&str; 4] = ["hls", "mpd", "sidx", "peer_messages"];
const DEFAULT_FUZZ_SECONDS: u32 = 600;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_else(|| "help".to_owned());
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_str() {
        "demo" => demo::run_command(&rest),
        "test" => test::run_command(&rest),
        "wasm" => wasm::run_command(),
        "web" => web::run_command(&rest),
        "bench" => bench(&rest),
        "fuzz" => fuzz(&rest),
        "interop" => cargo::node_with_program(&cargo::root().join("xtask/interop/official.mjs"), &rest),
        "tidy" => tidy::run(),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(Failure(format!("unknown command {other:?}; `cargo xtask help` lists them"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(what)) => {
            eprintln!("xtask: {what}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure("bench what? transport, engine, tracker, memory, manifest, wasm or web".to_owned()));
    };
    let rest = rest.iter().map(String::as_str);
    match name.as_str() {
        "engine" => bench_binary("p2p-media-sim", "engine-bench", rest),
        "manifest" => bench_binary("manifest-bench", "manifest-bench", rest),
        "wasm" => wasm_size::run(),
        "web" => web::bench(&arguments[1..]),
        "transport" | "tracker" | "memory" => {
            let mut all = vec!["bench", name.as_str()];
            all.extend(rest);
            program(&all)
        }
        other => Err(Failure(format!("no bench is called {other:?}: transport, engine, tracker, memory, manifest, wasm or web"))),
    }
}

fn fuzz(arguments: &[String]) -> Result<(), Failure> {
    let (name, seconds) = match arguments {
        [name] if FUZZ_TARGETS.contains(&name.as_str()) => (name, DEFAULT_FUZZ_SECONDS),
        [name, seconds] if FUZZ_TARGETS.contains(&name.as_str()) => {
            (name, seconds.parse().map_err(|_| Failure(format!("{seconds:?} is no number of seconds")))?)
        }
        _ => return Err(Failure(format!("fuzz what? {}", FUZZ_TARGETS.join(", ")))),
    };
    cargo::fuzz(name, seconds)
}

fn bench_binary<'a>(package: &'a str, binary: &'a str, arguments: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let mut all = vec!["run", "--release", "--quiet", "--package", package, "--bin", binary, "--"];
    all.extend(arguments);
    cargo(&all, &[])
}
