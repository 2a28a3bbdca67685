//! SegmentBase, SegmentList and SegmentTemplate with what they inherit (ISO/IEC 23009-1, section 5.3.9) to an [`Addressing`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use p2p_media_core::media::Resource;

use crate::MAX_SEGMENTS;
use crate::base_url::{BaseUrls, UrlBudget};
use crate::error::MpdError;
use crate::mpd::{Addressing, MediaKind, SegmentIndex, SegmentList, SegmentTemplate, SegmentTimes, TimelineEntry};
use crate::read_timeline::{EntryBudget, read_timeline};
use crate::read_values::{availability_time_complete, availability_time_offset, byte_range, decimal, signed, unsigned};
use crate::template::fill_identity;
use crate::xml::Element;

/// The segment information of one level: of a Period, an AdaptationSet or a Representation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SegmentLevel<'d> {
    base: Option<SegmentElement<'d>>,
    list: Option<SegmentElement<'d>>,
    template: Option<SegmentElement<'d>>,
}

/// One of the three elements with those in it: found once, not for every representation that inherits them.
#[derive(Clone, Copy, Debug)]
struct SegmentElement<'d> {
    element: Element<'d>,
    initialization: Option<Element<'d>>,
    representation_index: Option<Element<'d>>,
    timeline: Option<Element<'d>>,
    has_segment_urls: bool,
}

impl<'d> SegmentLevel<'d> {
    /// What stands directly in `element`; of each kind the first.
    pub(crate) fn of(element: Element<'d>) -> Self {
        let mut level = Self::default();
        for child in element.children() {
            let kind = match child.name() {
                "SegmentBase" => &mut level.base,
                "SegmentList" => &mut level.list,
                "SegmentTemplate" => &mut level.template,
                _ => continue,
            };
            if kind.is_none() {
                *kind = Some(SegmentElement::new(child));
            }
        }
        level
    }

    /// Which kind counts here; one level has only one, or players take the first in this order.
    fn kind(&self) -> Option<Kind> {
        let kinds = [Kind::Base, Kind::List, Kind::Template];
        kinds.into_iter().find(|&kind| self.of_kind(kind).is_some())
    }

    const fn of_kind(&self, kind: Kind) -> Option<SegmentElement<'d>> {
        match kind {
            Kind::Base => self.base,
            Kind::List => self.list,
            Kind::Template => self.template,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Base,
    List,
    Template,
}

impl<'d> SegmentElement<'d> {
    fn new(element: Element<'d>) -> Self {
        let mut found = Self { element, initialization: None, representation_index: None, timeline: None, has_segment_urls: false };
        for child in element.children() {
            let place = match child.name() {
                "Initialization" | "Initialisation" => &mut found.initialization,
                "RepresentationIndex" => &mut found.representation_index,
                "SegmentTimeline" => &mut found.timeline,
                "SegmentURL" => {
                    found.has_segment_urls = true;
                    continue;
                }
                _ => continue,
            };
            place.get_or_insert(child);
        }
        found
    }
}

/// What a representation is, as far as its addresses depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) bandwidth: Option<u64>,
    pub(crate) kind: MediaKind,
}

/// Addresses of a representation.
#[derive(Debug)]
pub(crate) struct SegmentInformation {
    pub(crate) init: Option<Arc<Resource>>,
    pub(crate) addressing: Addressing,
    pub(crate) availability_time_offset: f64,
    pub(crate) is_chunked: bool,
}

/// Reads segment information; timelines and lists that several representations inherit are read once.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    timelines: HashMap<usize, Arc<[TimelineEntry]>>,
    /// By the element and the BaseURL.
    lists: HashMap<(usize, Arc<str>), Arc<[Resource]>>,
    entries: EntryBudget,
    pub(crate) urls: UrlBudget,
}

/// Elements of one kind, the nearest one first.
#[derive(Clone, Copy)]
struct Chain<'d>([Option<SegmentElement<'d>>; 3]);

impl<'d> Chain<'d> {
    fn elements(&self) -> impl Iterator<Item = &SegmentElement<'d>> {
        self.0.iter().flatten()
    }

    /// An attribute of the nearest element that has it.
    fn attribute(&self, name: &str) -> Option<Cow<'d, str>> {
        self.elements().find_map(|found| found.element.attribute(name).filter(|value| !value.trim().is_empty()))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.attribute(name).and_then(|value| unsigned(&value))
    }

    fn timescale(&self) -> u64 {
        self.number("timescale").filter(|&timescale| timescale > 0).unwrap_or(1)
    }

    fn presentation_time_offset(&self) -> i64 {
        self.attribute("presentationTimeOffset").and_then(|value| signed(&value)).unwrap_or(0)
    }

    fn initialization(&self) -> Option<Element<'d>> {
        self.elements().find_map(|found| found.initialization)
    }
}

