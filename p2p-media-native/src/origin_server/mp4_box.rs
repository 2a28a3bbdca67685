//! Walks over the boxes of an MP4 file (ISO/IEC 14496-12, section 4.2).

use std::ops::Range;

/// Where a box is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mp4Box {
    pub(crate) kind: [u8; 4],
    /// With its header.
    pub(crate) whole: Range<usize>,
    pub(crate) payload: Range<usize>,
}

/// The boxes that follow each other in `range`. Ends at the first one that does not fit.
pub(crate) fn boxes(data: &[u8], range: Range<usize>) -> impl Iterator<Item = Mp4Box> + use<'_> {
    let mut rest = range;
    std::iter::from_fn(move || {
        let start = rest.start;
        let kind = data.get(start + 4..rest.end.min(start + 8))?.try_into().ok()?;
        let (header, size) = match read_u32(data, start)? {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(read_u64(data, start + 8)?).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        if size < header || size > rest.len() {
            return None;
        }
        rest.start += size;
        Some(Mp4Box { kind, whole: start..start + size, payload: start + header..start + size })
    })
}

/// The payloads of the boxes of one kind among them.
pub(super) fn boxes_of<'a>(data: &'a [u8], range: Range<usize>, kind: &'a [u8; 4]) -> impl Iterator<Item = Range<usize>> + use<'a> {
    boxes(data, range).filter(move |found| &found.kind == kind).map(|found| found.payload)
}

/// All the boxes of `range`; `None` when they do not fill it exactly.
pub(super) fn all_boxes(data: &[u8], range: Range<usize>) -> Option<Vec<Mp4Box>> {
    let found: Vec<_> = boxes(data, range.clone()).collect();
    (found.last().map_or(range.start, |last| last.whole.end) == range.end).then_some(found)
}

pub(super) fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(super) fn read_u64(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(data.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn mp4_box(kind: &[u8; 4], payload: &[&[u8]]) -> Vec<u8> {
        let payload = payload.concat();
        [&u32::try_from(payload.len() + 8).unwrap().to_be_bytes()[..], kind, &payload].concat()
    }

    #[test]
    fn boxes_must_fit() {
        let long = [&[0, 0, 0, 1][..], b"long", &[0, 0, 0, 0, 0, 0, 0, 17], &[7]].concat();
        let open = [&[0; 4][..], b"open", &[8, 8]].concat();
        let data = [mp4_box(b"free", &[&[1, 2]]), long, open].concat();
        let found = all_boxes(&data, 0..data.len()).unwrap();
        let kinds: Vec<_> = found.iter().map(|found| (&found.kind, found.payload.clone())).collect();
        assert_eq!(kinds, [(b"free", 8..10), (b"long", 26..27), (b"open", 35..37)]);
        assert_eq!(all_boxes(&data, 0..30), None, "the last one is cut off");
        assert_eq!(all_boxes(&data, 10..10), Some(Vec::new()));
        for bad in [&[0, 0, 0, 7][..], &[0, 0, 0, 1], &[255; 16], &[0, 0, 0, 9]] {
            let bad = [bad, b"moof"].concat();
            assert_eq!(all_boxes(&bad, 0..bad.len()), None);
        }
    }
}
