//! How connections are set up: the numbers that make them quick to open, fast to carry and soon to fail.

use std::sync::Arc;
use std::time::Duration;

use p2p_media_core::backend::PeerTransportError;
use p2p_media_core::config::IceServer;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use webrtc::error::Error;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder, RTCIceServer, SettingEngineBuilder,
};

use super::connection_events::ProgressReport;
use super::local_addresses::local_addresses;
use super::socket_runtime::SocketRuntime;

/// Longest wait for candidates before the description is sent with those that are known; the official library waits as long.
pub(super) const GATHERING_LIMIT: Duration = Duration::from_secs(5);

/// Wait for further candidates after a STUN or TURN server has told one: a server that is down must not hold up every handshake.
pub(super) const FURTHER_GATHERING: Duration = Duration::from_millis(700);

/// Sends wait while more than this is on its way to the peer, in bytes: as much as a browser's socket holds. The stack sends
/// all that the peer's window and its own allow at once, and what is lost at the end of such a burst it sends again after one second, two
/// seconds, and so on. With 1 MiB two of three new connections to a busy Chromium stood still for a second or three; with this none does,
/// and 64 KiB messages still pass at more than 270 MB/s on loopback and at some 3 MB/s over a path of 40 ms.
pub(super) const SEND_BUFFER_BYTES: usize = 64 << 10;

/// SCTP receive window, in bytes. With the usual 1 MiB a path of 40 ms carries a third as much.
const RECEIVE_BUFFER_BYTES: u32 = 4 << 20;

/// Longest message that we take, in bytes: what browsers announce. With less they would refuse to send what they send each other.
const MAX_MESSAGE_BYTES: u32 = 262_144;

/// Time between checks of candidate pairs: the pace of RFC 8445, section 14.2. A connection takes three or four of them to open.
const ICE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Checks of a pair before it is given up: the answer may reach the offerer, and open its NAT, seconds after we began.
const ICE_CHECKS_PER_PAIR: u16 = 160;

/// Time that candidates better than a server reflexive one get to answer first. Two check intervals.
const REFLEXIVE_CANDIDATE_WAIT: Duration = Duration::from_millis(100);

/// Time that direct paths get to work before one over a TURN server is taken.
const RELAY_CANDIDATE_WAIT: Duration = Duration::from_secs(1);

/// Time without a packet after which the peer counts as disconnected. That alone ends nothing.
const ICE_DISCONNECTED_TIMEOUT: Duration = Duration::from_secs(3);

/// Time after that until the connection has failed; also, with the former, the time a handshake may take.
const ICE_FAILED_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between the packets that keep an idle connection known to be alive (RFC 7675).
const ICE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// A STUN or TURN server in the stack's words.
pub(super) fn ice_server(server: &IceServer) -> Result<RTCIceServer, PeerTransportError> {
    rtc::ice::url::Url::parse_url(&server.url)
        .map_err(|error| PeerTransportError(format!("the ICE server {:?} cannot be used: {error}", server.url)))?;
    Ok(RTCIceServer {
        urls: vec![server.url.clone()],
        username: server.username.clone().unwrap_or_default(),
        credential: server.credential.clone().unwrap_or_default(),
    })
}

/// A connection with these servers, bound to the addresses of this machine.
pub(super) async fn build(
    ice_servers: &[RTCIceServer],
    mdns: MulticastDnsMode,
    events: Arc<dyn PeerConnectionEventHandler>,
    report: ProgressReport,
) -> Result<Arc<dyn PeerConnection>, Error> {
    let local = local_addresses(ice_servers.is_empty());
    // A server cannot be reached from a machine without a network, and waiting for it would delay every offer.
    let ice_servers = if local.only_loopback { &[] } else { ice_servers };
    let settings = SettingEngineBuilder::new()
        .with_multicast_dns_mode(mdns)
        .with_include_loopback_candidate(true)
        .with_ice_connection_attempts(Some(ICE_CHECK_INTERVAL), Some(ICE_CHECKS_PER_PAIR))
        .with_srflx_acceptance_min_wait(Some(REFLEXIVE_CANDIDATE_WAIT))
        .with_prflx_acceptance_min_wait(Some(REFLEXIVE_CANDIDATE_WAIT))
        .with_relay_acceptance_min_wait(Some(RELAY_CANDIDATE_WAIT))
        .with_ice_timeouts(Some(ICE_DISCONNECTED_TIMEOUT), Some(ICE_FAILED_TIMEOUT), Some(ICE_KEEPALIVE_INTERVAL))
        .with_sctp_max_receive_buffer_size(RECEIVE_BUFFER_BYTES)
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE_BYTES))
        .build();
    let connection = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::default().with_ice_servers(ice_servers.to_vec()).build())
        .with_setting_engine(settings)
        .with_runtime(Arc::new(SocketRuntime::new(report)?))
        .with_handler(events)
        .with_udp_addrs(local.addresses)
        .with_data_channel_send_buffer_limit(SEND_BUFFER_BYTES)
        .build()
        .await?;
    Ok(Arc::new(connection))
}
