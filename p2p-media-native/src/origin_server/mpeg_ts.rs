//! Finds the frames of an MPEG-TS segment (ISO/IEC 13818-1, sections 2.4.3.2 and 2.4.3.6), so that parts of it end between them.

const PACKET_BYTES: usize = 188;
pub(super) const SYNC_BYTE: u8 = 0x47;
/// Ticks per second of time stamps, and their number of bits.
pub(super) const TIMESCALE: u32 = 90_000;
const TIME_BITS: u32 = 33;
/// Longest step between frames; a larger one, or one back, is no timeline.
const MAX_STEP_TICKS: u64 = 10 * TIMESCALE as u64;

/// A frame of the stream that a player shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where its first packet is.
    pub(super) first_byte: usize,
    /// Decode time since the first frame.
    pub(super) ticks: u64,
}

/// The frames of the video, or of the audio where there is no video. `None` when this is no sound MPEG-TS or no frame is found.
pub(super) fn frames(segment: &[u8]) -> Option<Vec<Frame>> {
    let (packets, rest) = segment.as_chunks::<PACKET_BYTES>();
    if !rest.is_empty() || packets.iter().any(|packet| packet[0] != SYNC_BYTE) {
        return None;
    }
    let starts = || packets.iter().enumerate().filter_map(|(index, packet)| Some((index * PACKET_BYTES, Start::of(packet)?)));
    let is_shown = |(_, start): &(usize, Start)| start.is_video;
    let (_, leading) = starts().find(is_shown).or_else(|| starts().next())?;
    let mut frames: Vec<Frame> = Vec::new();
    let mut last = leading.time;
    for (first_byte, start) in starts().filter(|(_, start)| start.pid == leading.pid) {
        let step = start.time.wrapping_sub(last) & ((1 << TIME_BITS) - 1);
        if step > MAX_STEP_TICKS {
            return None;
        }
        frames.push(Frame { first_byte, ticks: frames.last().map_or(0, |frame| frame.ticks) + step });
        last = start.time;
    }
    Some(frames)
}

/// The beginning of a PES packet.
struct Start {
    pid: u16,
    is_video: bool,
    /// When it is decoded.
    time: u64,
}

impl Start {
    fn of(packet: &[u8; PACKET_BYTES]) -> Option<Self> {
        let begins_unit = packet[1] & 0x40 != 0;
        let payload = match packet[3] >> 4 & 3 {
            1 => 4,
            3 => 5 + usize::from(packet[4]),
            _ => return None,
        };
        let pes = packet.get(payload..).filter(|_| begins_unit)?;
        let &[0, 0, 1, stream_id, _, _, _, flags, _, ref header @ ..] = pes else { return None };
        if !(0xc0..=0xef).contains(&stream_id) {
            return None;
        }
        let time = match flags >> 6 {
            2 => header.get(..5)?,
            3 => header.get(5..10)?,
            _ => return None,
        };
        let bits = |index: usize, mask: u8, shift: u32| u64::from(time[index] & mask) << shift;
        let time = bits(0, 0x0e, 29) | bits(1, 0xff, 22) | bits(2, 0xfe, 14) | bits(3, 0xff, 7) | bits(4, 0xfe, 0) >> 1;
        Some(Self { pid: u16::from_be_bytes([packet[1] & 0x1f, packet[2]]), is_video: stream_id >= 0xe0, time })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A packet that begins a PES packet with a presentation time, or both times, or goes on with one.
    pub(in super::super) fn packet(pid: u8, stream_id: u8, times: &[u64]) -> Vec<u8> {
        let mut packet = vec![SYNC_BYTE, if stream_id == 0 { 0 } else { 0x40 }, pid, 0x30, 1, 0];
        if stream_id > 0 {
            packet.extend([0, 0, 1, stream_id, 0, 0, 0x80, [0, 0x80, 0xc0][times.len()], times.len() as u8 * 5]);
            for time in times {
                let byte = |shift: u32| (time >> shift) as u8;
                packet.extend([byte(29) & 0x0e | 0x21, byte(22), byte(14) | 1, byte(7), (byte(0) << 1) | 1]);
            }
        }
        packet.resize(PACKET_BYTES, 0xff);
        packet
    }

    #[test]
    fn frames_are_those_of_the_video() {
        let end = 1 << TIME_BITS;
        let segment = [
            packet(0, 0, &[]),
            packet(2, 0xc0, &[7]),
            packet(1, 0xe0, &[end - 1000, end - 2000]),
            packet(1, 0, &[]),
            packet(1, 0xe0, &[500]),
            packet(2, 0xc0, &[9]),
            packet(1, 0xe1, &[9000, 1000]),
        ];
        let frame = |packet: usize, ticks| Frame { first_byte: packet * PACKET_BYTES, ticks };
        assert_eq!(frames(&segment.concat()).unwrap(), [frame(2, 0), frame(4, 2500), frame(6, 3000)]);
        assert_eq!(frames(&segment[..2].concat()).unwrap(), [frame(1, 0)], "audio alone");
    }

    #[test]
    fn what_has_no_timeline_has_no_frames() {
        let first = packet(1, 0xe0, &[5000]);
        assert_eq!(frames(&[first.clone(), packet(1, 0xe0, &[4999])].concat()), None, "back in time");
        assert_eq!(frames(&[first.clone(), vec![SYNC_BYTE]].concat()), None, "cut off");
        assert_eq!(frames(&[first.clone(), vec![0; PACKET_BYTES]].concat()), None, "not in step");
        assert_eq!(frames(&packet(1, 0, &[])), None);
        assert_eq!(frames(b""), None);
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..10_000 {
            let mut damaged = [&first[..], &first].concat();
            (0..4).for_each(|_| damaged[random.usize(0..30)] = random.u8(..));
            let _ = frames(&damaged); // must not panic
        }
    }
}
