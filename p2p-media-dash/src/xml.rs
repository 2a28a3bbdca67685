//! XML as a flat tree that borrows from the text and knows where everything stands in it.
//!
//! Well-formedness is demanded where leaving it out would change the structure: tags must match and attributes be quoted. A stray `&` and
//! an attribute that is given twice are passed over. A DOCTYPE is skipped: no entity beyond the predefined ones is ever replaced.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::error::{MpdError, excerpt};

/// Elements of one document: an MPD of 24 hours has about 20,000 per timeline.
pub(crate) const MAX_ELEMENTS: usize = 500_000;

/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 256;

/// Longer values count as absent: they would be looked at again for each representation that inherits them.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// Elements around an element. An MPD needs 8; events may carry documents of their own.
const MAX_DEPTH: usize = 128;

/// A document: its elements in the order of their start tags.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    text: &'t str,
    nodes: Vec<Node>,
    attributes: Vec<AttributeSpans>,
    /// The namespace prefix of the root with its colon; elements that have it, too, are known by the rest of their name.
    prefix: &'t str,
}

/// Offsets into the text; it is shorter than 4 GiB.
#[derive(Debug)]
struct Node {
    /// From its `<` on.
    start: u32,
    name_end: u32,
    content_start: u32,
    content_end: u32,
    /// Up to and with the `>` of its end tag.
    end: u32,
    first_attribute: u32,
    attributes_end: u32,
    /// 0: none, as the root is no child.
    next_sibling: u32,
}

#[derive(Debug)]
struct AttributeSpans {
    name_start: u32,
    name_end: u32,
    value_start: u32,
    value_end: u32,
}

impl<'t> Document<'t> {
    /// Reads the root element and what is in it; what comes after it is not looked at.
    pub(crate) fn parse(text: &'t str) -> Result<Self, MpdError> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().allow_dangling_amp = true;
        let mut document = Self { text, nodes: Vec::new(), attributes: Vec::new(), prefix: "" };
        let mut open: Vec<OpenElement> = Vec::new();
        loop {
            let start = reader.buffer_position() as usize;
            let event = reader.read_event().map_err(|error| MpdError::Malformed {
                line: line_at(text, reader.error_position() as usize),
                problem: error.to_string(),
            })?;
            let end = reader.buffer_position() as usize;
            match event {
                Event::Start(tag) => {
                    if open.len() == MAX_DEPTH {
                        return Err(MpdError::TooDeep { line: line_at(text, start), limit: MAX_DEPTH });
                    }
                    let index = document.add(&tag, start..end, open.last_mut())?;
                    open.push(OpenElement { index, last_child: 0 });
                }
                Event::Empty(tag) => {
                    document.add(&tag, start..end, open.last_mut())?;
                    if open.is_empty() {
                        return Ok(document);
                    }
                }
                Event::End(_) => {
                    if let Some(closed) = open.pop() {
                        let node = &mut document.nodes[closed.index as usize];
                        node.content_end = start as u32;
                        node.end = end as u32;
                    }
                    if open.is_empty() {
                        return Ok(document);
                    }
                }
                Event::Eof => return Err(document.cut_off(open.last())),
                Event::Text(outside) if open.is_empty() && !outside.trim_ascii().is_empty() => return Err(not_xml(text)),
                Event::CData(_) | Event::GeneralRef(_) if open.is_empty() => return Err(not_xml(text)),
                _ => {}
            }
        }
    }

