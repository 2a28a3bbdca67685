//! Variables of a playlist (EXT-X-DEFINE, RFC 8216bis, section 4.4.2.3).

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::{memchr, memmem};

use crate::attributes::{Attribute, Attributes};
use crate::error::PlaylistError;
use crate::uri::Resolver;

/// All values put in for variables in one playlist, in bytes: a few lines that double each other would fill any memory.
const MAX_SUBSTITUTED_BYTES: usize = 8 * 1024 * 1024;

/// The variables that a playlist has defined, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// The variables of a playlist while it is read, and what is left of the limit on substitution.
#[derive(Debug)]
pub(crate) struct Scope<'v> {
    imported: &'v Variables,
    defined: Variables,
    bytes_left: usize,
}

impl<'v> Scope<'v> {
    /// Nothing defined; `imported` are the variables of the multivariant playlist.
    pub(crate) const fn new(imported: &'v Variables) -> Self {
        Self { imported, defined: Variables(BTreeMap::new()), bytes_left: MAX_SUBSTITUTED_BYTES }
    }

    /// What has been defined.
    pub(crate) fn into_defined(self) -> Variables {
        self.defined
    }

    /// Takes in one EXT-X-DEFINE. A variable that the query or the multivariant playlist lacks stays undefined: only a reference to it is
    /// an error.
    pub(crate) fn define(&mut self, list: &str, resolver: &Resolver, line: u32) -> Result<(), PlaylistError> {
        let (mut name, mut value) = (None, None);
        for attribute in Attributes::of(list) {
            let text = self.attribute(&attribute, line)?;
            match attribute.name {
                "NAME" => name = Some(text.into_owned()),
                "VALUE" => value = Some(text.into_owned()),
                "QUERYPARAM" => {
                    value = resolver.query_parameter(&text);
                    name = Some(text.into_owned());
                }
                "IMPORT" => {
                    value = self.imported.get(&text).map(str::to_owned);
                    name = Some(text.into_owned());
                }
                _ => {}
            }
        }
        let name = name.ok_or(PlaylistError::Tag { line, tag: "EXT-X-DEFINE", problem: "neither NAME nor IMPORT nor QUERYPARAM" })?;
        if self.defined.get(&name).is_some() {
            return Err(PlaylistError::VariableDefinedTwice { line, name });
        }
        if let Some(value) = value {
            self.defined.0.insert(name, value);
        }
        Ok(())
    }

    /// The value of an attribute with its variables replaced, where the attribute may hold any.
    pub(crate) fn attribute<'t>(&mut self, attribute: &Attribute<'t>, line: u32) -> Result<Cow<'t, str>, PlaylistError> {
        let hexadecimal = || attribute.value.starts_with("0x") || attribute.value.starts_with("0X") || attribute.name == "IV";
        if attribute.quoted || hexadecimal() { self.substitute(attribute.value, line) } else { Ok(Cow::Borrowed(attribute.value)) }
    }

    /// `text` with every `{$name}` replaced.
    pub(crate) fn substitute<'t>(&mut self, text: &'t str, line: u32) -> Result<Cow<'t, str>, PlaylistError> {
        if memchr(b'{', text.as_bytes()).is_none() {
            return Ok(Cow::Borrowed(text));
        }
        let mut rest = text;
        let mut out = String::new();
        while let Some(start) = memmem::find(rest.as_bytes(), b"{$") {
            let Some(len) = rest[start + 2..].bytes().position(|byte| !is_name_byte(byte)) else { break };
            let end = start + 2 + len;
            if len == 0 || rest.as_bytes()[end] != b'}' {
                out.push_str(&rest[..start + 2]);
                rest = &rest[start + 2..];
                continue;
            }
            let name = &rest[start + 2..end];
            let value = self.defined.get(name).ok_or_else(|| PlaylistError::UndefinedVariable { line, name: name.to_owned() })?;
            self.bytes_left = self.bytes_left.checked_sub(value.len()).ok_or(PlaylistError::TooMany {
                line,
                what: "bytes of variables' values",
                limit: MAX_SUBSTITUTED_BYTES,
            })?;
            out.push_str(&rest[..start]);
            out.push_str(value);
            rest = &rest[end + 1..];
        }
        if rest.len() == text.len() {
            return Ok(Cow::Borrowed(text));
        }
        out.push_str(rest);
        Ok(Cow::Owned(out))
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope<'v>(imported: &'v Variables, lists: &[&str]) -> Scope<'v> {
        let resolver = Resolver::new("https://a.example/x?token=a%20b").unwrap();
        let mut scope = Scope::new(imported);
        for list in lists {
            scope.define(list, &resolver, 1).unwrap();
        }
        scope
    }

    #[test]
    fn names_imports_and_query_parameters() {
        let imported = Variables::from_iter([("host", "h.example")]);
        let mut scope =
            scope(&imported, &[r#"NAME="a",VALUE="1""#, r#"IMPORT="host""#, r#"QUERYPARAM="token""#, r#"NAME="b",VALUE="{$a}{$a}""#]);
        assert_eq!(scope.substitute("https://{$host}/{$b}?{$token}{", 1).unwrap(), "https://h.example/11?a b{");
        assert_eq!(scope.substitute("{$} {$a b} {x} {$é}", 1).unwrap(), "{$} {$a b} {x} {$é}");
        assert_eq!(scope.substitute("{${$a}}", 1).unwrap(), "{$1}");
    }

    #[test]
    fn what_is_undefined_matters_only_where_it_is_used() {
        let none = Variables::default();
        let mut scope = scope(&none, &[r#"IMPORT="host""#, r#"QUERYPARAM="nope""#]);
        assert_eq!(scope.substitute("{$host}", 3), Err(PlaylistError::UndefinedVariable { line: 3, name: "host".into() }));
    }

    #[test]
    fn substitution_is_bounded() {
        let none = Variables::default();
        let mut scope = scope(&none, &[&format!("NAME=\"a0\",VALUE=\"{}\"", "x".repeat(1000))]);
        let resolver = Resolver::new("https://a.example/").unwrap();
        let failed = (1..64).find_map(|n| {
            let list = format!("NAME=\"a{n}\",VALUE=\"{{$a{0}}}{{$a{0}}}\"", n - 1);
            scope.define(&list, &resolver, n).err()
        });
        assert!(matches!(failed, Some(PlaylistError::TooMany { .. })));
    }

    #[test]
    fn a_second_definition_is_an_error() {
        let none = Variables::default();
        let mut scope = scope(&none, &[r#"NAME="a",VALUE="1""#]);
        let resolver = Resolver::new("https://a.example/").unwrap();
        assert!(matches!(scope.define(r#"NAME="a",VALUE="2""#, &resolver, 9), Err(PlaylistError::VariableDefinedTwice { line: 9, .. })));
    }
}
