//! URLs by the browser, which says only that something is no URL.

use web_sys::Url;

use crate::UrlError;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed(Box<str>);

impl Parsed {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        Url::new(text).map(|url| Self(url.href().into())).map_err(|_thrown| UrlError("not an absolute URL".to_owned()))
    }

    pub(crate) fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let joined = Url::new_with_base(reference, &self.0);
        joined.map(|url| Self(url.href().into())).map_err(|_thrown| UrlError("not a URL".to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn query_parameter(&self, name: &str) -> Option<String> {
        Url::new(&self.0).ok()?.search_params().get(name)
    }
}