    pub(crate) fn root(&self) -> Element<'_> {
        Element { document: self, index: 0 }
    }

    /// The line, counted from 1, at this offset.
    pub(crate) fn line_at(&self, offset: usize) -> u32 {
        line_at(self.text, offset)
    }

    fn add(&mut self, tag: &BytesStart<'_>, span: Range<usize>, parent: Option<&mut OpenElement>) -> Result<u32, MpdError> {
        let too_many = |what, limit| MpdError::TooMany { line: line_at(self.text, span.start), what, limit };
        if self.nodes.len() == MAX_ELEMENTS {
            return Err(too_many("elements", MAX_ELEMENTS));
        }
        let index = self.nodes.len() as u32;
        let first_attribute = self.attributes.len();
        // A tag is borrowed from the text, so addresses tell where its parts stand.
        let offset = |part: &str| part.as_ptr() as usize - self.text.as_ptr() as usize;
        let mut attributes = tag.attributes();
        for attribute in attributes.with_checks(false) {
            let attribute = attribute.map_err(|error| MpdError::Malformed {
                line: line_at(self.text, span.start),
                problem: format!("<{}>: {error}", excerpt(tag.name().0)),
            })?;
            if self.attributes.len() - first_attribute == MAX_ATTRIBUTES {
                return Err(too_many("attributes of an element", MAX_ATTRIBUTES));
            }
            let (name_start, value_start) = (offset(attribute.key.0), offset(&attribute.value));
            self.attributes.push(AttributeSpans {
                name_start: name_start as u32,
                name_end: (name_start + attribute.key.0.len()) as u32,
                value_start: value_start as u32,
                value_end: (value_start + attribute.value.len()) as u32,
            });
        }
        let name_end = span.start + 1 + tag.name().0.len();
        if index == 0 {
            let name = &self.text[span.start + 1..name_end];
            self.prefix = &name[..name.find(':').map_or(0, |colon| colon + 1)];
        }
        self.nodes.push(Node {
            start: span.start as u32,
            name_end: name_end as u32,
            content_start: span.end as u32,
            content_end: span.end as u32,
            end: span.end as u32,
            first_attribute: first_attribute as u32,
            attributes_end: self.attributes.len() as u32,
            next_sibling: 0,
        });
        if let Some(parent) = parent {
            if parent.last_child != 0 {
                self.nodes[parent.last_child as usize].next_sibling = index;
            }
            parent.last_child = index;
        }
        Ok(index)
    }

    fn cut_off(&self, innermost: Option<&OpenElement>) -> MpdError {
        match innermost {
            Some(open) => {
                let name = Element { document: self, index: open.index }.name();
                MpdError::Malformed {
                    line: line_at(self.text, self.text.len()),
                    problem: format!("the text ends within <{}>", excerpt(name)),
                }
            }
            None => not_xml(self.text),
        }
    }
}

struct OpenElement {
    index: u32,
    last_child: u32,
}

/// An element of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'d> {
    document: &'d Document<'d>,
    index: u32,
}

impl<'d> Element<'d> {
    /// Its name, without the prefix that the root has.
    pub(crate) fn name(self) -> &'d str {
        let node = self.node();
        let name = &self.document.text[node.start as usize + 1..node.name_end as usize];
        name.strip_prefix(self.document.prefix).unwrap_or(name)
    }

    /// Which element of the document it is, in the order of start tags; the root is 0.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    /// The line, counted from 1, of its start tag.
    pub(crate) fn line(self) -> u32 {
        self.document.line_at(self.span().start)
    }

    /// The value of an attribute, references replaced. A value longer than any sane one counts as absent.
    pub(crate) fn attribute(self, name: &str) -> Option<Cow<'d, str>> {
        let attribute = self.attributes().find(|attribute| attribute.name == name)?;
        (attribute.raw.len() <= MAX_VALUE_BYTES).then(|| attribute.value())
    }

    /// Its attributes in order, as long as they may be.
    pub(crate) fn attributes(self) -> impl Iterator<Item = Attribute<'d>> {
        let (node, document) = (self.node(), self.document);
        document.attributes[node.first_attribute as usize..node.attributes_end as usize].iter().map(|spans| Attribute {
            name: &document.text[spans.name_start as usize..spans.name_end as usize],
            raw: &document.text[spans.value_start as usize..spans.value_end as usize],
            value_start: spans.value_start as usize,
        })
    }

    /// The elements in it, in order.
    pub(crate) fn children(self) -> impl Iterator<Item = Self> {
        let node = self.node();
        let first = self.index + 1;
        let has_children = self.document.nodes.get(first as usize).is_some_and(|next| next.start < node.content_end);
        std::iter::successors(has_children.then_some(Self { document: self.document, index: first }), |child| {
            let next = child.node().next_sibling;
            (next != 0).then_some(Self { document: child.document, index: next })
        })
    }

    /// The elements of this name in it, in order.
    pub(crate) fn children_named(self, name: &str) -> impl Iterator<Item = Self> {
        self.children().filter(move |child| child.name() == name)
    }

    /// The first element of this name in it.
    pub(crate) fn child(self, name: &str) -> Option<Self> {
        self.children_named(name).next()
    }

    /// The text directly in it, references replaced, without space around it.
    pub(crate) fn text(self) -> Cow<'d, str> {
        let source = self.document.text;
        let mut text = Cow::Borrowed("");
        let mut from = self.content_span().start;
        for child in self.children() {
            append_text(&mut text, &source[from..child.span().start]);
            from = child.span().end;
        }
        append_text(&mut text, &source[from..self.content_span().end]);
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        }
    }

    /// Where it stands in the text, with its tags.
    pub(crate) fn span(self) -> Range<usize> {
        self.node().start as usize..self.node().end as usize
    }

    /// Where that stands which is between its tags; empty behind an empty-element tag.
    pub(crate) fn content_span(self) -> Range<usize> {
        self.node().content_start as usize..self.node().content_end as usize
    }

    fn node(self) -> &'d Node {
        &self.document.nodes[self.index as usize]
    }
}

