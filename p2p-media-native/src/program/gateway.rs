//! `p2p-media gateway`: a local HTTP server for any player.

use std::net::{Ipv4Addr, SocketAddr};

use super::ProgramError;
use super::shared_options::{SharedOptions, is_local};
use super::tracker::raise_open_files;
use crate::gateway::{DEFAULT_IDLE_LIMIT, DEFAULT_PORT, GatewayConfig, GatewayError, GatewayServer};

/// Options of `p2p-media gateway`.
#[derive(Clone, Debug, clap::Args)]
pub struct GatewayArgs {
    /// Stream to serve; its origin, and those that its manifest names, may be asked for
    #[arg(value_name = "URL", required_unless_present = "allow_any_origin")]
    pub urls: Vec<String>,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))]
    pub listen: SocketAddr,

    /// Fetch from any origin: whoever reaches the gateway then reaches whatever this machine can
    #[arg(long)]
    pub allow_any_origin: bool,

    /// Name by which players may ask for the gateway, besides addresses and localhost; may be given several times
    #[arg(long, value_name = "NAME")]
    pub public_name: Vec<String>,

    /// Options of the engine and the cache
    #[command(flatten)]
    pub shared: SharedOptions,
}

/// Serves until `shutdown` completes, then leaves the swarms.
///
/// # Errors
/// The option at fault, or the port in use.
pub async fn run(args: GatewayArgs, shutdown: impl Future<Output = ()>) -> Result<(), ProgramError> {
    if args.shared.swarm_id.is_some() && (args.urls.len() != 1 || args.allow_any_origin) {
        return Err(ProgramError::Usage("--swarm-id names the swarm of one stream: give one URL, and not --allow-any-origin".to_owned()));
    }
    raise_open_files();
    let all_local = !args.urls.is_empty() && args.urls.iter().all(|url| is_local(url));
    let config = GatewayConfig {
        listen: args.listen,
        urls: args.urls.clone(),
        allow_any_origin: args.allow_any_origin,
        public_names: args.public_name,
        engine: args.shared.config(all_local)?,
        cache_dir: args.shared.cache_dir,
        idle_limit: DEFAULT_IDLE_LIMIT,
    };
    let server = GatewayServer::bind(config).await.map_err(into_program_error)?;
    for url in &args.urls {
        println!("{}", server.url_of(url).map_err(into_program_error)?);
    }
    if args.allow_any_origin {
        println!("http://{}/https/HOST/PATH serves any origin", server.local_addr());
    }
    if !server.local_addr().ip().is_loopback() {
        println!("other devices reach it at this machine's address, port {}", server.local_addr().port());
    }

    shutdown.await;
    server.shutdown().await;
    Ok(())
}

fn into_program_error(error: GatewayError) -> ProgramError {
    match error {
        GatewayError::InvalidUrl(_) | GatewayError::Config(_) | GatewayError::CacheFolder(_) => ProgramError::Usage(error.to_string()),
        error => ProgramError::Gateway(error),
    }
}
