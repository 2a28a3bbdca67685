//! Replaces URLs in the text of an MPD and leaves every other byte as it is.

use std::borrow::Cow;
use std::ops::Range;

use crate::MpdError;
use crate::base_url::{BaseUrls, UrlBudget};
use crate::error::excerpt;
use crate::escape::{escape, escape_cdata};
use crate::xml::{Document, Element};

/// What is in them is not of the MPD: documents of others, and URLs that nobody fetches for the media.
const FOREIGN: [&str; 5] = ["EventStream", "ContentProtection", "ProgramInformation", "SupplementalProperty", "EssentialProperty"];

/// Different BaseURLs of representations that inherit the same segment information, as far as they are compared. With more of them a relative
/// URL means different things, which is found out with two.
const MAX_BASES_IN_USE: usize = 16;

/// Asks for an element to be left out; nothing to be fetched.
const RESOLVE_TO_ZERO: &str = "urn:mpeg:dash:resolve-to-zero:2013";

/// What a URL in an MPD is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlKind {
    /// BaseURL: what the URLs in its parent and below it are relative to.
    BaseUrl,
    /// Location: the next version of the MPD.
    Location,
    /// PatchLocation.
    PatchLocation,
    /// SegmentTemplate@media or SegmentURL@media, maybe with `$Number$` and the like.
    Media,
    /// SegmentTemplate@initialization or Initialization@sourceURL.
    Initialization,
    /// SegmentTemplate@index, SegmentURL@index, RepresentationIndex@sourceURL.
    Index,
    /// BitstreamSwitching@sourceURL, SegmentTemplate@bitstreamSwitching.
    BitstreamSwitching,
    /// xlink:href of a remote element.
    Xlink,
}

/// One URL of an MPD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlReference<'a> {
    /// What it is for.
    pub kind: UrlKind,
    /// As written, character references replaced: `a.m4s?x=1&y=$Number$`.
    pub written: &'a str,
    /// What it means: resolved against the BaseURLs above it (the first of each level) and the URL of the MPD; templates keep their `$…$`.
    pub absolute: &'a str,
    /// What it is relative to: the BaseURLs above it (the first of each level), resolved against the URL of the MPD; that URL where there are none.
    pub base: &'a str,
}

/// The MPD with the URLs replaced for which `replace` gives something else; byte for byte the same when it gives nothing. What is put in is
/// escaped for XML. Below a BaseURL that is replaced relative URLs are relative to the new one; `absolute` is always what the MPD meant as it
/// was. A relative URL of segment information that representations inherit is left alone where their BaseURLs differ, as it has no one meaning.
///
/// `url` is where the MPD came from, after redirects. A patch of an MPD (ISO/IEC 23009-1, section 5.15) is taken, too: of its URLs only those are
/// offered that mean the same at any place below the host of `url`.
///
/// # Errors
/// When `url` is not absolute, or the text is not a readable MPD.
pub fn rewrite_urls<'t>(
    text: &'t [u8],
    url: &str,
    replace: impl FnMut(&UrlReference<'_>) -> Option<String>,
) -> Result<Cow<'t, [u8]>, MpdError> {
    let source = Source::of(text)?;
    let document = Document::parse(&source.text)?;
    let root = document.root();
    let is_patch = match root.name() {
        "MPD" => false,
        "Patch" => true,
        name => return Err(MpdError::NotAnMpd { line: root.line(), root: excerpt(name) }),
    };
    let of_document = BaseUrls::of_mpd(url)?;
    let mut rewriter =
        Rewriter { text: &source.text, of_document: of_document.clone(), is_patch, budget: UrlBudget::new(), replace, edits: Vec::new() };
    rewriter.element(root, &of_document.of_contents(root))?;
    let mut edits = rewriter.edits;
    if edits.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    // A BaseURL is read where its parent is.
    edits.sort_by_key(|(span, _)| span.start);
    Ok(Cow::Owned(source.edited(text, &edits)))
}

/// Bytes as text, for reading.
struct Source<'t> {
    text: Cow<'t, str>,
    /// UTF-8, so that offsets are those of the bytes, with a byte order mark of this length.
    utf8_mark: Option<usize>,
}

