//! Text as it may stand in XML (XML 1.0, section 2.4).

/// `text` for an attribute value in either kind of quotes, or for the content of an element. Control characters, which no URL has, are
/// percent-encoded.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            _ => push_without_controls(&mut escaped, char),
        }
    }
    escaped
}

/// `text` for a CDATA section, which has no references: what would end it is percent-encoded.
pub(crate) fn escape_cdata(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    text.replace("]]>", "]]%3E").chars().for_each(|char| push_without_controls(&mut escaped, char));
    escaped
}

fn push_without_controls(text: &mut String, char: char) {
    if char.is_ascii_control() {
        text.push_str(&format!("%{:02X}", u32::from(char)));
    } else if !matches!(char, '\u{fffe}' | '\u{ffff}') {
        text.push(char);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(escape("a?b=1&c=\"<'>\n"), "a?b=1&amp;c=&quot;&lt;&apos;&gt;%0A");
        assert_eq!(escape_cdata("a&b]]>c\r]]]>"), "a&b]]%3Ec%0D]]]%3E");
    }
}
