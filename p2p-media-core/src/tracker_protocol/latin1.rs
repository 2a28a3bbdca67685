//! Binary fields as JSON strings: one character per byte, U+0000 to U+00FF.

/// The string that stands for `bytes`.
pub fn latin1_from_bytes(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The `N` bytes that `text` stands for; `None` when it has another number of characters, or one beyond U+00FF.
pub fn bytes_from_latin1<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut chars = text.chars();
    for byte in &mut bytes {
        *byte = u8::try_from(chars.next()?).ok()?;
    }
    chars.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives() {
        let bytes: [u8; 256] = std::array::from_fn(|n| n as u8);
        assert_eq!(bytes_from_latin1(&latin1_from_bytes(&bytes)), Some(bytes));
    }

    #[test]
    fn other_lengths_and_characters_are_refused() {
        assert_eq!(bytes_from_latin1::<2>("a"), None);
        assert_eq!(bytes_from_latin1::<2>("abc"), None);
        assert_eq!(bytes_from_latin1::<2>("a€"), None);
        assert_eq!(bytes_from_latin1::<2>("aÿ"), Some([b'a', 0xff]));
    }
}