impl SegmentReader {
    pub(crate) fn new() -> Self {
        Self { timelines: HashMap::new(), lists: HashMap::new(), entries: EntryBudget::new(), urls: UrlBudget::new() }
    }

    /// The addresses of a representation; `levels` are its own, its AdaptationSet's and its Period's. The nearest level with any segment
    /// information decides of which kind it is.
    pub(crate) fn read(
        &mut self,
        levels: [&SegmentLevel<'_>; 3],
        base_urls: &BaseUrls,
        identity: Identity<'_>,
    ) -> Result<SegmentInformation, MpdError> {
        let Some(kind) = levels.iter().find_map(|level| level.kind()) else {
            return Ok(SegmentInformation {
                init: None,
                addressing: whole_resource(base_urls, identity.kind),
                availability_time_offset: base_urls.availability_time_offset(),
                is_chunked: base_urls.is_chunked(),
            });
        };
        let chain = Chain(levels.map(|level| level.of_kind(kind)));
        let (init, addressing) = match kind {
            Kind::Base => self.base(&chain, base_urls, identity)?,
            Kind::List => self.list(&chain, base_urls)?,
            Kind::Template => self.template(&chain, base_urls, identity)?,
        };
        let own_offset = chain.elements().find_map(|found| availability_time_offset(found.element)).unwrap_or(0.0);
        let own_complete = chain.elements().find_map(|found| availability_time_complete(found.element));
        Ok(SegmentInformation {
            init: init.map(Arc::new),
            addressing,
            availability_time_offset: base_urls.availability_time_offset() + own_offset,
            is_chunked: base_urls.is_chunked() || own_complete == Some(false),
        })
    }

    fn base(
        &mut self,
        chain: &Chain<'_>,
        base_urls: &BaseUrls,
        identity: Identity<'_>,
    ) -> Result<(Option<Resource>, Addressing), MpdError> {
        let init = self.linked(chain.initialization(), base_urls)?;
        let media = base_urls.segment().clone();
        let own_range = chain.attribute("indexRange").and_then(|text| byte_range(&text));
        let linked = self.linked(chain.elements().find_map(|found| found.representation_index), base_urls)?;
        let index = match linked {
            Some(index) if index.url == media => Resource { byte_range: index.byte_range.or(own_range), ..index },
            Some(index) => index,
            None => Resource { url: media.clone(), byte_range: own_range },
        };
        let has_no_index = matches!(identity.kind, MediaKind::Text | MediaKind::Image) && index.url == media && index.byte_range.is_none();
        if has_no_index {
            return Ok((init, whole_resource(base_urls, identity.kind)));
        }
        let (timescale, presentation_time_offset) = (chain.timescale(), chain.presentation_time_offset());
        Ok((init, Addressing::Indexed(SegmentIndex { media, index, timescale, presentation_time_offset })))
    }

    fn list(&mut self, chain: &Chain<'_>, base_urls: &BaseUrls) -> Result<(Option<Resource>, Addressing), MpdError> {
        let init = self.linked(chain.initialization(), base_urls)?;
        let segments = match chain.elements().find(|found| found.has_segment_urls) {
            Some(found) => self.segment_urls(found.element, base_urls)?,
            None => Arc::default(),
        };
        let list = SegmentList {
            segments,
            timescale: chain.timescale(),
            presentation_time_offset: chain.presentation_time_offset(),
            start_number: chain.number("startNumber").unwrap_or(1),
            times: self.times(chain)?,
        };
        Ok((init, Addressing::List(list)))
    }

    fn template(
        &mut self,
        chain: &Chain<'_>,
        base_urls: &BaseUrls,
        identity: Identity<'_>,
    ) -> Result<(Option<Resource>, Addressing), MpdError> {
        let Some(nearest) = chain.elements().next().map(|found| found.element) else { return Ok((None, Addressing::None)) };
        let filled = |name| chain.attribute(name).map(|template| fill_identity(&template, identity.id, identity.bandwidth));
        let init = match filled("initialization") {
            Some(url) => self.resource(&url, nearest, base_urls)?,
            None => self.linked(chain.initialization(), base_urls)?,
        };
        let media = filled("media");
        let times = self.times(chain)?;
        let (timescale, presentation_time_offset) = (chain.timescale(), chain.presentation_time_offset());
        let is_one_file = times == SegmentTimes::Unknown || media.as_deref().is_none_or(|media| !differs_by_segment(media));
        if is_one_file
            && let Some(url) = filled("index")
            && let Some(index) = self.resource(&url, nearest, base_urls)?
        {
            let media = match &media {
                Some(url) => self.resource(url, nearest, base_urls)?.map(|resource| resource.url),
                None => None,
            };
            let media = media.unwrap_or_else(|| base_urls.segment().clone());
            return Ok((init, Addressing::Indexed(SegmentIndex { media, index, timescale, presentation_time_offset })));
        }
        let media = match &media {
            Some(media) => base_urls.resolve_template(media, nearest, &mut self.urls)?,
            None => None,
        };
        let template = SegmentTemplate {
            media,
            timescale,
            presentation_time_offset,
            start_number: chain.number("startNumber").unwrap_or(1),
            end_number: chain.number("endNumber"),
            times,
        };
        Ok((init, Addressing::Template(template)))
    }

    fn times(&mut self, chain: &Chain<'_>) -> Result<SegmentTimes, MpdError> {
        if let Some(timeline) = chain.elements().find_map(|found| found.timeline) {
            let entries = match self.timelines.entry(timeline.index()) {
                Entry::Occupied(read) => read.get().clone(),
                Entry::Vacant(place) => place.insert(read_timeline(timeline, &mut self.entries)?.into()).clone(),
            };
            self.entries.give(&entries, timeline)?;
            return Ok(SegmentTimes::Timeline(entries));
        }
        let duration = chain.attribute("duration").and_then(|text| decimal(&text)).filter(|&duration| duration > 0.0);
        Ok(duration.map_or(SegmentTimes::Unknown, SegmentTimes::Duration))
    }

    fn segment_urls(&mut self, list: Element<'_>, base_urls: &BaseUrls) -> Result<Arc<[Resource]>, MpdError> {
        let key = (list.index(), base_urls.segment().clone());
        if let Some(read) = self.lists.get(&key) {
            return Ok(read.clone());
        }
        let mut segments = Vec::new();
        for element in list.children_named("SegmentURL") {
            if segments.len() == MAX_SEGMENTS {
                return Err(MpdError::TooMany { line: element.line(), what: "SegmentURLs of a SegmentList", limit: MAX_SEGMENTS });
            }
            self.urls.spend(size_of::<Resource>(), element)?;
            let url = match element.attribute("media") {
                Some(media) => base_urls.resolve_segment(&media, element, &mut self.urls)?,
                None => Some(base_urls.segment().clone()),
            };
            // One that cannot be resolved keeps its place: those after it are numbered.
            let url = url.unwrap_or_else(|| base_urls.segment().clone());
            segments.push(Resource { url, byte_range: element.attribute("mediaRange").and_then(|text| byte_range(&text)) });
        }
        let segments: Arc<[Resource]> = segments.into();
        self.lists.insert(key, segments.clone());
        Ok(segments)
    }

    /// The resource that an Initialization or RepresentationIndex names: @sourceURL, or the BaseURL with @range.
    fn linked(&mut self, element: Option<Element<'_>>, base_urls: &BaseUrls) -> Result<Option<Resource>, MpdError> {
        let Some(element) = element else { return Ok(None) };
        let byte_range = element.attribute("range").and_then(|text| byte_range(&text));
        let url = match element.attribute("sourceURL").filter(|url| !url.trim().is_empty()) {
            Some(url) => base_urls.resolve_segment(&url, element, &mut self.urls)?,
            None => byte_range.map(|_| base_urls.segment().clone()),
        };
        Ok(url.map(|url| Resource { url, byte_range }))
    }

    /// The resource of a template in which nothing is left to be replaced.
    fn resource(&mut self, template: &str, element: Element<'_>, base_urls: &BaseUrls) -> Result<Option<Resource>, MpdError> {
        let url = base_urls.resolve_segment(&template.replace("$$", "$"), element, &mut self.urls)?;
        Ok(url.map(|url| Resource { url, byte_range: None }))
    }
}

/// The resource at the BaseURL as one segment, where a BaseURL names one. A directory is no video.
fn whole_resource(base_urls: &BaseUrls, kind: MediaKind) -> Addressing {
    let is_one = base_urls.names_a_resource() || base_urls.is_written && kind == MediaKind::Text;
    if is_one { Addressing::Whole(base_urls.segment().clone()) } else { Addressing::None }
}

/// True when the template gives each segment a URL of its own.
fn differs_by_segment(template: &str) -> bool {
    template.contains("$Number") || template.contains("$Time")
}
