//! Query parameters that players add to the URLs of segments (ISO/IEC 23009-1, annex I).

use std::borrow::Cow;

use p2p_media_url::AbsoluteUrl;

use crate::xml::Element;

/// What is to be added to the URLs of segments below `element`, by what stands directly in it: a UrlQueryInfo (`urn:mpeg:dash:urlparam:2014`), an
/// ExtUrlQueryInfo (2016) or a RequestParam (2025). `None` when it says nothing.
pub(crate) fn segment_query(element: Element<'_>, mpd_query: Option<&str>) -> Option<String> {
    let mut query = None;
    for child in element.children() {
        let information = match child.name() {
            "EssentialProperty" | "SupplementalProperty" if is_of_scheme(child) => child.children().find(|info| is_query_info(info.name())),
            "RequestParam" => Some(child),
            _ => None,
        };
        query = information.filter(|info| is_for_segments(*info)).and_then(|info| build(info, mpd_query)).or(query);
    }
    query
}

/// The URL with a query added to what it has, in front of a fragment.
pub(crate) fn with_query(url: &str, query: &str) -> String {
    let (before, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let separator = match before.find('?') {
        None => "?",
        Some(at) if at + 1 == before.len() || before.ends_with('&') => "",
        Some(_) => "&",
    };
    let joined = [before, separator, query, fragment].concat();
    AbsoluteUrl::parse(&joined).map_or(joined, String::from)
}

fn is_of_scheme(property: Element<'_>) -> bool {
    property.attribute("schemeIdUri").is_some_and(|scheme| scheme.starts_with("urn:mpeg:dash:urlparam:"))
}

fn is_query_info(name: &str) -> bool {
    matches!(name.rsplit(':').next(), Some("UrlQueryInfo" | "ExtUrlQueryInfo"))
}

/// @includeInRequests; segments alone when absent.
fn is_for_segments(info: Element<'_>) -> bool {
    info.attribute("includeInRequests").is_none_or(|kinds| kinds.split_ascii_whitespace().any(|kind| kind == "segment" || kind == "*"))
}

/// @queryTemplate with what it names of the MPD's query and of @queryString; nothing when there is no template or no source.
fn build(info: Element<'_>, mpd_query: Option<&str>) -> Option<String> {
    let template = info.attribute("queryTemplate").filter(|template| !template.is_empty())?;
    let uses_mpd = info.attribute("useMPDUrlQuery").is_some_and(|flag| matches!(flag.trim(), "true" | "1"));
    let own = info.attribute("queryString").unwrap_or_default();
    if !uses_mpd && own.is_empty() {
        return None;
    }
    let sources = [mpd_query.filter(|_| uses_mpd).unwrap_or_default(), &own];
    let known = sources.iter().filter(|source| !source.is_empty()).copied().collect::<Vec<_>>().join("&");
    let filled = template.split('&').map(|parameter| fill(parameter, &known)).filter(|parameter| !parameter.is_empty());
    let query = filled.collect::<Vec<_>>().join("&");
    (!query.is_empty()).then_some(query)
}

/// One parameter of a template: `$querypart$` is all that is known, `$query:name$` the parameter of that name; `$$` is `$`, and identifiers that are
/// not known are nothing.
fn fill<'a>(parameter: &'a str, known: &'a str) -> Cow<'a, str> {
    if parameter == "$querypart$" {
        return Cow::Borrowed(known);
    }
    if let Some(name) = parameter.strip_prefix("$query:").and_then(|rest| rest.strip_suffix('$')) {
        let written = known.split('&').find(|pair| pair.split('=').next() == Some(name));
        return Cow::Borrowed(written.unwrap_or_default());
    }
    let mut filled = String::with_capacity(parameter.len());
    for (index, part) in parameter.split('$').enumerate() {
        match (index % 2, part) {
            (0, text) => filled.push_str(text),
            (_, "") => filled.push('$'),
            _ => {}
        }
    }
    Cow::Owned(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn query(content: &str, mpd_query: Option<&str>) -> Option<String> {
        let text = format!("<a>{content}</a>");
        let document = Document::parse(&text).unwrap();
        segment_query(document.root(), mpd_query)
    }

    #[test]
    fn templates_take_from_the_query_of_the_mpd_and_their_own() {
        let param = |attributes: &str| query(&format!("<RequestParam {attributes}/>"), Some("a=1&c=%203"));
        for (attributes, expected) in [
            (r#"queryTemplate="$querypart$" useMPDUrlQuery="true""#, Some("a=1&c=%203")),
            (r#"queryTemplate="$querypart$" queryString="b=2" useMPDUrlQuery="1""#, Some("a=1&c=%203&b=2")),
            (r#"queryTemplate="$query:c$&amp;x=$$y$what$&amp;$query:z$" useMPDUrlQuery="true""#, Some("c=%203&x=$y")),
            (r#"queryTemplate="$query:b$" queryString="b=2""#, Some("b=2")),
            (r#"queryTemplate="$query:none$" queryString="b=2""#, None),
            (r#"queryTemplate="$querypart$""#, None),
            (r#"useMPDUrlQuery="true""#, None),
            (r#"queryTemplate="$querypart$" queryString="b" includeInRequests="mpd steering""#, None),
            (r#"queryTemplate="$querypart$" queryString="b" includeInRequests="mpd segment""#, Some("b")),
            (r#"queryTemplate="$querypart$" queryString="b" includeInRequests="*""#, Some("b")),
        ] {
            assert_eq!(param(attributes).as_deref(), expected, "{attributes}");
        }
        assert_eq!(query(r#"<RequestParam queryTemplate="$querypart$" useMPDUrlQuery="true"/>"#, None), None);
    }

    #[test]
    fn descriptors_of_all_editions() {
        let descriptor = |name: &str, scheme: &str| {
            query(
                &format!(
                    r#"<EssentialProperty schemeIdUri="{scheme}"><up:{name} queryTemplate="q=1" queryString="-"/></EssentialProperty>"#
                ),
                None,
            )
        };
        assert_eq!(descriptor("UrlQueryInfo", "urn:mpeg:dash:urlparam:2014").as_deref(), Some("q=1"));
        assert_eq!(descriptor("ExtUrlQueryInfo", "urn:mpeg:dash:urlparam:2016").as_deref(), Some("q=1"));
        assert_eq!(descriptor("UrlQueryInfo", "urn:other"), None);
        assert_eq!(descriptor("ExtHttpHeaderInfo", "urn:mpeg:dash:urlparam:2016"), None);
    }

    #[test]
    fn queries_are_added_to_urls() {
        for (url, expected) in [
            ("https://a.example/s", "https://a.example/s?q=1"),
            ("https://a.example/s?x=2", "https://a.example/s?x=2&q=1"),
            ("https://a.example/s?", "https://a.example/s?q=1"),
            ("https://a.example/s?x&#f?", "https://a.example/s?x&q=1#f?"),
        ] {
            assert_eq!(with_query(url, "q=1"), expected);
        }
        assert_eq!(with_query("https://a.example/s", "a b"), "https://a.example/s?a%20b");
    }
}
