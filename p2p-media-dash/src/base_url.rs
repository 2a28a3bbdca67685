//! BaseURL chains and reference resolution (ISO/IEC 23009-1, section 5.6).

use std::rc::Rc;
use std::sync::Arc;

use p2p_media_url::AbsoluteUrl;

use crate::error::{MpdError, excerpt};
use crate::read_values::{availability_time_complete, availability_time_offset};
use crate::url_query::{segment_query, with_query};
use crate::xml::Element;

/// Alternatives of one level, all levels above it taken into account.
const MAX_BASE_URLS: usize = 16;

/// URLs made for one MPD, all lengths together. References are short in the text and long once they are resolved.
const MAX_URL_BYTES_IN_ALL: usize = 64 * 1024 * 1024;

/// Longer URLs are refused by servers; they count as unreadable.
const MAX_URL_BYTES: usize = 64 * 1024;

/// The BaseURLs in force at one level of the MPD: at least one, the first of which is used.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrls {
    alternatives: Rc<[BaseUrl]>,
    /// A BaseURL element was among those that led here.
    pub(crate) is_written: bool,
    /// The query of the MPD's own URL.
    mpd_query: Option<Rc<str>>,
    /// What is added to the URLs of segments.
    segment_query: Option<Rc<str>>,
    /// The first one as the URL of a segment.
    segment: Arc<str>,
}

/// An absolute URL with what BaseURL elements say about the availability of what is below it.
#[derive(Clone, Debug)]
struct BaseUrl {
    url: AbsoluteUrl,
    text: Arc<str>,
    /// The URL up to and with the last slash of its path; absent when references cannot be appended as text.
    directory: Option<Rc<str>>,
    availability_time_offset: f64,
    is_chunked: bool,
}

impl BaseUrls {
    /// The URL of the MPD itself.
    pub(crate) fn of_mpd(url: &str) -> Result<Self, MpdError> {
        let url = AbsoluteUrl::parse(url).map_err(|error| MpdError::BaseUrl { url: excerpt(url), reason: error.to_string() })?;
        let mpd_query = url.query().map(Rc::from);
        let base = BaseUrl::new(url);
        Ok(Self { segment: base.text.clone(), alternatives: Rc::new([base]), is_written: false, mpd_query, segment_query: None })
    }

    /// What the references in an MPD refer to where no BaseURL says otherwise: its first Location, or else its own URL (DASH-IF IOP 4.3, section
    /// 3.2.15). The next version comes from there, too, so URLs stay the same from one version to the next.
    pub(crate) fn of_contents(&self, root: Element<'_>) -> Self {
        let location = root.children_named("Location").find_map(|location| self.used().url.join(location.text().trim()).ok());
        match location.filter(|location| location.as_str().len() <= MAX_URL_BYTES) {
            Some(location) => {
                let base = BaseUrl::new(location);
                Self { segment: base.text.clone(), alternatives: Rc::new([base]), ..self.clone() }
            }
            None => self.clone(),
        }
    }

    /// Those in force below `element`: each of these with each of its BaseURLs, and with the query that it has added.
    pub(crate) fn below(&self, element: Element<'_>, budget: &mut UrlBudget) -> Result<Self, MpdError> {
        let mut references = Vec::new();
        for child in element.children_named("BaseURL").take(MAX_BASE_URLS) {
            references.push((child, child.text()));
        }
        let mut alternatives: Vec<BaseUrl> = Vec::new();
        for base in self.alternatives.iter() {
            for (child, reference) in &references {
                if alternatives.len() == MAX_BASE_URLS {
                    break;
                }
                let Ok(url) = base.url.join(reference) else { continue };
                if url.as_str().len() > MAX_URL_BYTES || alternatives.iter().any(|other| other.url == url) {
                    continue;
                }
                budget.spend(url.as_str().len(), *child)?;
                alternatives.push(BaseUrl {
                    availability_time_offset: base.availability_time_offset + availability_time_offset(*child).unwrap_or(0.0),
                    is_chunked: base.is_chunked || availability_time_complete(*child) == Some(false),
                    ..BaseUrl::new(url)
                });
            }
        }
        let query = segment_query(element, self.mpd_query.as_deref());
        if alternatives.is_empty() && query.is_none() {
            return Ok(self.clone());
        }
        let mut below = self.clone();
        if let Some(query) = query {
            below.segment_query = Some(query.into());
        }
        if !alternatives.is_empty() {
            below.alternatives = alternatives.into();
            below.is_written = true;
        }
        below.segment = below.used().text.clone();
        if let Some(query) = &below.segment_query {
            below.segment = with_query(&below.segment, query).into();
            budget.spend(below.segment.len(), element)?;
        }
        Ok(below)
    }

    /// The one that is used.
    pub(crate) fn first(&self) -> &Arc<str> {
        &self.used().text
    }

    /// The one that is used, as the URL of a segment.
    pub(crate) fn segment(&self) -> &Arc<str> {
        &self.segment
    }