/// An attribute of an element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'d> {
    /// With its prefix: `xlink:href`.
    pub(crate) name: &'d str,
    /// Its value as it stands in the text.
    pub(crate) raw: &'d str,
    value_start: usize,
}

impl<'d> Attribute<'d> {
    /// Its value, references replaced.
    pub(crate) fn value(self) -> Cow<'d, str> {
        unescape(self.raw)
    }

    /// Where its value stands in the text, without the quotes.
    pub(crate) fn value_span(self) -> Range<usize> {
        self.value_start..self.value_start + self.raw.len()
    }
}

/// Replaces character references and the five predefined entities (XML 1.0, sections 4.1 and 4.6); an `&` that begins nothing of the kind stays.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    /// `&#x10FFFF;` with some leading zeros.
    const MAX_REFERENCE_BYTES: usize = 16;
    let Some(first) = raw.find('&') else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(begin) = rest.find('&') {
        text.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let end = rest.bytes().take(MAX_REFERENCE_BYTES).position(|byte| byte == b';');
        match end.and_then(|end| Some((referred(&rest[1..end])?, end))) {
            Some((char, end)) => {
                text.push(char);
                rest = &rest[end + 1..];
            }
            None => {
                text.push('&');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

fn referred(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let code = name.strip_prefix('#')?;
            let code = match code.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => code.parse(),
            };
            char::from_u32(code.ok()?).filter(|&char| char != '\0')
        }
    }
}

/// Appends what is text in a piece of content without elements: comments and processing instructions are not, CDATA is as it stands.
fn append_text<'d>(text: &mut Cow<'d, str>, mut content: &'d str) {
    while let Some(begin) = content.find('<') {
        append(text, unescape(&content[..begin]));
        content = &content[begin..];
        let (open, close) = match content.as_bytes() {
            [b'<', b'!', b'[', ..] => ("<![CDATA[", "]]>"),
            [b'<', b'!', ..] => ("<!--", "-->"),
            _ => ("<?", "?>"),
        };
        let inner = content.get(open.len()..).unwrap_or("");
        let end = inner.find(close).unwrap_or(inner.len());
        if close == "]]>" {
            append(text, Cow::Borrowed(&inner[..end]));
        }
        content = inner.get(end + close.len()..).unwrap_or("");
    }
    append(text, unescape(content));
}

fn append<'d>(text: &mut Cow<'d, str>, more: Cow<'d, str>) {
    if text.is_empty() {
        *text = more;
    } else if !more.is_empty() {
        text.to_mut().push_str(&more);
    }
}

fn not_xml(text: &str) -> MpdError {
    MpdError::NotXml { begins: excerpt(text.trim_start()) }
}

