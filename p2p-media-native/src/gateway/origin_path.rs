//! Between the gateway's paths and the URLs of origins: `/https/host[:port]/path?query`.

use axum::http::Uri;
use percent_encoding::percent_decode_str;
use url::Url;

/// Query parameters by which a player asks for a version of a live playlist (RFC 8216bis, section 6.2.5): the playlist stays the same one.
const DELIVERY_DIRECTIVES: &str = "_HLS_";

/// Why a path names no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OriginPathError {
    /// It begins with something else than a scheme.
    #[error("paths here are /https/HOST[:PORT]/PATH or /http/HOST[:PORT]/PATH: the URL of the stream with a slash in place of ://")]
    NoScheme,
    /// What should be the host is none.
    #[error("`{0}` is not a host")]
    NoHost(String),
}

/// The URL that a request to the gateway means, normalised as the URL standard does it.
pub(super) fn origin_url(uri: &Uri) -> Result<Url, OriginPathError> {
    let path = uri.path();
    let (scheme, rest) = match (path.strip_prefix("/https/"), path.strip_prefix("/http/")) {
        (Some(rest), _) => ("https", rest),
        (_, Some(rest)) => ("http", rest),
        _ => return Err(OriginPathError::NoScheme),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // Some players percent-encode the brackets of an IPv6 address and the colon before a port.
    let authority = percent_decode_str(authority).decode_utf8_lossy();
    let bad_host = || OriginPathError::NoHost(authority.chars().take(80).collect());
    if authority.is_empty() || authority.contains(['@', '/', '\\', '?', '#']) || authority.chars().any(char::is_whitespace) {
        return Err(bad_host());
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let url = Url::parse(&format!("{scheme}://{authority}{path}{query}")).map_err(|_| bad_host())?;
    url.has_host().then_some(url).ok_or_else(bad_host)
}

/// The path, with the query, at which the gateway offers an http or https URL; `None` for other schemes.
pub(super) fn gateway_path(url: &Url) -> Option<String> {
    let scheme = matches!(url.scheme(), "http" | "https").then(|| url.scheme())?;
    let host = url.host_str()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("/{scheme}/{host}{port}{}", &url[url::Position::BeforePath..url::Position::AfterQuery]))
}

/// What a manifest is known by: its URL without fragment and delivery directives.
pub(super) fn manifest_name(url: &Url) -> String {
    let mut name = url[..url::Position::AfterPath].to_owned();
    let kept = url.query().into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.starts_with(DELIVERY_DIRECTIVES));
    for (index, pair) in kept.enumerate() {
        name.push(if index == 0 { '?' } else { '&' });
        name.push_str(pair);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(path: &str) -> Result<String, OriginPathError> {
        origin_url(&path.parse().unwrap()).map(String::from)
    }

    #[test]
    fn paths_and_urls_of_all_forms() {
        for (path, url) in [
            ("/https/a.example/b/c.m3u8?x=1&y=/z", "https://a.example/b/c.m3u8?x=1&y=/z"),
            ("/http/a.example:8080/", "http://a.example:8080/"),
            ("/http/[::1]:80/a%20b", "http://[::1]/a%20b"),
            ("/http/%5B::1%5D%3A81/a", "http://[::1]:81/a"),
            ("/https/A.example", "https://a.example/"),
            ("/https/a.example/b/../c//d", "https://a.example/c//d"),
        ] {
            assert_eq!(origin(path).as_deref(), Ok(url), "{path}");
            let back = gateway_path(&Url::parse(url).unwrap()).unwrap();
            assert_eq!(origin(&back).as_deref(), Ok(url), "{back}");
        }
        assert_eq!(gateway_path(&Url::parse("https://a.example/x?y#z").unwrap()).as_deref(), Some("/https/a.example/x?y"));
        assert_eq!(gateway_path(&Url::parse("data:text/plain,a").unwrap()), None);
    }

    #[test]
    fn paths_that_name_no_origin() {
        assert_eq!(origin("/ftp/a.example/"), Err(OriginPathError::NoScheme));
        assert_eq!(origin("/favicon.ico"), Err(OriginPathError::NoScheme));
        for path in ["/http/", "/http//x", "/http/user@a.example/", "/http/a%2fb/x", "/http/a%23b/", "/http/a.example:99999/x"] {
            assert!(matches!(origin(path), Err(OriginPathError::NoHost(_))), "{path}");
        }
    }

    #[test]
    fn delivery_directives_are_not_part_of_a_name() {
        let name = |url: &str| manifest_name(&Url::parse(url).unwrap());
        assert_eq!(name("https://a.example/l.m3u8?_HLS_msn=3&t=1&_HLS_part=2&u#f"), "https://a.example/l.m3u8?t=1&u");
        assert_eq!(name("https://a.example/l.m3u8?_HLS_msn=3"), "https://a.example/l.m3u8");
    }
}