impl<'t> Source<'t> {
    fn of(bytes: &'t [u8]) -> Result<Self, MpdError> {
        let text = crate::encoding::decode(bytes)?;
        let is_utf16 = matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [b'<', 0, ..] | [0, b'<', ..]);
        if is_utf16 {
            return Ok(Self { text, utf8_mark: None });
        }
        let mark = if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) { 3 } else { 0 };
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text),
            // As long as the bytes are.
            Cow::Owned(_) => Cow::Owned(bytes[mark..].utf8_chunks().fold(String::new(), |text, chunk| {
                let unknown = "?".repeat(chunk.invalid().len());
                text + chunk.valid() + &unknown
            })),
        };
        Ok(Self { text, utf8_mark: Some(mark) })
    }

    fn edited(&self, bytes: &[u8], edits: &[(Range<usize>, String)]) -> Vec<u8> {
        let Some(mark) = self.utf8_mark else {
            let text = splice(self.text.as_bytes(), 0, edits);
            let text = String::from_utf8_lossy(&text);
            let is_big_endian = matches!(bytes, [0xFE, 0xFF, ..] | [0, ..]);
            let has_mark = !matches!(bytes, [b'<', ..] | [0, ..]);
            let units = has_mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
            return units.flat_map(|unit| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        };
        splice(bytes, mark, edits)
    }
}

/// `bytes` with pieces replaced; they are in order and do not overlap. `shift` is where offset 0 is.
fn splice(bytes: &[u8], shift: usize, edits: &[(Range<usize>, String)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + edits.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut copied = 0;
    for (span, text) in edits {
        out.extend_from_slice(&bytes[copied..span.start + shift]);
        out.extend_from_slice(text.as_bytes());
        copied = span.end + shift;
    }
    out.extend_from_slice(&bytes[copied..]);
    out
}

struct Rewriter<'d, F> {
    text: &'d str,
    of_document: BaseUrls,
    is_patch: bool,
    budget: UrlBudget,
    replace: F,
    edits: Vec<(Range<usize>, String)>,
}

