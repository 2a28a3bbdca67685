//! A tracker in a process of its own, with its memory and its processor time as Linux reports them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// The core of the server, and that of the load.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";

/// `/proc` counts processor time in these: `USER_HZ`, 100 on every Linux architecture in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long a server may take until it says where it listens.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Time for a garbage collector to do its work when asked.
const COLLECT_PATIENCE: Duration = Duration::from_secs(2);

/// Why a server cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    #[error("{program} cannot be run: {source}")]
    Spawn { program: String, source: std::io::Error },
    #[error("{0} does not exist")]
    NoScript(PathBuf),
    #[error("npm install {package} failed: {reason}")]
    Install { package: String, reason: String },
    #[error("it did not say where it listens")]
    NotListening,
    #[error("/proc says nothing about it: it has ended, or this is not Linux")]
    NoProc,
}

/// A running server; it ends when this is dropped.
pub(super) struct ServerProcess {
    command: Vec<String>,
    child: Child,
    address: SocketAddr,
    // Kept open: a server that writes to a closed pipe would fail.
    _stdout: BufReader<ChildStdout>,
}

impl ServerProcess {
    /// Our own tracker, for this many peers from one address.
    pub(super) async fn ours(peers: usize, pinned: bool) -> Result<Self, ServerError> {
        let program = std::env::current_exe().map_err(|source| ServerError::Spawn { program: "p2p-media".to_owned(), source })?;
        // Some room for connections of a former phase that are not closed yet.
        let peers = (2 * peers).to_string();
        let arguments = ["tracker", "--listen", "127.0.0.1:0", "--connections-per-address", &peers, "--max-connections", &peers];
        Self::start(command(&program.to_string_lossy(), &arguments, pinned)).await
    }

    /// A server in a script for node: it is told where its modules are, and understands the line `gc` on its standard input.
    pub(super) async fn node(script: &Path, modules: &Path, pinned: bool) -> Result<Self, ServerError> {
        if !script.exists() {
            return Err(ServerError::NoScript(script.to_owned()));
        }
        let arguments = ["--expose-gc", &*script.to_string_lossy(), &*modules.to_string_lossy()];
        Self::start(command("node", &arguments, pinned)).await
    }

    /// Ends the server and starts it anew.
    pub(super) async fn restart(&mut self) -> Result<(), ServerError> {
        // It may have ended already; the new one does not care.
        let _ = self.child.kill().await;
        *self = Self::start(std::mem::take(&mut self.command)).await?;
        Ok(())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for a garbage collection, so that what is measured is what is needed.
    pub(super) async fn collect_garbage(&mut self) {
        if let Some(stdin) = self.child.stdin.as_mut()
            && stdin.write_all(b"gc\n").await.is_ok()
        {
            tokio::time::sleep(COLLECT_PATIENCE).await;
        }
    }

    /// Resident memory.
    pub(super) fn rss_kib(&self) -> Result<u64, ServerError> {
        let status = std::fs::read_to_string(self.proc("status")?).map_err(|_| ServerError::NoProc)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or(ServerError::NoProc)?;
        line.trim().trim_end_matches(" kB").parse().map_err(|_| ServerError::NoProc)
    }

    /// Processor time used so far, of all threads.
    pub(super) fn cpu_seconds(&self) -> Result<f64, ServerError> {
        cpu_seconds(&self.proc("stat")?)
    }

    async fn start(command: Vec<String>) -> Result<Self, ServerError> {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ServerError::Spawn { program: command[0].clone(), source })?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or(ServerError::NotListening)?);
        let mut line = String::new();
        match tokio::time::timeout(START_PATIENCE, stdout.read_line(&mut line)).await {
            Ok(Ok(_)) => {}
            _ => return Err(ServerError::NotListening),
        }
        let address = line.trim().rsplit("ws://").next().and_then(|address| address.parse().ok()).ok_or(ServerError::NotListening)?;
        Ok(Self { command, child, address, _stdout: stdout })
    }

    fn proc(&self, file: &str) -> Result<PathBuf, ServerError> {
        Ok(Path::new("/proc").join(self.child.id().ok_or(ServerError::NoProc)?.to_string()).join(file))
    }
}

/// Processor time of this process.
pub(super) fn own_cpu_seconds() -> Result<f64, ServerError> {
    cpu_seconds(Path::new("/proc/self/stat"))
}

/// Leaves a core to the server. False if that cannot be done: no `taskset`, or not both cores for us.
pub(super) fn pin_self() -> bool {
    let pid = std::process::id().to_string();
    let taskset = |arguments: &[&str]| {
        let status = std::process::Command::new("taskset").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    taskset(&["-c", SERVER_CORE, "true"]) && taskset(&["-a", "-c", "-p", LOAD_CORE, &pid])
}

/// Puts an npm package into a folder, unless it is there.
pub(super) async fn install(package: &str, folder: &Path) -> Result<(), ServerError> {
    let name = package.split('@').next().unwrap_or(package);
    if folder.join("node_modules").join(name).join("package.json").exists() {
        return Ok(());
    }
    let failed = |reason: String| ServerError::Install { package: package.to_owned(), reason };
    std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    eprintln!("npm install {package} …");
    let output = Command::new("npm")
        .args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix"])
        .arg(folder)
        .arg(package)
        .output()
        .await
        .map_err(|source| ServerError::Spawn { program: "npm".to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(failed(errors.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").to_owned()))
}

fn command(program: &str, arguments: &[&str], pinned: bool) -> Vec<String> {
    let pin: &[&str] = if pinned { &["taskset", "-c", SERVER_CORE] } else { &[] };
    pin.iter().chain([&program]).chain(arguments).map(|&word| word.to_owned()).collect()
}

fn cpu_seconds(stat: &Path) -> Result<f64, ServerError> {
    let stat = std::fs::read_to_string(stat).map_err(|_| ServerError::NoProc)?;
    // proc_pid_stat(5): the name in parentheses may hold anything; after it, utime and stime are the 12th and 13th field.
    let (_, fields) = stat.rsplit_once(')').ok_or(ServerError::NoProc)?;
    let ticks: Option<f64> = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().ok()).sum();
    ticks.map(|ticks| ticks / TICKS_PER_SECOND).ok_or(ServerError::NoProc)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn processor_time_grows() {
        let before = own_cpu_seconds().unwrap();
        let started = std::time::Instant::now();
        // Bounded: 10 s are enough for two ticks on the busiest machine.
        while own_cpu_seconds().unwrap() < before + 0.02 {
            assert!(started.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn a_pinned_command_goes_through_taskset() {
        assert_eq!(command("node", &["a"], true), ["taskset", "-c", "0", "node", "a"]);
        assert_eq!(command("node", &["a"], false), ["node", "a"]);
    }
}