    /// It was written, and names more than a directory.
    pub(crate) fn names_a_resource(&self) -> bool {
        self.is_written && !self.used().text.ends_with('/')
    }

    /// All, in order.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        self.alternatives.iter().map(|base| base.text.clone()).collect()
    }

    /// @availabilityTimeOffset of the BaseURLs that led to the first one, summed.
    pub(crate) fn availability_time_offset(&self) -> f64 {
        self.used().availability_time_offset
    }

    /// One of the BaseURLs that led to the first one has @availabilityTimeComplete="false".
    pub(crate) fn is_chunked(&self) -> bool {
        self.used().is_chunked
    }

    /// The absolute URL of a reference; `None` when it is no URL.
    pub(crate) fn resolve(&self, reference: &str, element: Element<'_>, budget: &mut UrlBudget) -> Result<Option<Arc<str>>, MpdError> {
        self.used().resolve(reference, element, budget)
    }

    /// The absolute URL of a segment or initialization.
    pub(crate) fn resolve_segment(
        &self,
        reference: &str,
        element: Element<'_>,
        budget: &mut UrlBudget,
    ) -> Result<Option<Arc<str>>, MpdError> {
        let url = self.resolve(reference, element, budget)?;
        let Some((url, query)) = url.as_deref().zip(self.segment_query.as_deref()) else { return Ok(url) };
        budget.spend(query.len(), element)?;
        Ok(Some(with_query(url, query).into()))
    }

    /// Likewise of a template, where a `$` of the BaseURL or of a query that is added stands for itself and so becomes `$$`.
    pub(crate) fn resolve_template(
        &self,
        template: &str,
        element: Element<'_>,
        budget: &mut UrlBudget,
    ) -> Result<Option<Arc<str>>, MpdError> {
        let base = self.used();
        let url = if base.url.as_str().contains('$') {
            let Ok(escaped) = AbsoluteUrl::parse(&base.url.as_str().replace('$', "$$")) else { return Ok(None) };
            BaseUrl::new(escaped).resolve(template, element, budget)?
        } else {
            base.resolve(template, element, budget)?
        };
        let Some((url, query)) = url.as_deref().zip(self.segment_query.as_deref()) else { return Ok(url) };
        budget.spend(query.len(), element)?;
        Ok(Some(with_query(url, &query.replace('$', "$$")).into()))
    }

    fn used(&self) -> &BaseUrl {
        &self.alternatives[0]
    }
}

impl BaseUrl {
    fn new(url: AbsoluteUrl) -> Self {
        let directory = url.directory().map(Rc::from);
        Self { text: Arc::from(url.as_str()), directory, url, availability_time_offset: 0.0, is_chunked: false }
    }

    fn resolve(&self, reference: &str, element: Element<'_>, budget: &mut UrlBudget) -> Result<Option<Arc<str>>, MpdError> {
        let reference = reference.trim();
        budget.spend(reference.len(), element)?;
        let url: Arc<str> = match &self.directory {
            Some(directory) if is_plain_path(reference) => Arc::from([directory, reference].concat()),
            _ => match self.url.join(reference) {
                Ok(url) => Arc::from(url.as_str()),
                Err(_) => return Ok(None),
            },
        };
        budget.spend(url.len().saturating_sub(reference.len()), element)?;
        Ok(Some(url).filter(|url| url.len() <= MAX_URL_BYTES))
    }
}

/// What may still be spent on URLs: a few bytes of text that are inherited a thousand times must not fill the memory.
#[derive(Debug)]
pub(crate) struct UrlBudget {
    left: usize,
}

impl UrlBudget {
    pub(crate) const fn new() -> Self {
        Self { left: MAX_URL_BYTES_IN_ALL }
    }

    pub(crate) fn spend(&mut self, bytes: usize, element: Element<'_>) -> Result<(), MpdError> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| MpdError::TooMany { line: element.line(), what: "bytes of URLs", limit: MAX_URL_BYTES_IN_ALL })?;
        Ok(())
    }
}

