//! Which headers cross the gateway: everything but what belongs to one connection or to the gateway's own address.

use axum::http::header::{
    ACCEPT_ENCODING, ALT_SVC, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
    ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFERER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use url::Url;

use super::access::OwnNames;
use super::origin_path::gateway_path;

/// Headers of one connection (RFC 9110, section 7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The headers of a player's request that go to the origin.
///
/// Content codings are not asked for: playlists must be readable. What a browser says of the gateway's own pages stays here.
pub(super) fn to_origin(player: &HeaderMap, own_names: &OwnNames) -> HeaderMap {
    let names_us = |value: &HeaderValue| {
        let url = value.to_str().ok().and_then(|url| Url::parse(url).ok());
        url.is_none_or(|url| url.host_str().is_none_or(|host| own_names.contain(host)))
    };
    filtered(player, |name, value| match name {
        &HOST | &CONTENT_LENGTH | &ACCEPT_ENCODING => false,
        &ORIGIN | &REFERER => !names_us(value),
        name => !["access-control-", "sec-", "forwarded", "x-forwarded-"].iter().any(|prefix| name.as_str().starts_with(prefix)),
    })
}

/// The headers of an origin's response that go to the player. `url` is where it came from.
///
/// All origins share the gateway's address. Cookies are therefore bound to the path of their origin, and documents get an origin of their
/// own (`sandbox`), so that none can read what another gave.
pub(super) fn to_player(origin: &HeaderMap, url: &Url) -> HeaderMap {
    let mut headers = filtered(origin, |name, _| {
        ![SET_COOKIE, LOCATION, ALT_SVC, STRICT_TRANSPORT_SECURITY, CONTENT_SECURITY_POLICY].contains(name)
            && !name.as_str().starts_with("access-control-")
    });
    for cookie in origin.get_all(SET_COOKIE) {
        if let Some(cookie) = bound_cookie(cookie, url) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    let location = origin.get(LOCATION).and_then(|location| url.join(location.to_str().ok()?).ok());
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(gateway_path(&location)?).ok()) {
        headers.insert(LOCATION, location);
    }
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers
}

fn filtered(headers: &HeaderMap, keep: impl Fn(&HeaderName, &HeaderValue) -> bool) -> HeaderMap {
    let of_connection = |name: &HeaderName| {
        let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()).flat_map(|names| names.split(','));
        HOP_BY_HOP.contains(name) || named.into_iter().any(|named| named.trim().eq_ignore_ascii_case(name.as_str()))
    };
    let kept = headers.iter().filter(|(name, value)| !of_connection(name) && keep(name, value));
    let mut filtered = HeaderMap::new();
    for (name, value) in kept {
        filtered.append(name, value.clone());
    }
    filtered
}

/// A cookie for the paths of its origin alone. `Secure` goes because the gateway speaks plain HTTP.
fn bound_cookie(cookie: &HeaderValue, url: &Url) -> Option<HeaderValue> {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    let mut path = gateway_path(&origin)?.trim_end_matches('/').to_owned();
    let mut parts = cookie.to_str().ok()?.split(';').map(str::trim);
    let mut bound = parts.next()?.to_owned();
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "path" if value.trim().starts_with('/') => path += value.trim().trim_end_matches('/'),
            "path" | "domain" | "secure" | "samesite" | "partitioned" => {}
            _ => {
                bound += "; ";
                bound += part;
            }
        }
    }
    HeaderValue::try_from(format!("{bound}; Path={path}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_players_headers_go_on_unless_they_are_about_the_gateway() {
        let own_names = OwnNames::new([127, 0, 0, 1].into(), &[]);
        let player = map(&[
            ("host", "127.0.0.1:1"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("accept-encoding", "gzip"),
            ("range", "bytes=0-"),
            ("user-agent", "player"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("x-token", "t"),
            ("sec-fetch-mode", "cors"),
            ("origin", "https://page.example"),
            ("referer", "http://127.0.0.1:1/https/a.example/x"),
        ]);
        let sent = to_origin(&player, &own_names);
        assert_eq!(names(&sent), ["authorization", "cookie", "origin", "range", "user-agent", "x-token"]);
    }

    #[test]
    fn an_origins_headers_come_back_bound_to_it() {
        let url = Url::parse("https://a.example:444/dir/x").unwrap();
        let origin = map(&[
            ("content-type", "video/mp4"),
            ("transfer-encoding", "chunked"),
            ("access-control-allow-origin", "https://page.example"),
            ("strict-transport-security", "max-age=1"),
            ("etag", "\"e\""),
            ("location", "../y?z"),
            ("set-cookie", "k=v; Domain=.example; Path=/dir/; Secure; HttpOnly; SameSite=None"),
        ]);
        let given = to_player(&origin, &url);
        assert_eq!(names(&given), ["content-security-policy", "content-type", "etag", "location", "set-cookie"]);
        assert_eq!(given["location"], "/https/a.example:444/y?z");
        assert_eq!(given["set-cookie"], "k=v; HttpOnly; Path=/https/a.example:444/dir");
    }
}
