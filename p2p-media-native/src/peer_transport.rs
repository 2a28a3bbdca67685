//! WebRTC by the `webrtc` crate: connections with one ordered, reliable data channel each, and complete SDP both ways.

mod channel;
mod connection;
mod connection_events;
mod connection_settings;
mod farewells;
mod local_addresses;
mod remote_sdp;
mod socket_runtime;

use std::sync::Arc;

use p2p_media_core::backend::{PeerTransport, PeerTransportError};
use p2p_media_core::config::IceServer;
use rtc::ice::mdns::MulticastDnsMode;
use webrtc::peer_connection::{RTCIceServer, RTCSessionDescription};

pub use channel::WebRtcChannel;
pub use connection::WebRtcConnection;
pub use farewells::Farewells;

use connection::{Link, PendingChannel};

/// Makes WebRTC connections. Clones share the configuration.
#[derive(Clone, Debug)]
pub struct WebRtcTransport {
    ice_servers: Arc<[RTCIceServer]>,
    farewells: Farewells,
}

impl WebRtcTransport {
    /// A transport that gathers candidates from these servers. Without any, only the addresses of this machine are offered.
    ///
    /// # Errors
    /// When the URL of a server is not one (RFC 7064, RFC 7065); the message names it.
    pub fn new(ice_servers: &[IceServer]) -> Result<Self, PeerTransportError> {
        let servers = ice_servers.iter().map(connection_settings::ice_server).collect::<Result<_, _>>()?;
        Ok(Self { ice_servers: servers, farewells: Farewells::default() })
    }

    /// The connections that are being closed: wait for them before the runtime ends.
    pub const fn farewells(&self) -> &Farewells {
        &self.farewells
    }
}

impl PeerTransport for WebRtcTransport {
    type Connection = WebRtcConnection;

    async fn offer(&self, label: String) -> Result<(WebRtcConnection, String), PeerTransportError> {
        let (ice_servers, farewells) = (Arc::clone(&self.ice_servers), self.farewells.clone());
        in_own_task(async move {
            // Whether the answer will hold mDNS names is not known yet.
            let (link, _) = Link::open(ice_servers, MulticastDnsMode::QueryOnly, farewells).await?;
            let channel = link.connection().create_data_channel(&label, None).await.map_err(transport_error)?;
            let offer = link.connection().create_offer(None).await.map_err(transport_error)?;
            let sdp = link.gather(offer).await?;
            Ok((WebRtcConnection::new(link, PendingChannel::Ours(channel)), sdp))
        })
        .await
    }

    async fn answer(&self, offer_sdp: String) -> Result<(WebRtcConnection, String), PeerTransportError> {
        let (ice_servers, farewells) = (Arc::clone(&self.ice_servers), self.farewells.clone());
        in_own_task(async move {
            let offer = remote_sdp::limited(&offer_sdp)?;
            let mdns = if offer.has_mdns_names { MulticastDnsMode::QueryOnly } else { MulticastDnsMode::Disabled };
            let (link, incoming) = Link::open(ice_servers, mdns, farewells).await?;
            let offer = RTCSessionDescription::offer(offer.sdp).map_err(transport_error)?;
            link.set_remote(offer).await?;
            let answer = link.connection().create_answer(None).await.map_err(transport_error)?;
            let sdp = link.gather(answer).await?;
            Ok((WebRtcConnection::new(link, PendingChannel::Theirs(incoming)), sdp))
        })
        .await
    }
}

/// Runs a step of a handshake in a task of its own: should the stack panic over a hostile description, that alone fails. Dropping the
/// future ends the task.
async fn in_own_task<T: Send + 'static>(
    step: impl Future<Output = Result<T, PeerTransportError>> + Send + 'static,
) -> Result<T, PeerTransportError> {
    let mut task = tokio::task::JoinSet::new();
    task.spawn(step);
    match task.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(PeerTransportError(format!("the handshake's task ended: {error}"))),
        None => Err(PeerTransportError("the handshake's task is gone".to_owned())),
    }
}

fn transport_error(error: webrtc::error::Error) -> PeerTransportError {
    PeerTransportError(error.to_string())
}

#[cfg(test)]
mod tests;
