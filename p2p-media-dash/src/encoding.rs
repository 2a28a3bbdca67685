//! Bytes to text: UTF-8 and UTF-16, as the byte order mark says (XML 1.0, section 4.3.3 and appendix F).

use std::borrow::Cow;

use crate::MAX_MPD_BYTES;
use crate::error::MpdError;

/// The text of an XML document without its byte order mark. Borrowed when it is the end of `bytes`, byte for byte; characters that no encoding
/// explains are replaced.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, MpdError> {
    if bytes.len() > MAX_MPD_BYTES {
        return Err(MpdError::TooLong { bytes: bytes.len(), limit: MAX_MPD_BYTES });
    }
    Ok(match bytes {
        [0xEF, 0xBB, 0xBF, text @ ..] => String::from_utf8_lossy(text),
        [0xFF, 0xFE, text @ ..] => Cow::Owned(utf16(text, u16::from_le_bytes)),
        [0xFE, 0xFF, text @ ..] => Cow::Owned(utf16(text, u16::from_be_bytes)),
        [b'<', 0, ..] => Cow::Owned(utf16(bytes, u16::from_le_bytes)),
        [0, b'<', ..] => Cow::Owned(utf16(bytes, u16::from_be_bytes)),
        text => String::from_utf8_lossy(text),
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|&pair| unit(pair));
    char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_8_and_utf_16_with_and_without_a_mark() {
        let text = "<MPD é/>";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat(),
            little.clone(),
            [&[0xFF, 0xFE], little.as_slice()].concat(),
            big.clone(),
            [&[0xFE, 0xFF], big.as_slice()].concat(),
        ] {
            assert_eq!(decode(&bytes).unwrap(), text, "{bytes:?}");
        }
        assert_eq!(decode(b"<MPD \xE9/>").unwrap(), "<MPD \u{FFFD}/>");
        assert_eq!(decode(b"").unwrap(), "");
        assert!(matches!(decode(&vec![b' '; MAX_MPD_BYTES + 1]), Err(MpdError::TooLong { .. })));
    }

    #[test]
    fn utf_8_is_borrowed() {
        assert!(matches!(decode(b"\xEF\xBB\xBF<MPD/>"), Ok(Cow::Borrowed("<MPD/>"))));
    }
}
