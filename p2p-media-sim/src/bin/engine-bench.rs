//! Prints what one engine takes for its decisions: `engine-bench [--json FILE]`. Fails when a limit is exceeded.

use std::process::ExitCode;

use p2p_media_sim::engine_bench::measure;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let file = match arguments.as_slice() {
        [] => None,
        [option, file] if option == "--json" => Some(file),
        _ => {
            eprintln!("usage: engine-bench [--json FILE]");
            return ExitCode::from(2);
        }
    };
    let figures = measure();
    print!("{figures}");
    if let Some(file) = file
        && let Err(error) = std::fs::write(file, figures.to_json())
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::from(2);
    }
    if figures.are_within_limits() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
