//! What origins have said of resources of which they gave a range: their size, and the validators by which players and caches tell one version
//! from another (RFC 9110, section 8.8).
//!
//! A browser's cache keeps the ranges of one file together. It asks for a further one with `If-Range` and the validator of those it has, and
//! takes a file that comes whole instead for the answer to give.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::header::{ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED};
use url::Url;

use super::upstream::total_of;

/// Resources that are remembered. There is one for each representation of a presentation, or for each advertisement.
const MAX_RESOURCES: usize = 10_000;
/// Validators that are longer are not kept.
const MAX_VALIDATOR_BYTES: usize = 256;

/// The resources of all origins, by their URLs. These are kept as hashes with random keys: nobody outside can make two of them meet.
#[derive(Debug, Default)]
pub(super) struct RangedResources {
    hasher: RandomState,
    known: Mutex<HashMap<u64, RangedResource>>,
}

#[derive(Debug)]
struct RangedResource {
    size: u64,
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl RangedResources {
    /// Takes in the headers of an origin's answer.
    pub(super) fn note(&self, url: &Url, answer: &HeaderMap) {
        let Some(size) = total_of(answer) else { return };
        let validator = |name| answer.get(name).filter(|value: &&HeaderValue| value.len() <= MAX_VALIDATOR_BYTES).cloned();
        let resource = RangedResource { size, etag: validator(ETAG), last_modified: validator(LAST_MODIFIED) };
        let mut known = self.known();
        if known.len() >= MAX_RESOURCES {
            known.clear();
        }
        known.insert(self.hash(url), resource);
    }

    /// Size of the whole resource at a URL, if known.
    pub(super) fn size(&self, url: &Url) -> Option<u64> {
        self.known().get(&self.hash(url)).map(|resource| resource.size)
    }

    /// Adds the validators of a resource to an answer that gives bytes of it.
    pub(super) fn add_validators(&self, url: &Url, answer: &mut HeaderMap) {
        if let Some(resource) = self.known().get(&self.hash(url)) {
            answer.extend(resource.etag.iter().map(|etag| (ETAG, etag.clone())));
            answer.extend(resource.last_modified.iter().map(|date| (LAST_MODIFIED, date.clone())));
        }
    }

    /// Whether a range may be given: there is no `If-Range`, or it names what players have got here (RFC 9110, section 13.1.5).
    pub(super) fn may_give_range(&self, url: &Url, player: &HeaderMap) -> bool {
        let Some(condition) = player.get(IF_RANGE) else { return true };
        let known = self.known();
        let resource = known.get(&self.hash(url));
        resource.is_some_and(|resource| {
            let is_etag = resource.etag.as_ref().is_some_and(|etag| !etag.as_bytes().starts_with(b"W/") && etag == condition);
            is_etag || resource.last_modified.as_ref() == Some(condition)
        })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, RangedResource>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, url: &Url) -> u64 {
        self.hasher.hash_one(url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_RANGE;

    use super::*;

    const DATE: &str = "Mon, 23 Nov 2026 07:46:23 GMT";

    fn if_range(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(IF_RANGE, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn ranges_are_given_of_the_version_that_is_known() {
        let resources = RangedResources::default();
        let url = Url::parse("https://a.example/v.mp4").unwrap();
        let given = [(CONTENT_RANGE, "bytes 0-9/100"), (ETAG, "\"1\""), (LAST_MODIFIED, DATE)];
        let given = HeaderMap::from_iter(given.map(|(name, value)| (name, HeaderValue::from_str(value).unwrap())));
        assert!(resources.may_give_range(&url, &HeaderMap::new()) && !resources.may_give_range(&url, &if_range("\"1\"")));
        resources.note(&url, &given);
        assert_eq!(resources.size(&url), Some(100));
        for (condition, holds) in [("\"1\"", true), (DATE, true), ("\"2\"", false), ("W/\"1\"", false)] {
            assert_eq!(resources.may_give_range(&url, &if_range(condition)), holds, "{condition}");
        }
        let mut answer = HeaderMap::new();
        resources.add_validators(&url, &mut answer);
        assert_eq!((answer[ETAG].to_str().unwrap(), answer[LAST_MODIFIED].to_str().unwrap()), ("\"1\"", DATE));

        // Weak ones say nothing of bytes; long ones are not kept; what is no range tells nothing.
        let weak = [(CONTENT_RANGE, "bytes 0-9/101".to_owned()), (ETAG, "W/\"1\"".to_owned()), (LAST_MODIFIED, "x".repeat(300))];
        let weak = HeaderMap::from_iter(weak.map(|(name, value)| (name, HeaderValue::from_str(&value).unwrap())));
        resources.note(&url, &weak);
        assert!(!resources.may_give_range(&url, &if_range("W/\"1\"")) && !resources.may_give_range(&url, &if_range(&"x".repeat(300))));
        resources.note(&url, &HeaderMap::new());
        assert_eq!(resources.size(&url), Some(101));
    }

    #[test]
    fn few_are_kept() {
        let resources = RangedResources::default();
        let given = HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_static("bytes 0-9/100"))]);
        for number in 0..=MAX_RESOURCES {
            resources.note(&Url::parse(&format!("https://a.example/{number}")).unwrap(), &given);
        }
        assert!(resources.known().len() <= MAX_RESOURCES);
    }
}
