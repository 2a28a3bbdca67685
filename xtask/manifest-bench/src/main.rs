//! Prints what a long live manifest costs: `manifest-bench [--json FILE]`. Fails when a limit is exceeded.

mod measure;

use std::process::ExitCode;

use measure::{RETAINED_OPTION, measure, measure_retained};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let file = match arguments.as_slice() {
        [] => None,
        [option, file] if option == "--json" => Some(file),
        [option, manifest, name] if option == RETAINED_OPTION => return print_retained(manifest, name),
        _ => {
            eprintln!("usage: manifest-bench [--json FILE]");
            return ExitCode::from(2);
        }
    };
    let figures = match measure() {
        Ok(figures) => figures,
        Err(error) => {
            eprintln!("manifest-bench: {error}");
            return ExitCode::from(2);
        }
    };
    print!("{figures}");
    if let Some(file) = file
        && let Err(error) = std::fs::write(file, figures.to_json())
    {
        eprintln!("cannot write {file}: {error}");
        return ExitCode::from(2);
    }
    if figures.are_within_limits() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the program asks of itself, see [`RETAINED_OPTION`].
fn print_retained(manifest: &str, name: &str) -> ExitCode {
    match measure_retained(manifest, name) {
        Ok(mib) => println!("{}", mib.map(|mib| mib.to_string()).unwrap_or_default()),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
