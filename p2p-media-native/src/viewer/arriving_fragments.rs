//! How much of a segment can be played that is still being produced: the fragments (`moof` and `mdat`) that are complete.

use crate::origin_server::fmp4_samples::{InitTracks, read};
use crate::origin_server::mp4_box::boxes;

/// The bytes of an unfinished segment as they arrive. What is no fragmented MP4, or none that can be read, is playable when it is whole.
#[derive(Debug)]
pub(super) struct ArrivingFragments {
    init: InitTracks,
    bytes: Vec<u8>,
    /// Where the first box begins that is not complete.
    complete: usize,
}

impl ArrivingFragments {
    /// For a segment with this initialization segment.
    pub(super) fn new(init: &[u8]) -> Self {
        Self { init: InitTracks::read(init), bytes: Vec::new(), complete: 0 }
    }

    /// Takes in the next bytes. When they complete a fragment: for how many seconds the segment can be played now, from its beginning.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Option<f64> {
        self.bytes.extend_from_slice(chunk);
        let mut has_media = false;
        for found in boxes(&self.bytes, self.complete..self.bytes.len()) {
            self.complete = found.whole.end;
            has_media |= found.kind == *b"mdat";
        }
        if !has_media {
            return None;
        }
        let fragments = read(&self.bytes[..self.complete], &self.init)?;
        fragments.tracks.iter().map(|track| track.seconds()).reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mp4_box(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32 + 8).to_be_bytes()[..], kind, payload].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Track 1 with 10 ticks per second.
    fn init() -> Vec<u8> {
        let tkhd = mp4_box(b"tkhd", &words(&[0, 0, 0, 1, 0, 0]));
        let mdia = mp4_box(b"mdia", &mp4_box(b"mdhd", &words(&[0, 0, 0, 10, 0, 0])));
        mp4_box(b"moov", &mp4_box(b"trak", &[tkhd, mdia].concat()))
    }

    /// A fragment of so many samples of half a second and one byte.
    fn fragment(time: u32, samples: u32) -> Vec<u8> {
        let tfhd = mp4_box(b"tfhd", &words(&[0x2_0018, 1, 5, 1]));
        let tfdt = mp4_box(b"tfdt", &words(&[0, time]));
        let traf = mp4_box(b"traf", &[tfhd, tfdt, mp4_box(b"trun", &words(&[0x1, samples, 0]))].concat());
        let moof_len = traf.len() as u32 + 8;
        let moof = mp4_box(b"moof", &traf);
        let offset = moof.len() - 4;
        let mut moof = moof;
        moof[offset..].copy_from_slice(&(moof_len + 8).to_be_bytes());
        [moof, mp4_box(b"mdat", &vec![0; samples as usize])].concat()
    }

    #[test]
    fn whole_fragments_count_and_nothing_else() {
        let segment = [mp4_box(b"styp", b"msdh"), fragment(100, 2), fragment(110, 1)].concat();
        let second = segment.len() - fragment(110, 1).len();
        let mut arriving = ArrivingFragments::new(&init());
        let playable: Vec<_> = segment.iter().enumerate().filter_map(|(index, byte)| Some((index + 1, arriving.push(&[*byte])?))).collect();
        assert_eq!(playable, [(second, 1.0), (segment.len(), 1.5)]);
    }

    #[test]
    fn what_cannot_be_read_is_not_counted() {
        let mut without_init = ArrivingFragments::new(b"");
        assert_eq!(without_init.push(&fragment(0, 2)), None);
        let mut transport_stream = ArrivingFragments::new(&init());
        assert_eq!(transport_stream.push(&[0x47; 188 * 4]), None);
        let mut leaps = ArrivingFragments::new(&init());
        assert_eq!(leaps.push(&[fragment(0, 2), fragment(99, 2)].concat()), None);
    }
}
