//! A peer's description, cut down to what we are willing to act on before the stack reads it.

use p2p_media_core::backend::PeerTransportError;

/// Longest description taken, in bytes; a browser's is 1 to 5 KiB.
const MAX_SDP_BYTES: usize = 64 << 10;

/// Most candidates taken. Each is an address that we send packets to on a stranger's word.
const MAX_CANDIDATES: usize = 24;

/// A description with at most `MAX_CANDIDATES` candidates, all of UDP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LimitedSdp {
    pub(super) sdp: String,
    /// A candidate hides its address behind a name of the local network (draft-ietf-mmusic-mdns-ice-candidates).
    pub(super) has_mdns_names: bool,
}

/// Leaves out candidates beyond the limit, and those that are not of UDP, which we do not speak.
pub(super) fn limited(sdp: &str) -> Result<LimitedSdp, PeerTransportError> {
    if sdp.len() > MAX_SDP_BYTES {
        return Err(PeerTransportError(format!("the peer's description of {} bytes is too long", sdp.len())));
    }
    let mut limited = LimitedSdp { sdp: String::with_capacity(sdp.len()), has_mdns_names: false };
    let mut candidates = 0;
    for line in sdp.split_inclusive('\n') {
        if let Some(candidate) = line.strip_prefix("a=candidate:") {
            // foundation, component, transport, priority, address (RFC 8839, section 5.1)
            let mut fields = candidate.split_ascii_whitespace().skip(2);
            let (transport, address) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
            if candidates == MAX_CANDIDATES || !transport.eq_ignore_ascii_case("udp") {
                continue;
            }
            candidates += 1;
            limited.has_mdns_names |= address.ends_with(".local");
        }
        limited.sdp.push_str(line);
    }
    Ok(limited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lines_stay_and_candidates_are_limited() {
        let udp = "a=candidate:1 1 UDP 2113937151 6b2f-1.local 5000 typ host\r\n";
        let tcp = "a=candidate:2 1 tcp 1518214911 192.0.2.1 9 typ host tcptype active\r\n";
        let sdp = format!("v=0\r\n{tcp}{}a=candidate:\r\na=end-of-candidates", udp.repeat(100));
        let limited = limited(&sdp).unwrap();
        assert_eq!(limited.sdp, format!("v=0\r\n{}a=end-of-candidates", udp.repeat(MAX_CANDIDATES)));
        assert!(limited.has_mdns_names);
    }

    #[test]
    fn plain_addresses_are_no_names_and_a_long_description_is_refused() {
        assert!(!limited("a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\n").unwrap().has_mdns_names);
        assert!(limited(&"x".repeat(MAX_SDP_BYTES + 1)).is_err());
        assert_eq!(limited("").unwrap().sdp, "");
    }
}
