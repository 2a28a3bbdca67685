//! `cargo xtask demo`: the program's demo with the project's sample, and a page to join it from a browser.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::cargo::{Failure, program, root};
use crate::{wasm, web};

/// Runs the demo to its end.
pub(crate) fn run_command(arguments: &[String]) -> Result<(), Failure> {
    let media = root().join("examples/media");
    let media = media.to_string_lossy();
    let mut all = vec!["demo", "--media", &media];
    let asks_only = arguments.iter().any(|argument| ["--help", "-h", "--page"].contains(&argument.as_str()));
    let pages = if asks_only { None } else { Pages::serve()? };
    // The page with the player for what is played.
    let player = if arguments.iter().any(|argument| argument.ends_with("dash")) { "shaka.html" } else { "hlsjs.html" };
    let page = pages.as_ref().map(|pages| format!("http://127.0.0.1:{}/{player}", pages.port));
    if let Some(page) = &page {
        all.extend(["--page", page]);
    }
    all.extend(arguments.iter().map(String::as_str));
    program(&all)
}

/// The server of the example pages; it ends when this is dropped.
struct Pages {
    port: u16,
    process: Child,
}

impl Pages {
    /// None where the package has not been built: that takes longer than somebody who wants to see a demo may wait.
    fn serve() -> Result<Option<Self>, Failure> {
        let package = wasm::package_folder();
        if !package.join("package.json").exists() {
            println!("To watch along in a browser, run `cargo xtask wasm` first.");
            return Ok(None);
        }
        let script = web::pages_server()?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.map_err(|error| Failure(format!("no port is free: {error}")))?.port();
        let mut command = Command::new("node");
        command.arg(script).arg("--pages-only").arg("--package").arg(package).args(["--port", &port.to_string()]);
        // It ends with its standard input.
        let process = command.stdin(Stdio::piped()).spawn().map_err(|error| Failure(format!("cannot run node: {error}")))?;
        Ok(Some(Self { port, process }))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // Whether it ended well is nobody's business any more.
        let _ = self.process.wait();
    }
}
