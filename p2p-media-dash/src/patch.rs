//! MPD patches (ISO/IEC 23009-1, section 5.15): the difference between two versions of an MPD, applied to the text of the first.
//!
//! A patch is a list of operations (RFC 5261), each of which points at something in the document that the operations before it have left. The
//! document is read once for as many operations as do not depend on each other.

mod edits;
mod selector;

use p2p_media_core::date_time::parse_date_time;

use self::edits::Edits;
use self::selector::{Found, Selector, Target};
use crate::MAX_MPD_BYTES;
use crate::encoding::decode;
use crate::escape::escape;
use crate::xml::{Document, Element};

/// Operations of one patch. A server that has more to say had better send the MPD.
const MAX_OPERATIONS: usize = 10_000;

/// Elements that are looked at for one patch, all operations together.
const MAX_VISITS: usize = 20_000_000;

/// How often the document is read again for one patch.
const MAX_READINGS: usize = 100;

/// Applies a patch document to the MPD that it is for. The result is UTF-8.
///
/// # Errors
/// When the patch is not one, is for another MPD or version, or points at something that is not there. The whole MPD is fetched then.
pub fn apply_patch(mpd: &[u8], patch: &[u8]) -> Result<Vec<u8>, PatchError> {
    let text = decode(mpd).map_err(|_| PatchError::Unreadable)?;
    let patch_text = decode(patch).map_err(|_| PatchError::Unreadable)?;
    let patch = Document::parse(&patch_text).map_err(|_| PatchError::Unreadable)?;
    let patch = patch.root();
    if patch.name() != "Patch" {
        return Err(PatchError::Unreadable);
    }
    let mut operations = Vec::new();
    for element in patch.children() {
        if operations.len() == MAX_OPERATIONS {
            return Err(PatchError::TooExtensive);
        }
        let number = operations.len() + 1;
        operations.push(Operation::read(element, &patch_text).ok_or(PatchError::NotApplicable(number))?);
    }

    let mut text = text.into_owned();
    let mut next = 0;
    let mut visits_left = MAX_VISITS;
    for reading in 0.. {
        if reading == MAX_READINGS {
            return Err(PatchError::TooExtensive);
        }
        let document =
            Document::parse(&text).map_err(|_| if reading == 0 { PatchError::Unreadable } else { PatchError::NotApplicable(next) })?;
        if reading == 0 {
            check_version(document.root(), patch)?;
        }
        let mut edits = Edits::new(&text, visits_left);
        while let Some(operation) = operations.get(next) {
            match operation.apply(document.root(), &mut edits) {
                Ok(()) => next += 1,
                Err(Unapplied::TooExtensive) => return Err(PatchError::TooExtensive),
                // Perhaps the operations before it make it possible.
                Err(_) if !edits.is_empty() => break,
                Err(Unapplied::Ambiguous | Unapplied::Later) => return Err(PatchError::NotApplicable(next + 1)),
            }
        }
        let is_last = next == operations.len();
        if is_last {
            edits.set_publish_time(document.root(), patch.attribute("publishTime").as_deref());
        }
        (text, visits_left) = edits.apply();
        if text.len() > MAX_MPD_BYTES {
            return Err(PatchError::TooExtensive);
        }
        if is_last {
            break;
        }
    }
    Ok(text.into_bytes())
}

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The MPD or the patch is not readable as XML, or too long or deep.
    #[error("the MPD or the patch of the origin is not readable")]
    Unreadable,
    /// It is for another MPD, or another version of it.
    #[error("the patch is for another version of the MPD")]
    OtherVersion,
    /// An operation, counted from 1, points at nothing, or at several things, or is not one.
    #[error("operation {0} of the origin's patch cannot be applied")]
    NotApplicable(usize),
    /// More work than fetching the MPD would be.
    #[error("the origin's patch is too extensive")]
    TooExtensive,
}

