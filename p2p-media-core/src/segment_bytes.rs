//! A segment's bytes as the ordered pieces in which they arrived. Pieces are handed on, never joined or copied on the way.

use bytes::{Bytes, BytesMut};

/// Pieces of which an average below [`SMALL_PIECE_BYTES`] is put up with. Honest senders do not get here: a peer that sends single bytes
/// would take up a hundred times their memory.
const MAX_SMALL_PIECES: usize = 1024;
/// Bytes that a piece should have on average.
const SMALL_PIECE_BYTES: u64 = 1024;
/// Pieces that are joined become this long.
const JOINED_PIECE_BYTES: usize = 64 * 1024;

/// Ordered pieces of one segment. Cloning clones the handles, not the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentBytes {
    pieces: Vec<Bytes>,
    len: u64,
}

impl SegmentBytes {
    /// No bytes yet.
    pub const fn new() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }

    /// Appends a piece; empty ones are dropped.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len() as u64;
            self.pieces.push(piece);
            if self.pieces.len() >= MAX_SMALL_PIECES && self.pieces.len() as u64 > self.len / SMALL_PIECE_BYTES + MAX_SMALL_PIECES as u64 {
                self.join_small_pieces();
            }
        }
    }

    /// Makes large pieces of small ones, whose bookkeeping is longer than they are.
    fn join_small_pieces(&mut self) {
        let mut joined: Vec<Bytes> = Vec::new();
        let mut gathered = BytesMut::new();
        for piece in self.pieces.drain(..) {
            if piece.len() < JOINED_PIECE_BYTES {
                gathered.extend_from_slice(&piece);
            }
            if gathered.len() >= JOINED_PIECE_BYTES || (piece.len() >= JOINED_PIECE_BYTES && !gathered.is_empty()) {
                joined.push(gathered.split().freeze());
            }
            if piece.len() >= JOINED_PIECE_BYTES {
                joined.push(piece);
            }
        }
        if !gathered.is_empty() {
            joined.push(gathered.freeze());
        }
        self.pieces = joined;
    }

    /// Number of bytes in all pieces.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// True when there is no byte.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// At most `limit` bytes from `offset` on, out of the piece that holds `offset`, without copying. `None` at or past the end.
    pub fn slice_at(&self, offset: u64, limit: usize) -> Option<Bytes> {
        let mut before = 0_u64;
        for piece in &self.pieces {
            let end = before + piece.len() as u64;
            if offset < end {
                let from = (offset - before) as usize;
                return Some(piece.slice(from..piece.len().min(from.saturating_add(limit))));
            }
            before = end;
        }
        None
    }

    /// All bytes in one buffer: copies unless there is a single piece.
    pub fn join(&self) -> Bytes {
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [only] => only.clone(),
            pieces => {
                let mut joined = BytesMut::with_capacity(self.len as usize);
                pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
                joined.freeze()
            }
        }
    }
}

impl From<Bytes> for SegmentBytes {
    fn from(piece: Bytes) -> Self {
        let mut bytes = Self::new();
        bytes.push(piece);
        bytes
    }
}

impl FromIterator<Bytes> for SegmentBytes {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut bytes = Self::new();
        pieces.into_iter().for_each(|piece| bytes.push(piece));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_stay_inside_one_piece_and_end_at_the_end() {
        let bytes: SegmentBytes = [Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defg")].into_iter().collect();
        assert_eq!((bytes.len(), bytes.pieces().len()), (7, 2));
        assert_eq!(bytes.slice_at(1, 9).as_deref(), Some(&b"bc"[..]));
        assert_eq!(bytes.slice_at(3, 2).as_deref(), Some(&b"de"[..]));
        assert_eq!(bytes.slice_at(7, 2), None);
        assert_eq!(bytes.join(), &b"abcdefg"[..]);
    }

    #[test]
    fn tiny_pieces_are_joined_and_nothing_is_lost() {
        let large = Bytes::from(vec![9; JOINED_PIECE_BYTES]);
        let tiny = (0..200_000_u32).map(|n| if n == 70_000 { large.clone() } else { Bytes::from(vec![n as u8]) });
        let bytes: SegmentBytes = tiny.clone().collect();
        assert!(bytes.pieces().len() < 3 * MAX_SMALL_PIECES, "{}", bytes.pieces().len());
        assert_eq!(bytes.join(), tiny.flatten().collect::<Vec<u8>>());
        assert_eq!(bytes.len(), 199_999 + JOINED_PIECE_BYTES as u64);
    }
}
