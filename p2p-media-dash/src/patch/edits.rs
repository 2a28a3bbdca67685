//! Changes of a text at places that an XML tree of it names, all made at once.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::{Position, Unapplied};
use crate::escape::escape;
use crate::xml::Element;

/// Changes that have yet to be made, and what they make the tree useless for. Elements are known by [`Element::index`].
pub(super) struct Edits<'t> {
    text: &'t str,
    edits: Vec<(Range<usize>, String)>,
    /// Elements whose children are not those of the tree any more.
    disturbed: HashSet<usize>,
    /// Elements that got more children behind those of the tree.
    appended_to: HashSet<usize>,
    /// Elements with attributes that were changed, and which.
    attributes: HashMap<usize, Vec<String>>,
    /// Elements that may still be looked at for this patch.
    visits_left: usize,
}

impl<'t> Edits<'t> {
    pub(super) fn new(text: &'t str, visits_left: usize) -> Self {
        Self { text, edits: Vec::new(), disturbed: HashSet::new(), appended_to: HashSet::new(), attributes: HashMap::new(), visits_left }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The text with all changes, and the visits that are left.
    pub(super) fn apply(mut self) -> (String, usize) {
        // Insertions come before what begins at the same place, among themselves in the order of their making.
        self.edits.sort_by_key(|(span, _)| (span.start, span.end));
        let mut text = String::with_capacity(self.text.len() + self.edits.iter().map(|(_, text)| text.len()).sum::<usize>());
        let mut copied = 0;
        for (span, replacement) in &self.edits {
            // Never before what was copied, as edits within others are dropped.
            text.push_str(self.text.get(copied..span.start).unwrap_or_default());
            text.push_str(replacement);
            copied = span.end.max(copied);
        }
        text.push_str(&self.text[copied..]);
        (text, self.visits_left)
    }

    /// To be called for each element that is looked at.
    pub(super) fn spend(&mut self) -> Result<(), Unapplied> {
        self.visits_left = self.visits_left.checked_sub(1).ok_or(Unapplied::TooExtensive)?;
        Ok(())
    }

    /// An error when the children of the element are not those of the tree any more.
    pub(super) fn look_into(&self, element: Element<'_>) -> Result<(), Unapplied> {
        if self.disturbed.contains(&element.index()) { Err(Unapplied::Later) } else { Ok(()) }
    }

    /// The same for the last child.
    pub(super) fn look_at_last(&self, element: Element<'_>) -> Result<(), Unapplied> {
        if self.appended_to.contains(&element.index()) { Err(Unapplied::Later) } else { Ok(()) }
    }

    /// The same for an attribute of the element.
    pub(super) fn look_at_attribute(&self, element: Element<'_>, name: &str) -> Result<(), Unapplied> {
        let is_changed = self.attributes.get(&element.index()).is_some_and(|names| names.iter().any(|changed| changed == name));
        if is_changed { Err(Unapplied::Later) } else { Ok(()) }
    }

    pub(super) fn add(
        &mut self,
        parent: Option<Element<'_>>,
        element: Element<'_>,
        content: &str,
        position: Position,
    ) -> Result<(), Unapplied> {
        if matches!(position, Position::Before | Position::After) {
            let parent = parent.ok_or(Unapplied::Ambiguous)?;
            self.look_at_last(parent)?;
            self.disturbed.insert(parent.index());
            let at = if position == Position::Before { element.span().start } else { element.span().end };
            self.insert(at, content);
            return Ok(());
        }
        self.look_into(element)?;
        if let Some(name) = self.name_of_empty(element) {
            self.disturbed.insert(element.index());
            self.open_up(element, &format!("{content}</{name}>"));
        } else if position == Position::Append {
            self.appended_to.insert(element.index());
            self.insert(element.content_span().end, content);
        } else {
            self.look_at_last(element)?;
            self.disturbed.insert(element.index());
            self.insert(element.content_span().start, content);
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, parent: Option<Element<'_>>, element: Element<'_>, content: &str) -> Result<(), Unapplied> {
        let parent = parent.ok_or(Unapplied::Ambiguous)?;
        self.disturbed.insert(parent.index());
        self.put(element.span(), content);
        Ok(())
    }

    pub(super) fn remove(&mut self, parent: Option<Element<'_>>, element: Element<'_>) -> Result<(), Unapplied> {
        let parent = parent.ok_or(Unapplied::Ambiguous)?;
        self.disturbed.insert(parent.index());
        self.put(element.span(), "");
        Ok(())
    }

    /// `text` is escaped.
    pub(super) fn set_text(&mut self, element: Element<'_>, text: &str) -> Result<(), Unapplied> {
        self.look_into(element)?;
        self.look_at_last(element)?;
        if element.children().next().is_some() {
            return Err(Unapplied::Ambiguous);
        }
        self.disturbed.insert(element.index());
        match self.name_of_empty(element) {
            Some(name) => self.open_up(element, &format!("{text}</{name}>")),
            None => self.put(element.content_span(), text),
        }
        Ok(())
    }

    /// Gives the attribute another value, or adds it. `value` is escaped.
    pub(super) fn set_attribute(&mut self, element: Element<'_>, name: &str, value: &str) -> Result<(), Unapplied> {
        self.look_at_attribute(element, name)?;
        let known = element.attributes().find(|attribute| attribute.name == name);
        match known {
            Some(attribute) => self.put(attribute.value_span(), value),
            None => {
                let end = element.span().start + 1 + self.raw_name(element).len();
                self.insert(end, &format!(" {name}=\"{value}\""));
            }
        }
        self.attributes.entry(element.index()).or_default().push(name.to_owned());
        Ok(())
    }

    pub(super) fn remove_attribute(&mut self, element: Element<'_>, name: &str) -> Result<(), Unapplied> {
        self.look_at_attribute(element, name)?;
        let attribute = element.attributes().find(|attribute| attribute.name == name).ok_or(Unapplied::Ambiguous)?;
        let value = attribute.value_span();
        // Between the name and the quote there is an equals sign, and maybe space.
        let before = self.text[..value.start - 1].trim_end().trim_end_matches('=').trim_end();
        let start = before[..before.len() - name.len()].trim_end().len();
        self.put(start..value.end + 1, "");
        self.attributes.entry(element.index()).or_default().push(name.to_owned());
        Ok(())
    }

    /// The version that the document is now, unless an operation has said so.
    pub(super) fn set_publish_time(&mut self, root: Element<'_>, time: Option<&str>) {
        if let Some(time) = time {
            // That it was set already is all that can be wrong.
            let _already_set = self.set_attribute(root, "publishTime", &escape(time));
        }
    }

    /// The name as written, with its prefix.
    fn raw_name(&self, element: Element<'_>) -> &'t str {
        let tag = &self.text[element.span().start + 1..];
        let end = tag.find(|char: char| char.is_whitespace() || matches!(char, '/' | '>')).unwrap_or(tag.len());
        &tag[..end]
    }

    /// The name of an element that is an empty-element tag.
    fn name_of_empty(&self, element: Element<'_>) -> Option<&'t str> {
        let span = element.span();
        let is_empty = element.content_span() == (span.end..span.end) && self.text[span].ends_with("/>");
        is_empty.then(|| self.raw_name(element))
    }

    /// Turns an empty-element tag into a start tag with something behind it.
    fn open_up(&mut self, element: Element<'_>, behind: &str) {
        let end = element.span().end;
        self.put(end - "/>".len()..end, &format!(">{behind}"));
    }

    fn insert(&mut self, at: usize, text: &str) {
        self.edits.push((at..at, text.to_owned()));
    }

    /// Changes within the span are lost with what they changed.
    fn put(&mut self, span: Range<usize>, text: &str) {
        self.edits.retain(|(edited, _)| !(span.start < edited.start && edited.end < span.end));
        self.edits.push((span, text.to_owned()));
    }
}
