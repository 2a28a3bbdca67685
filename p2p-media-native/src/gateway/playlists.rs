//! Playlists on their way to a player: what they list is told to the engine, and URIs that would lead past the gateway are rewritten.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use p2p_media_hls::{Playlist, UriReference, Variables, parse, rewrite_uris};
use url::Url;

use super::Gateway;
use super::origin_path::{gateway_path, playlist_name};

/// Stands in for the gateway's own address where only the path of a URL matters.
const SOME_GATEWAY: &str = "http://gateway.invalid";

/// Takes in a playlist that was asked for as `asked` and came from `own_url`, and gives its text for the player.
pub(super) async fn take_in(gateway: &Gateway, asked: &Url, own_url: &Url, text: Bytes) -> Bytes {
    let name = playlist_name(asked);
    let named_by = gateway.presentations.naming(&name);
    let imported = named_by.as_ref().map_or_else(Arc::default, |(_, known)| Arc::clone(&known.variables));
    match parse(&text, own_url.as_str(), &imported) {
        Err(error) => tracing::warn!(playlist = %own_url, %error, "passed on as it is"),
        Ok(playlist) => {
            let presentation = match (&playlist, named_by) {
                (Playlist::Media(_), Some((presentation, _))) => Ok(presentation),
                _ => gateway.presentations.open(&name, own_url.as_str()).await,
            };
            match (presentation, playlist) {
                (Err(error), _) => tracing::warn!(playlist = %own_url, error, "not shared"),
                (Ok(presentation), Playlist::Multivariant(playlist)) => {
                    presentation.touch();
                    presentation
                        .read_multivariant(&playlist, |url| Url::parse(url).map_or_else(|_| url.to_owned(), |url| playlist_name(&url)));
                }
                (Ok(presentation), Playlist::Media(playlist)) => {
                    presentation.touch();
                    presentation.read_media(&name, own_url.as_str(), &playlist);
                }
            }
        }
    }
    for_player(gateway, asked, own_url, &imported, &text).unwrap_or(text)
}

/// The text with URIs that lead through the gateway; `None` when it stays as it is.
fn for_player(gateway: &Gateway, asked: &Url, own_url: &Url, imported: &Variables, text: &[u8]) -> Option<Bytes> {
    let base = Url::parse(&format!("{SOME_GATEWAY}{}", gateway_path(asked)?)).ok()?;
    // After a redirect relative URIs mean something else to the origin than to the player.
    let was_redirected = asked[..url::Position::AfterQuery] != own_url[..url::Position::AfterQuery];
    let rewritten = rewrite_uris(text, own_url.as_str(), imported, |uri| {
        if !was_redirected && stays_in_place(uri.written) {
            return None;
        }
        let absolute = Url::parse(uri.absolute).ok()?;
        let path = gateway_path(&absolute)?;
        gateway.origins.add(&absolute);
        (!leads_to(uri, &base, &path)).then_some(path)
    });
    match rewritten {
        Ok(Cow::Owned(text)) => Some(text.into()),
        Ok(Cow::Borrowed(_)) => None,
        Err(error) => {
            tracing::debug!(playlist = %own_url, %error, "not rewritten");
            None
        }
    }
}

/// True for a reference that resolves below the directory of any base: most of them, so that no URL needs to be made.
fn stays_in_place(written: &str) -> bool {
    !written.is_empty()
        && !written.starts_with(['/', '\\', '.', '?', '#'])
        && !written.contains([':', '{', '\\'])
        && !written.contains("..")
}

/// True when a player that resolves the URI against the gateway's own URL arrives at `path` by itself.
fn leads_to(uri: &UriReference<'_>, base: &Url, path: &str) -> bool {
    let arrives_at = base.join(uri.written).ok().filter(|url| url.host_str() == base.host_str() && url.scheme() == base.scheme());
    !uri.written.contains("{$") && arrives_at.is_some_and(|url| url[url::Position::BeforePath..url::Position::AfterQuery] == *path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_need_no_second_look() {
        for written in ["seg.ts", "a/b.m4s?x=1", "é b.ts"] {
            assert!(stays_in_place(written), "{written}");
        }
        for written in ["/a.ts", "//h/a.ts", "../a.ts", "a/../b.ts", "https://h/a.ts", "{$v}/a.ts", "", "?a", "./a.ts", "\\a"] {
            assert!(!stays_in_place(written), "{written}");
        }
    }
}
