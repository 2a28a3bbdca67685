//! What an MPD contains and what is left alone, once each.

use std::sync::Arc;

use crate::mpd::Remark;
use crate::read_descriptors::{is_notable, is_understood};
use crate::xml::Element;

/// Remarks on one MPD; what more there is is not remarked upon.
const MAX_REMARKS: usize = 64;

/// Collects remarks.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    list: Vec<Remark>,
}

impl Remarks {
    /// Remarks on `element` itself and on what stands directly in it.
    pub(crate) fn note(&mut self, element: Element<'_>) {
        self.note_link(element);
        for child in element.children() {
            let value = match child.name() {
                name @ ("EssentialProperty" | "SupplementalProperty") => {
                    let Some(scheme) = child.attribute("schemeIdUri") else { continue };
                    let is_worth_it = if name == "EssentialProperty" { !is_understood(&scheme) } else { is_notable(&scheme) };
                    if !is_worth_it {
                        continue;
                    }
                    Some(scheme)
                }
                "EventStream" | "InbandEventStream" | "ContentProtection" => child.attribute("schemeIdUri"),
                "ContentSteering" => Some(child.text()),
                "Metrics" | "Preselection" | "ImportedMPD" | "SubRepresentation" | "LeapSecondInformation" => None,
                "SegmentList" => {
                    self.note_link(child);
                    continue;
                }
                _ => continue,
            };
            if matches!(child.name(), "EventStream") {
                self.note_link(child);
            }
            self.add(child.name(), value.as_deref());
        }
    }

    /// Adds a remark unless it was made before.
    pub(crate) fn add(&mut self, what: &str, value: Option<&str>) {
        let value = value.map(str::trim).filter(|value| !value.is_empty());
        let is_known = self.list.iter().any(|remark| &*remark.what == what && remark.value.as_deref() == value);
        if !is_known && self.list.len() < MAX_REMARKS {
            self.list.push(Remark { what: Arc::from(what), value: value.map(Arc::from) });
        }
    }

    /// All that were made.
    pub(crate) fn into_list(self) -> Vec<Remark> {
        self.list
    }

    fn note_link(&mut self, element: Element<'_>) {
        if let Some(href) = element.attribute("xlink:href") {
            self.add(&[element.name(), "@xlink:href"].concat(), Some(&href));
        }
    }
}
