//! Period, AdaptationSet and Representation to data (ISO/IEC 23009-1, sections 5.3.2 to 5.3.5 and 5.3.7).

use std::borrow::Cow;
use std::sync::Arc;

use crate::MAX_REPRESENTATIONS;
use crate::base_url::BaseUrls;
use crate::error::MpdError;
use crate::mpd::Representation;
use crate::read_descriptors::{channel_count, is_trick_mode, media_kind, video_range};
use crate::read_segments::{Identity, SegmentLevel, SegmentReader};
use crate::read_values::unsigned;
use crate::remarks::Remarks;
use crate::xml::Element;

/// Roles of an AdaptationSet that are kept.
const MAX_ROLES: usize = 16;

/// Reads the representations of all periods of one MPD.
#[derive(Debug)]
pub(crate) struct PeriodReader {
    pub(crate) segments: SegmentReader,
    pub(crate) remarks: Remarks,
    representations: usize,
}

impl PeriodReader {
    pub(crate) fn new(segments: SegmentReader, remarks: Remarks) -> Self {
        Self { segments, remarks, representations: 0 }
    }

    /// Every Representation of a Period, in document order.
    pub(crate) fn read(&mut self, period: Element<'_>, base_urls: &BaseUrls) -> Result<Vec<Representation>, MpdError> {
        let base_urls = base_urls.below(period, &mut self.segments.urls)?;
        let level = SegmentLevel::of(period);
        let of_period = Properties::default().of(period);
        self.remarks.note(period);
        let mut representations = Vec::new();
        for (index, set) in period.children_named("AdaptationSet").filter(|set| !is_resolved_to_zero(*set)).enumerate() {
            self.remarks.note(set);
            let base_urls = base_urls.below(set, &mut self.segments.urls)?;
            let set_level = SegmentLevel::of(set);
            let of_set = of_period.of(set);
            for element in set.children_named("Representation") {
                if self.representations == MAX_REPRESENTATIONS {
                    return Err(MpdError::TooMany { line: element.line(), what: "Representations", limit: MAX_REPRESENTATIONS });
                }
                self.representations += 1;
                self.remarks.note(element);
                let base_urls = base_urls.below(element, &mut self.segments.urls)?;
                let levels = [&SegmentLevel::of(element), &set_level, &level];
                representations.push(self.representation(element, index, levels, &base_urls, &of_set)?);
            }
        }
        Ok(representations)
    }

    fn representation(
        &mut self,
        element: Element<'_>,
        adaptation_set: usize,
        levels: [&SegmentLevel<'_>; 3],
        base_urls: &BaseUrls,
        of_set: &Properties,
    ) -> Result<Representation, MpdError> {
        let properties = of_set.of(element);
        let id: Option<Arc<str>> = element.attribute("id").map(Arc::from);
        let bandwidth = element.attribute("bandwidth").and_then(|text| unsigned(&text));
        let kind = media_kind(properties.content_type.as_deref(), properties.mime_type.as_deref(), properties.codecs.as_deref());
        let segments = self.segments.read(levels, base_urls, Identity { id: id.as_deref(), bandwidth, kind })?;
        Ok(Representation {
            id,
            kind,
            adaptation_set,
            bandwidth,
            codecs: properties.codecs,
            mime_type: properties.mime_type,
            width: properties.width,
            height: properties.height,
            frame_rate: properties.frame_rate,
            language: properties.language,
            label: properties.label,
            channels: properties.channels,
            video_range: properties.video_range,
            roles: properties.roles,
            is_protected: properties.is_protected,
            is_trick_mode: properties.is_trick_mode,
            init: segments.init,
            addressing: segments.addressing,
            availability_time_offset: segments.availability_time_offset,
            is_chunked: segments.is_chunked,
            base_urls: base_urls.all(),
        })
    }
}

/// True for an element that its xlink asks to be left out (ISO/IEC 23009-1, section 5.5.3).
pub(crate) fn is_resolved_to_zero(element: Element<'_>) -> bool {
    element.attribute("xlink:href").is_some_and(|href| href.trim() == "urn:mpeg:dash:resolve-to-zero:2013")
}

/// What a Representation has of its own and what it inherits from its AdaptationSet (section 5.3.7.2).
#[derive(Clone, Debug, Default)]
struct Properties {
    content_type: Option<Arc<str>>,
    mime_type: Option<Arc<str>>,
    codecs: Option<Arc<str>>,
    width: Option<u32>,
    height: Option<u32>,
    frame_rate: Option<Arc<str>>,
    language: Option<Arc<str>>,
    label: Option<Arc<str>>,
    channels: Option<u32>,
    video_range: Option<&'static str>,
    roles: Vec<Arc<str>>,
    is_protected: bool,
    is_trick_mode: bool,
}

impl Properties {
    /// Those of `element`; what it does not say stays as it is here.
    fn of(&self, element: Element<'_>) -> Self {
        let mut own = self.clone();
        for attribute in element.attributes() {
            let value = attribute.value();
            match attribute.name {
                "contentType" => set(&mut own.content_type, value),
                "mimeType" => set(&mut own.mime_type, value),
                "codecs" => set(&mut own.codecs, value),
                "frameRate" => set(&mut own.frame_rate, value),
                "lang" => set(&mut own.language, value),
                "label" => set(&mut own.label, value),
                "width" => own.width = pixels(&value).or(own.width),
                "height" => own.height = pixels(&value).or(own.height),
                _ => {}
            }
        }
        let (mut label, mut channels, mut roles) = (None, None, Vec::new());
        for child in element.children() {
            match child.name() {
                "ContentComponent" => own.add_component(child),
                "Label" if label.is_none() => set(&mut label, child.text()),
                "AudioChannelConfiguration" if channels.is_none() => channels = channel_count(child),
                "Role" if roles.len() < MAX_ROLES => roles.extend(child.attribute("value").map(Arc::from)),
                "EssentialProperty" | "SupplementalProperty" => {
                    own.video_range = video_range(child).or(own.video_range);
                    own.is_trick_mode |= is_trick_mode(child);
                }
                "ContentProtection" => own.is_protected = true,
                _ => {}
            }
        }
        own.label = label.or(own.label);
        own.channels = channels.or(own.channels);
        if !roles.is_empty() {
            own.roles = roles;
        }
        own
    }

    /// ContentComponent (section 5.3.4): what the AdaptationSet leaves to the first of them that says it.
    fn add_component(&mut self, component: Element<'_>) {
        if let Some(content_type) = component.attribute("contentType").filter(|_| self.content_type.is_none()) {
            set(&mut self.content_type, content_type);
        }
        if let Some(language) = component.attribute("lang").filter(|_| self.language.is_none()) {
            set(&mut self.language, language);
        }
    }
}

/// Sets what is not empty.
fn set(place: &mut Option<Arc<str>>, value: Cow<'_, str>) {
    let value = value.trim();
    if !value.is_empty() {
        *place = Some(Arc::from(value));
    }
}

fn pixels(text: &str) -> Option<u32> {
    unsigned(text).and_then(|pixels| u32::try_from(pixels).ok())
}
