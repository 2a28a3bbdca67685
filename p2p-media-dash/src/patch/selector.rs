//! What operations of a patch point with: the part of XPath that ISO/IEC 23009-1, section 5.15.3, and RFC 5261, section 4.1, allow.

use super::Unapplied;
use super::edits::Edits;
use crate::xml::Element;

/// Steps of one path: twice as many as an MPD is deep.
const MAX_STEPS: usize = 32;

/// A path from the root to an element, and what is meant of it.
#[derive(Debug)]
pub(super) struct Selector {
    steps: Vec<Step>,
    pub(super) target: Target,
}

/// An element, and the one around it; the root has none.
#[derive(Clone, Copy)]
pub(super) struct Found<'d> {
    pub(super) parent: Option<Element<'d>>,
    pub(super) element: Element<'d>,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Element,
    /// Its attribute of that name.
    Attribute(String),
    /// The text in it.
    Text,
}

/// `Name[@id='1'][2]`
#[derive(Debug)]
struct Step {
    /// Without a prefix; `*` for any.
    name: String,
    predicates: Vec<Predicate>,
}

#[derive(Debug)]
enum Predicate {
    /// The n-th, from 1, of those left.
    Position(usize),
    Last,
    /// Those whose attribute has that value.
    Attribute(String, String),
}

impl Selector {
    /// `None` for what is not of the restricted form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut target = Target::Element;
        let mut rest = text.trim();
        while !rest.is_empty() {
            rest = rest.strip_prefix('/')?;
            if target != Target::Element || steps.len() == MAX_STEPS {
                return None;
            }
            if let Some(name) = rest.strip_prefix('@') {
                target = Target::Attribute(super::attribute_name(name)?);
                rest = "";
            } else if rest == "text()" || rest == "text()[1]" {
                target = Target::Text;
                rest = "";
            } else {
                steps.push(Step::parse(&mut rest)?);
            }
        }
        (!steps.is_empty()).then_some(Self { steps, target })
    }

    /// The one element that the path leads to.
    pub(super) fn find<'d>(&self, root: Element<'d>, edits: &mut Edits<'_>) -> Result<Found<'d>, Unapplied> {
        let mut found = vec![Found { parent: None, element: root }];
        let (first, rest) = self.steps.split_first().ok_or(Unapplied::Ambiguous)?;
        if !first.is_of(root.name()) {
            return Err(Unapplied::Ambiguous);
        }
        for step in rest {
            let mut next = Vec::new();
            for Found { element: parent, .. } in found {
                edits.look_into(parent)?;
                next.extend(step.children(parent, edits)?.into_iter().map(|element| Found { parent: Some(parent), element }));
            }
            found = next;
        }
        match found[..] {
            [found] => Ok(found),
            _ => Err(Unapplied::Ambiguous),
        }
    }
}

impl Step {
    fn parse(rest: &mut &str) -> Option<Self> {
        let name_end = rest.find(['/', '[']).unwrap_or(rest.len());
        let name = &rest[..name_end];
        let name = name.split_once(':').map_or(name, |(_prefix, name)| name);
        if name.is_empty() || name.contains(['(', ')', '.', '@', '|', ' ']) {
            return None;
        }
        let mut step = Self { name: name.to_owned(), predicates: Vec::new() };
        *rest = &rest[name_end..];
        while let Some(begun) = rest.strip_prefix('[') {
            if step.predicates.len() == MAX_STEPS {
                return None;
            }
            let (predicate, end) = Predicate::parse(begun)?;
            step.predicates.push(predicate);
            *rest = &begun[end..];
        }
        Some(step)
    }

    fn is_of(&self, name: &str) -> bool {
        self.name == "*" || self.name == name.split_once(':').map_or(name, |(_prefix, name)| name)
    }

    fn children<'d>(&self, parent: Element<'d>, edits: &mut Edits<'_>) -> Result<Vec<Element<'d>>, Unapplied> {
        let mut found = Vec::new();
        // Most often the first of many is meant: it is not necessary to see all.
        let limit = match self.predicates.first() {
            Some(Predicate::Position(number)) => *number,
            _ => usize::MAX,
        };
        for child in parent.children() {
            edits.spend()?;
            if self.is_of(child.name()) {
                found.push(child);
                if found.len() == limit {
                    break;
                }
            }
        }
        for predicate in &self.predicates {
            match predicate {
                Predicate::Position(number) => found = found.get(number.wrapping_sub(1)).copied().into_iter().collect(),
                Predicate::Last => {
                    edits.look_at_last(parent)?;
                    found = found.last().copied().into_iter().collect();
                }
                Predicate::Attribute(name, value) => {
                    found.iter().try_for_each(|&element| edits.look_at_attribute(element, name))?;
                    found.retain(|element| element.attribute(name).is_some_and(|given| *given == **value));
                }
            }
        }
        Ok(found)
    }
}

impl Predicate {
    /// With the offset behind its `]`.
    fn parse(text: &str) -> Option<(Self, usize)> {
        let Some(test) = text.strip_prefix('@') else {
            let end = text.find(']')?;
            let predicate = match text[..end].trim() {
                "last()" => Self::Last,
                number => Self::Position(number.parse().ok().filter(|&number| number > 0)?),
            };
            return Some((predicate, end + 1));
        };
        let (name, value) = test.split_once('=')?;
        let name = super::attribute_name(name.trim())?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (value, rest) = value[1..].split_once(quote)?;
        let rest = rest.trim_start().strip_prefix(']')?;
        Some((Self::Attribute(name, value.to_owned()), text.len() - rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_restricted_form() {
        for path in [
            "/MPD",
            "/MPD/@publishTime",
            "/mpd:MPD/Period[@id='a/b]'][2]/*[last()]",
            "/MPD/BaseURL/text()",
            "/a[ 3 ][@x = \"'\"]/@xlink:href",
        ] {
            assert!(Selector::parse(path).is_some(), "{path}");
        }
        for path in [
            "",
            "MPD",
            "//S",
            "/MPD/",
            "/MPD/@a/b",
            "/MPD[0]",
            "/MPD[@id]",
            "/MPD[@id='x]",
            "/MPD[position()=1]",
            "/MPD/..",
            "/@a",
            "id('x')",
        ] {
            assert!(Selector::parse(path).is_none(), "{path}");
        }
        assert!(Selector::parse(&"/a".repeat(MAX_STEPS + 1)).is_none());
    }
}
