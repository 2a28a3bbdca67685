//! Integers on the wire: big-endian sign and magnitude, in as many bytes as needed (the top bit of the first byte is the sign).

/// Most bytes that the length nibble of an integer can state.
const MAX_STATED_BYTES: usize = 15;

/// Appends the type byte and the fewest bytes that hold `value`; 0 takes one byte.
pub(super) fn put(value: i64, out: &mut Vec<u8>) {
    let magnitude = value.unsigned_abs();
    // One bit more than the magnitude, for the sign, rounded up to bytes: at most 9.
    let bytes = ((64 - magnitude.leading_zeros()) / 8 + 1) as usize;
    let start = out.len();
    out.push(bytes as u8);
    out.extend_from_slice(&u128::from(magnitude).to_be_bytes()[16 - bytes..]);
    if value < 0 {
        out[start + 1] |= 0x80;
    }
}

/// Reads the integer in `bytes` (without its type byte); leading zero bytes and no bytes at all are allowed. `None` when it does not fit
/// into 64 bits.
pub(super) fn read(bytes: &[u8]) -> Option<i64> {
    let Some((&first, rest)) = bytes.split_first() else { return Some(0) };
    if bytes.len() > MAX_STATED_BYTES {
        return None;
    }
    let magnitude = rest.iter().fold(i128::from(first & 0x7f), |sum, &byte| sum << 8 | i128::from(byte));
    i64::try_from(if first & 0x80 == 0 { magnitude } else { -magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_survive_the_round_trip() {
        for value in [0, 1, -1, 127, 128, -128, 255, 256, 32_767, 32_768, i64::MAX, i64::MIN] {
            let mut wire = Vec::new();
            put(value, &mut wire);
            assert_eq!(usize::from(wire[0]), wire.len() - 1);
            assert_eq!(read(&wire[1..]), Some(value));
        }
    }

    #[test]
    fn more_than_64_bits_is_no_integer() {
        assert_eq!(read(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(read(&[0; 9]), Some(0));
        assert_eq!(read(&[0xff; 15]), None);
        assert_eq!(read(&[0; 16]), None);
    }
}