impl<F: FnMut(&UrlReference<'_>) -> Option<String>> Rewriter<'_, F> {
    /// As deep as the tree, which is bounded.
    fn element(&mut self, element: Element<'_>, bases: &BaseUrls) -> Result<(), MpdError> {
        self.attributes(element, std::slice::from_ref(bases))?;
        let below = bases.below(element, &mut self.budget)?;
        for child in element.children() {
            match child.name() {
                "BaseURL" => self.content(child, UrlKind::BaseUrl, bases)?,
                "Location" => self.content(child, UrlKind::Location, &self.of_document.clone())?,
                "PatchLocation" => self.content(child, UrlKind::PatchLocation, &self.of_document.clone())?,
                "SegmentTemplate" | "SegmentList" | "SegmentBase" => {
                    let mut in_use = Vec::new();
                    self.bases_in_use(element, &below, &mut in_use)?;
                    self.segments(child, if in_use.is_empty() { std::slice::from_ref(&below) } else { &in_use })?;
                }
                "add" | "replace" if self.is_patch && child.children().next().is_none() => self.operation(child, bases)?,
                name if FOREIGN.contains(&name) => {}
                _ => self.element(child, &below)?,
            }
        }
        Ok(())
    }

    /// What the representations in an element, which inherit its segment information, have as their BaseURLs.
    fn bases_in_use(&mut self, element: Element<'_>, bases: &BaseUrls, in_use: &mut Vec<BaseUrls>) -> Result<(), MpdError> {
        if element.name() == "Representation" {
            if in_use.len() < MAX_BASES_IN_USE && !in_use.iter().any(|known| known.first() == bases.first()) {
                in_use.push(bases.clone());
            }
            return Ok(());
        }
        for child in element.children().filter(|child| matches!(child.name(), "AdaptationSet" | "Representation")) {
            let below = bases.below(child, &mut self.budget)?;
            self.bases_in_use(child, &below, in_use)?;
        }
        Ok(())
    }

    /// Segment information.
    fn segments(&mut self, element: Element<'_>, bases: &[BaseUrls]) -> Result<(), MpdError> {
        self.attributes(element, bases)?;
        element.children().filter(|child| child.name() != "SegmentTimeline").try_for_each(|child| self.segments(child, bases))
    }

    fn attributes(&mut self, element: Element<'_>, bases: &[BaseUrls]) -> Result<(), MpdError> {
        for attribute in element.attributes() {
            let Some(kind) = kind_of_attribute(element.name(), attribute.name) else { continue };
            let written = attribute.value();
            let of_document = [self.of_document.clone()];
            let bases = if kind == UrlKind::Xlink { &of_document } else { bases };
            let is_template = element.name() == "SegmentTemplate" && kind != UrlKind::Xlink;
            if let Some(replacement) = self.ask(element, kind, written.trim(), is_template, bases)? {
                self.edits.push((attribute.value_span(), escape(&replacement)));
            }
        }
        Ok(())
    }

    /// The text of an element.
    fn content(&mut self, element: Element<'_>, kind: UrlKind, bases: &BaseUrls) -> Result<(), MpdError> {
        let written = element.text();
        let Some(replacement) = self.ask(element, kind, &written, false, std::slice::from_ref(bases))? else { return Ok(()) };
        let span = element.content_span();
        let content = &self.text[span.clone()];
        let start = span.start + (content.len() - content.trim_start().len());
        let content = content.trim();
        let cdata = content.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>")).filter(|inner| !inner.contains("]]>"));
        self.edits.push(match cdata {
            Some(inner) => {
                let start = start + content.len() - "]]>".len() - inner.len();
                (start..start + inner.len(), escape_cdata(&replacement))
            }
            None => (start..start + content.len(), escape(&replacement)),
        });
        Ok(())
    }

    /// An operation of a patch on an attribute that is a URL.
    fn operation(&mut self, element: Element<'_>, bases: &BaseUrls) -> Result<(), MpdError> {
        let Some(selector) = element.attribute("sel") else { return Ok(()) };
        let (path, attribute) = match element.attribute("type") {
            Some(kind) => (selector.to_string(), kind.strip_prefix('@').unwrap_or_default().to_owned()),
            None => selector.rsplit_once("/@").map(|(path, name)| (path.to_owned(), name.to_owned())).unwrap_or_default(),
        };
        let name = path.rsplit('/').next().and_then(|step| step.split('[').next()).unwrap_or_default();
        match kind_of_attribute(name, &attribute) {
            Some(kind) => self.content(element, kind, bases),
            None => Ok(()),
        }
    }

    fn ask(
        &mut self,
        element: Element<'_>,
        kind: UrlKind,
        written: &str,
        is_template: bool,
        bases: &[BaseUrls],
    ) -> Result<Option<String>, MpdError> {
        if written.is_empty() || (kind == UrlKind::Xlink && written == RESOLVE_TO_ZERO) {
            return Ok(None);
        }
        // What a relative URL in a patch is relative to stands in the MPD.
        if self.is_patch && !written.starts_with('/') && !has_scheme(written) {
            return Ok(None);
        }
        let mut meaning = None;
        for bases in bases {
            // A `$` of a BaseURL must not begin an identifier.
            let absolute = if is_template && bases.first().contains('$') {
                bases.resolve_template(written, element, &mut self.budget)?
            } else {
                bases.resolve(written, element, &mut self.budget)?
            };
            let Some(absolute) = absolute else { return Ok(None) };
            // It means something else to another representation.
            if meaning.as_ref().is_some_and(|(known, _)| *known != absolute) {
                return Ok(None);
            }
            meaning.get_or_insert((absolute, bases.first()));
        }
        let Some((absolute, base)) = meaning else { return Ok(None) };
        let replacement = (self.replace)(&UrlReference { kind, written, absolute: &absolute, base });
        Ok(replacement.filter(|replacement| replacement != written))
    }
}

/// RFC 3986, section 3.1.
fn has_scheme(url: &str) -> bool {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn kind_of_attribute(element: &str, attribute: &str) -> Option<UrlKind> {
    Some(match (element, attribute) {
        ("SegmentTemplate" | "SegmentURL", "media") => UrlKind::Media,
        ("SegmentTemplate", "initialization") | ("Initialization", "sourceURL") => UrlKind::Initialization,
        ("SegmentTemplate" | "SegmentURL", "index") | ("RepresentationIndex", "sourceURL") => UrlKind::Index,
        ("SegmentTemplate", "bitstreamSwitching") | ("BitstreamSwitching", "sourceURL") => UrlKind::BitstreamSwitching,
        (_, "xlink:href") => UrlKind::Xlink,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "rewrite/tests.rs"]
mod tests;
