//! JSON (RFC 8259) as far as trackers need it. Own code, for it is part of every page: general readers bring tables for floating-point numbers
//! that are as large as all of our protocols together.

/// How deep values may lie in each other.
const MAX_DEPTH: u32 = 32;

/// A value of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// Precise to about 15 digits.
    Number(f64),
    Object(Vec<(String, Value)>),
    /// Arrays, `true`, `false` and `null`, which mean nothing to us.
    Other,
}

impl Value {
    /// The value of a name; of several the last.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// Reads an object that is all there is of the text, apart from white space; `None` when it is not one.
pub(super) fn parse_object(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.as_bytes(), depth: 0 };
    let value = reader.value()?;
    reader.skip_white_space();
    (reader.rest.is_empty() && matches!(value, Value::Object(_))).then_some(value)
}

struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl Reader<'_> {
    fn value(&mut self) -> Option<Value> {
        self.skip_white_space();
        match *self.rest.first()? {
            b'"' => self.text().map(Value::Text),
            b'{' => self.nested(Self::fields).map(Value::Object),
            b'[' => self.nested(Self::items).map(|()| Value::Other),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number().map(Value::Number),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        self.rest = &self.rest[1..];
        let value = read(self)?;
        self.depth -= 1;
        Some(value)
    }

    fn fields(&mut self) -> Option<Vec<(String, Value)>> {
        let mut fields = Vec::new();
        if self.takes(b'}') {
            return Some(fields);
        }
        loop {
            self.skip_white_space();
            let name = self.text()?;
            if !self.takes(b':') {
                return None;
            }
            fields.push((name, self.value()?));
            if self.takes(b'}') {
                return Some(fields);
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn items(&mut self) -> Option<()> {
        if self.takes(b']') {
            return Some(());
        }
        loop {
            self.value()?;
            if self.takes(b']') {
                return Some(());
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<Value> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(Value::Other)
    }

    fn text(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix(b"\"")?;
        let mut text = Vec::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return String::from_utf8(text).ok(),
                b'\\' => {
                    let letter = self.escape()?;
                    text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..0x20 => return None,
                _ => text.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let (&letter, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.utf16_unit()?;
                // The first half of a pair, which the second must follow.
                if (0xd800..0xdc00).contains(&unit) {
                    self.rest = self.rest.strip_prefix(b"\\u")?;
                    let low = self.utf16_unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low);
                }
                return char::from_u32(unit);
            }
            _ => return None,
        })
    }

    fn utf16_unit(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }

    fn number(&mut self) -> Option<f64> {
        let is_negative = self.take_if(b"-").is_some();
        let leading_zero = self.rest.first() == Some(&b'0');
        let (mut number, digits) = self.digits();
        if digits == 0 || (leading_zero && digits > 1) {
            return None;
        }
        if self.take_if(b".").is_some() {
            let (fraction, digits) = self.digits();
            if digits == 0 {
                return None;
            }
            number += fraction / power_of_ten(digits);
        }
        if self.take_if(b"eE").is_some() {
            let is_small = self.take_if(b"+-") == Some(b'-');
            let (exponent, digits) = self.digits();
            if digits == 0 {
                return None;
            }
            let factor = power_of_ten(exponent as u32);
            number = if is_small { number / factor } else { number * factor };
        }
        number.is_finite().then_some(if is_negative { -number } else { number })
    }

    /// The number that the digits make, and how many there are.
    fn digits(&mut self) -> (f64, u32) {
        let (mut number, mut count) = (0.0, 0_u32);
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            number = number * 10.0 + f64::from(digit - b'0');
            count = count.saturating_add(1);
            self.rest = rest;
        }
        (number, count)
    }

    fn take_if(&mut self, wanted: &[u8]) -> Option<u8> {
        let (byte, rest) = self.rest.split_first().filter(|(byte, _)| wanted.contains(byte))?;
        self.rest = rest;
        Some(*byte)
    }

    /// True when this byte comes next after white space; it is passed then.
    fn takes(&mut self, wanted: u8) -> bool {
        self.skip_white_space();
        self.take_if(&[wanted]).is_some()
    }

    fn skip_white_space(&mut self) {
        while self.take_if(b" \t\r\n").is_some() {}
    }
}

/// Infinite beyond the range of numbers.
fn power_of_ten(exponent: u32) -> f64 {
    if exponent > 400 { f64::INFINITY } else { 10_f64.powi(exponent as i32) }
}

/// Appends a text with its quotation marks.
pub(super) fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..' ' => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\u00");
                out.push(char::from(HEX[letter as usize >> 4]));
                out.push(char::from(HEX[letter as usize & 15]));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(ours: &Value, oracle: &serde_json::Value) -> bool {
        match (ours, oracle) {
            (Value::Text(ours), serde_json::Value::String(oracle)) => ours == oracle,
            (Value::Number(ours), serde_json::Value::Number(oracle)) => {
                let oracle = oracle.as_f64().unwrap();
                (ours - oracle).abs() <= oracle.abs() * 1e-14
            }
            (Value::Object(_), serde_json::Value::Object(oracle)) => {
                oracle.iter().all(|(name, value)| ours.get(name).is_some_and(|ours| same(ours, value)))
            }
            (Value::Other, oracle) => oracle.is_array() || oracle.is_boolean() || oracle.is_null(),
            _ => false,
        }
    }

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e9_f64..1e9).prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_another_writer_wrote(fields in prop::collection::btree_map(any::<String>(), any_value(), 0..4), pretty: bool) {
            let oracle: serde_json::Value = fields.into_iter().collect();
            let text = if pretty { serde_json::to_string_pretty(&oracle) } else { serde_json::to_string(&oracle) }.unwrap();
            let ours = parse_object(&text);
            prop_assert!(ours.as_ref().is_some_and(|ours| same(ours, &oracle)), "{text} {ours:?}");
        }

        #[test]
        fn reads_no_more_than_another_reader(text in "[{}\\[\\]\",:\\\\u0-9a-f.eE+\\- tlrsn]{0,24}") {
            let text = format!("{{\"a\":{text}}}");
            let (ours, oracle) = (parse_object(&text), serde_json::from_str::<serde_json::Value>(&text));
            prop_assert_eq!(ours.is_some(), oracle.is_ok(), "{}", text);
        }

        #[test]
        fn another_reader_reads_what_we_write(text: String) {
            let mut out = String::new();
            put_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn hostile_depth_ends_early() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_object(&deep(30)).is_some());
        assert_eq!(parse_object(&deep(100_000)), None);
        assert_eq!(parse_object(r#"{"a":"\ud800"}"#), None);
        assert_eq!(parse_object(r#"{"a":"\ud83d\ude00"}"#).unwrap().get("a").unwrap().as_str(), Some("😀"));
    }
}
