//! `cargo xtask bench wasm`: what the manifest crates add to a page, in bytes of gzipped wasm.

use std::path::Path;
use std::process::Command;

use crate::WASM;
use crate::cargo::{Failure, cargo, target_folder};

/// Programs of the `wasm-size` package, and what each is about; the first is the base that is subtracted.
const PROGRAMS: [(&str, &str); 5] = [
    ("size-nothing", "nothing"),
    ("size-url", "url alone"),
    ("size-hls", "p2p-media-hls"),
    ("size-dash", "p2p-media-dash"),
    ("size-both", "both"),
];

pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["build", "--quiet", "--package", "wasm-size", "--bins", "--target", WASM, "--profile", "wasm"], &[])?;
    let folder = target_folder().join(WASM).join("wasm");
    let mut base = None;
    println!("{:<16} {:>12} {:>12}", "", "wasm bytes", "gzipped");
    for (program, about) in PROGRAMS {
        let file = folder.join(format!("{program}.wasm"));
        let size = std::fs::metadata(&file).map_err(|error| Failure(format!("{}: {error}", file.display())))?.len();
        let gzipped = gzipped(&file)?;
        match base {
            None => base = Some((size, gzipped)),
            Some((base_size, base_gzipped)) => {
                println!("{about:<16} {:>+12} {:>+12}", size.saturating_sub(base_size), gzipped.saturating_sub(base_gzipped));
            }
        }
    }
    Ok(())
}

fn gzipped(file: &Path) -> Result<u64, Failure> {
    let output = Command::new("gzip").args(["-9", "--stdout"]).arg(file).output();
    match output {
        Ok(output) if output.status.success() => Ok(output.stdout.len() as u64),
        Ok(output) => Err(Failure(format!("gzip failed ({})", output.status))),
        Err(error) => Err(Failure(format!("cannot run gzip: {error}"))),
    }
}
