//! URLs by the `url` crate.

use url::Url;

use crate::UrlError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed(Url);

impl Parsed {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        Url::parse(text).map(Self).map_err(|error| UrlError(error.to_string()))
    }

    pub(crate) fn join(&self, reference: &str) -> Result<Self, UrlError> {
        self.0.join(reference).map(Self).map_err(|error| UrlError(error.to_string()))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn query_parameter(&self, name: &str) -> Option<String> {
        self.0.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}