/// A patch is for the MPD with its @mpdId and @originalPublishTime.
fn check_version(mpd: Element<'_>, patch: Element<'_>) -> Result<(), PatchError> {
    let same = |ours: &str, theirs: &str| {
        let (ours, theirs) = (mpd.attribute(ours)?, patch.attribute(theirs)?);
        // The same moment may be written in several ways.
        let moments = parse_date_time(&ours).zip(parse_date_time(&theirs));
        Some(ours.trim() == theirs.trim() || moments.is_some_and(|(ours, theirs)| ours == theirs))
    };
    let is_same = same("id", "mpdId") == Some(true) && same("publishTime", "originalPublishTime") == Some(true);
    if is_same { Ok(()) } else { Err(PatchError::OtherVersion) }
}

/// RFC 5261, section 4.
struct Operation<'p> {
    selector: Selector,
    kind: OperationKind<'p>,
}

enum OperationKind<'p> {
    /// Elements as XML, at a place.
    Add(&'p str, Position),
    /// An attribute of that name with that text.
    AddAttribute(String, String),
    /// An element as XML.
    ReplaceElement(&'p str),
    /// Another value or content.
    ReplaceText(String),
    Remove,
}

/// Where elements are added, as seen from the one that is pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Append,
    Prepend,
    Before,
    After,
}

/// Why an operation cannot be applied to the document as it was read.
enum Unapplied {
    /// It points at nothing, or at several things.
    Ambiguous,
    /// It depends on operations that have yet to be made.
    Later,
    /// No more elements are looked at.
    TooExtensive,
}

impl<'p> Operation<'p> {
    fn read(element: Element<'_>, patch: &'p str) -> Option<Self> {
        let selector = Selector::parse(&element.attribute("sel")?)?;
        let content = patch.get(element.content_span())?.trim();
        let kind = match element.name() {
            "add" => match element.attribute("type") {
                Some(kind) => OperationKind::AddAttribute(attribute_name(kind.strip_prefix('@')?)?, element.text().into_owned()),
                None => OperationKind::Add(
                    content,
                    match element.attribute("pos").as_deref() {
                        None => Position::Append,
                        Some("prepend") => Position::Prepend,
                        Some("before") => Position::Before,
                        Some("after") => Position::After,
                        Some(_) => return None,
                    },
                ),
            },
            "replace" if selector.target == Target::Element => {
                // One element takes the place of another.
                let mut children = element.children();
                let child = children.next().filter(|_| children.next().is_none())?;
                OperationKind::ReplaceElement(patch.get(child.span())?)
            }
            "replace" => OperationKind::ReplaceText(element.text().into_owned()),
            "remove" => OperationKind::Remove,
            _ => return None,
        };
        Some(Self { selector, kind })
    }

    fn apply(&self, root: Element<'_>, edits: &mut Edits<'_>) -> Result<(), Unapplied> {
        let Found { parent, element } = self.selector.find(root, edits)?;
        match (&self.kind, &self.selector.target) {
            (OperationKind::Add(content, position), Target::Element) => edits.add(parent, element, content, *position),
            (OperationKind::AddAttribute(name, text), Target::Element) => edits.set_attribute(element, name, &escape(text)),
            (OperationKind::ReplaceElement(content), Target::Element) => edits.replace(parent, element, content),
            (OperationKind::ReplaceText(text), Target::Attribute(name)) => {
                element.attribute(name).ok_or(Unapplied::Ambiguous)?;
                edits.set_attribute(element, name, &escape(text))
            }
            (OperationKind::ReplaceText(text), Target::Text) => edits.set_text(element, &escape(text)),
            (OperationKind::Remove, Target::Element) => edits.remove(parent, element),
            (OperationKind::Remove, Target::Attribute(name)) => edits.remove_attribute(element, name),
            (OperationKind::Remove, Target::Text) => edits.set_text(element, ""),
            _ => Err(Unapplied::Ambiguous),
        }
    }
}

/// A name that cannot be anything else in a tag.
fn attribute_name(name: &str) -> Option<String> {
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, ':' | '_' | '-' | '.');
    let begins = name.starts_with(|char: char| char.is_alphabetic() || char == '_');
    (begins && name.chars().all(is_part)).then(|| name.to_owned())
}

#[cfg(test)]
#[path = "patch/tests.rs"]
mod tests;