/// True for a relative path that the URL standard leaves as it is: no scheme, no dot segments, nothing to encode.
fn is_plain_path(reference: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_~$=+,/.".contains(byte);
    let bytes = reference.as_bytes();
    bytes.first().is_some_and(|&first| first != b'/' && first != b'.')
        && bytes.iter().all(is_plain)
        && !bytes.windows(2).any(|pair| pair == b"/." || pair == b"//")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xml::Document;

    fn base_urls(url: &str, xml: &str) -> BaseUrls {
        let document = Document::parse(xml).unwrap();
        let mut budget = UrlBudget::new();
        let mut urls = BaseUrls::of_mpd(url).unwrap();
        let mut element = Some(document.root());
        while let Some(level) = element {
            urls = urls.below(level, &mut budget).unwrap();
            element = level.child("L");
        }
        urls
    }

    fn resolve(base: &str, reference: &str) -> Option<String> {
        let document = Document::parse("<MPD/>").unwrap();
        BaseUrls::of_mpd(base).unwrap().resolve(reference, document.root(), &mut UrlBudget::new()).unwrap().map(|url| url.to_string())
    }

    #[test]
    fn levels_are_resolved_one_below_the_other() {
        let urls = base_urls("https://a.example/x/m.mpd", "<MPD><BaseURL>v/</BaseURL><L><L><BaseURL> ../w/ </BaseURL></L></L></MPD>");
        assert_eq!((&**urls.first(), urls.is_written), ("https://a.example/x/w/", true));
        let none = base_urls("https://a.example/x/m.mpd", "<MPD><L/></MPD>");
        assert_eq!((&**none.first(), none.is_written), ("https://a.example/x/m.mpd", false));
    }

    #[test]
    fn a_location_is_what_contents_refer_to() {
        let first = |xml: &str| {
            let document = Document::parse(xml).unwrap();
            BaseUrls::of_mpd("https://a.example/x/m.mpd").unwrap().of_contents(document.root()).first().to_string()
        };
        assert_eq!(first("<MPD><Location>https://[</Location><Location> ../y/m.mpd?a </Location></MPD>"), "https://a.example/y/m.mpd?a");
        assert_eq!(first("<MPD/>"), "https://a.example/x/m.mpd");
    }

    #[test]
    fn alternatives_multiply_up_to_a_bound() {
        let urls = base_urls(
            "https://a.example/",
            "<MPD><BaseURL>https://b.example/</BaseURL><BaseURL>https://c.example/</BaseURL><BaseURL>https://[/</BaseURL>\
             <L><BaseURL>1/</BaseURL><BaseURL>2/</BaseURL><BaseURL>https://b.example/1/</BaseURL></L></MPD>",
        );
        assert_eq!(
            urls.all().iter().map(|url| &**url).collect::<Vec<_>>(),
            ["https://b.example/1/", "https://b.example/2/", "https://c.example/1/", "https://c.example/2/"]
        );
        let many: String = (0..9).map(|number| format!("<BaseURL>{number}/</BaseURL>")).collect();
        assert_eq!(base_urls("https://a.example/", &format!("<MPD>{many}<L>{many}</L></MPD>")).all().len(), MAX_BASE_URLS);
    }

    #[test]
    fn availability_is_summed_along_the_chain_of_the_first() {
        let urls = base_urls(
            "https://a.example/",
            r#"<MPD><BaseURL availabilityTimeOffset="1.5">a/</BaseURL><BaseURL availabilityTimeOffset="9">b/</BaseURL>
               <L><BaseURL availabilityTimeOffset="2" availabilityTimeComplete="false">c/</BaseURL></L></MPD>"#,
        );
        assert_eq!((urls.availability_time_offset(), urls.is_chunked()), (3.5, true));
        let early = base_urls("https://a.example/", r#"<MPD><BaseURL availabilityTimeOffset="INF">a/</BaseURL></MPD>"#);
        assert_eq!((early.availability_time_offset(), early.is_chunked()), (f64::INFINITY, false));
    }

    #[test]
    fn a_dollar_of_the_base_url_is_no_identifier() {
        let document = Document::parse("<MPD/>").unwrap();
        let urls = BaseUrls::of_mpd("https://a.example/$Time$/m.mpd").unwrap();
        let url = urls.resolve_template("a b/$Number%05d$.m4s", document.root(), &mut UrlBudget::new()).unwrap();
        assert_eq!(url.as_deref(), Some("https://a.example/$$Time$$/a%20b/$Number%05d$.m4s"));
    }

    #[test]
    fn what_is_no_url() {
        assert!(matches!(BaseUrls::of_mpd("m.mpd"), Err(MpdError::BaseUrl { .. })));
        assert_eq!(resolve("https://a.example/", "https://[x"), None);
        assert_eq!(resolve("https://a.example/", &"x".repeat(MAX_URL_BYTES)), None);
    }

    #[test]
    fn the_budget_ends() {
        let document = Document::parse("<MPD>\n<L/></MPD>").unwrap();
        let element = document.root().child("L").unwrap();
        let mut budget = UrlBudget::new();
        assert!(budget.spend(MAX_URL_BYTES_IN_ALL, element).is_ok());
        assert!(matches!(budget.spend(1, element), Err(MpdError::TooMany { line: 2, .. })));
    }

    proptest! {
        #[test]
        fn joining_as_text_gives_what_the_url_crate_gives(base in "https?://[a-z]{1,5}(/[a-zA-Z0-9._%$-]{0,6}){0,3}(\\?[a-z/=]{0,6})?", reference in "[ -~]{0,12}") {
            for reference in [reference.as_str(), "a/b.m4s", "a/$Number%05d$", "..", "a..b/x."] {
                let expected = AbsoluteUrl::parse(&base).unwrap().join(reference).map(String::from).ok();
                prop_assert_eq!(resolve(&base, reference), expected, "{} + {}", base, reference);
            }
        }
    }
}