fn line_at(text: &str, offset: usize) -> u32 {
    let before = &text.as_bytes()[..offset.min(text.len())];
    before.iter().filter(|&&byte| byte == b'\n').count() as u32 + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(text: &str) -> String {
        Document::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_tree_with_names_attributes_and_text() {
        let text = "\n<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x 'y'>]><!-- c -->\n<a x=\"1\" y = '&lt;2&#x41;&amp;&bad; &'>t<b/>u<b>  v&amp;<![CDATA[&amp;<]]><!-- <c/> --><?pi?>w </b ></a> rest";
        let document = Document::parse(text).unwrap();
        let root = document.root();
        assert_eq!((root.name(), root.line(), root.index()), ("a", 3, 0));
        assert_eq!(root.attribute("x").as_deref(), Some("1"));
        assert_eq!(root.attribute("y").as_deref(), Some("<2A&&bad; &"));
        assert_eq!(root.attribute("z"), None);
        assert_eq!(root.text(), "tu");
        let children: Vec<_> = root.children().map(|child| (child.name(), child.index(), child.text())).collect();
        assert_eq!(children, [("b", 1, "".into()), ("b", 2, "v&&amp;<w".into())]);
        assert_eq!(root.child("b").map(Element::index), Some(1));
        assert!(root.child("c").is_none());
    }

    #[test]
    fn spans_lead_back_to_the_text() {
        let text = "<a><b k='v&amp;w'>t</b><c/></a>";
        let document = Document::parse(text).unwrap();
        let (b, c) = (document.root().child("b").unwrap(), document.root().child("c").unwrap());
        let attribute = b.attributes().next().unwrap();
        assert_eq!(&text[b.span()], "<b k='v&amp;w'>t</b>");
        assert_eq!(&text[b.content_span()], "t");
        assert_eq!((&text[c.span()], c.content_span().is_empty()), ("<c/>", true));
        assert_eq!((attribute.name, &text[attribute.value_span()]), ("k", "v&amp;w"));
        assert_eq!(&text[document.root().content_span()], "<b k='v&amp;w'>t</b><c/>");
    }

    #[test]
    fn siblings_come_after_each_other_whatever_is_in_them() {
        let document = Document::parse("<a><b><c/><c><d/></c></b><e/><f><g/></f></a>").unwrap();
        let names: Vec<_> = document.root().children().map(Element::name).collect();
        assert_eq!(names, ["b", "e", "f"]);
        assert_eq!(document.root().child("b").unwrap().children().count(), 2);
        assert_eq!(document.root().child("e").unwrap().children().count(), 0);
    }

    #[test]
    fn the_prefix_of_the_root_is_left_out() {
        let document = Document::parse("<m:a><m:b/><c/><n:d/></m:a>").unwrap();
        assert_eq!(document.root().name(), "a");
        assert_eq!(document.root().children().map(Element::name).collect::<Vec<_>>(), ["b", "c", "n:d"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert!(problem("").starts_with("not an MPD"));
        assert!(problem("  Not found").contains("\"Not found\""));
        assert!(problem("{}<a/>").starts_with("not an MPD"));
        assert!(problem("<![CDATA[x]]><a/>").starts_with("not an MPD"));
        assert_eq!(problem("<a>\n<b>"), "line 2: malformed XML: the text ends within <b>");
        assert!(problem("<a>\n\n</b>").starts_with("line 3: malformed XML"));
        assert!(problem("<a>\n<b x=1/></a>").starts_with("line 2: malformed XML: <b>"));
        assert!(problem("<a><b").starts_with("line 1: malformed XML"));
        assert!(problem("<a><!-- ").starts_with("line 1: malformed XML"));
    }

    #[test]
    fn limits_hold() {
        assert!(matches!(Document::parse(&"<a>".repeat(MAX_DEPTH + 1)), Err(MpdError::TooDeep { limit: MAX_DEPTH, .. })));
        let attributes: String = (0..=MAX_ATTRIBUTES).map(|number| format!(" a{number}=''")).collect();
        assert!(matches!(Document::parse(&format!("<a{attributes}/>")), Err(MpdError::TooMany { limit: MAX_ATTRIBUTES, .. })));
        assert!(matches!(
            Document::parse(&format!("<a>{}", "<b/>".repeat(MAX_ELEMENTS))),
            Err(MpdError::TooMany { limit: MAX_ELEMENTS, .. })
        ));
        let long = format!("<a b='{}'/>", "x".repeat(MAX_VALUE_BYTES + 1));
        assert_eq!(Document::parse(&long).unwrap().root().attribute("b"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_tree_or_an_error(text in "[-<>/&;#x!?\\[\\]ab:='\" é]{0,60}") {
            for text in [text.clone(), format!("<a>{text}</a>")] {
                let Ok(document) = Document::parse(&text) else { continue };
                let mut elements = vec![document.root()];
                while let Some(element) = elements.pop() {
                    let _ = (element.text(), element.name(), &text[element.span()], &text[element.content_span()]);
                    for attribute in element.attributes() {
                        prop_assert_eq!(attribute.raw, &text[attribute.value_span()]);
                    }
                    elements.extend(element.children());
                }
            }
        }
    }
}
