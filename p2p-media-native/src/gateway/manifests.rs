//! Manifests on their way to a player: what they list is told to the engine, and URLs that would lead past the gateway are rewritten.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use p2p_media_dash::{UrlReference, rewrite_urls};
use p2p_media_hls::{Playlist, UriReference, Variables, rewrite_uris};
use url::Url;

use super::Gateway;
use super::dash_streams::MpdVersion;
use super::manifest_kind::ManifestKind;
use super::origin_path::{gateway_path, manifest_name};

/// Stands in for the gateway's own address where only the path of a URL matters.
const SOME_GATEWAY: &str = "http://gateway.invalid";

/// An answer that is a manifest.
#[derive(Clone, Debug)]
pub(super) struct ManifestAnswer<'a> {
    pub(super) kind: ManifestKind,
    /// What the player asked for.
    pub(super) asked: &'a Url,
    /// Where it came from, after redirects.
    pub(super) own_url: &'a Url,
    pub(super) text: Bytes,
    /// In seconds since 1970, by the clock of the origin.
    pub(super) sent_at: Option<f64>,
}

impl ManifestAnswer<'_> {
    /// Takes it in, and gives its text for the player.
    pub(super) async fn take_in(self, gateway: &Gateway) -> Bytes {
        let rewritten = match self.kind {
            ManifestKind::Playlist => {
                let imported = self.take_in_playlist(gateway).await;
                self.playlist_for_player(gateway, &imported)
            }
            ManifestKind::Mpd => {
                self.take_in_mpd(gateway).await;
                self.mpd_for_player(gateway)
            }
            ManifestKind::MpdPatch => {
                if let Some(presentation) = gateway.presentations.naming(&manifest_name(self.asked)) {
                    presentation.read_patch(&self.text, self.sent_at, name_of);
                }
                self.mpd_for_player(gateway)
            }
        };
        rewritten.unwrap_or(self.text)
    }

    async fn take_in_playlist(&self, gateway: &Gateway) -> Arc<Variables> {
        let name = manifest_name(self.asked);
        let named_by = gateway.presentations.naming(&name);
        let imported = named_by.as_ref().and_then(|known| known.variables_for(&name)).unwrap_or_default();
        let playlist = match p2p_media_hls::parse(&self.text, self.own_url.as_str(), &imported) {
            Ok(playlist) => playlist,
            Err(error) => {
                tracing::warn!(playlist = %self.own_url, %error, "passed on as it is");
                return imported;
            }
        };
        let presentation = match (&playlist, named_by) {
            (Playlist::Media(_), Some(presentation)) => Ok(presentation),
            _ => gateway.presentations.open(&name, self.own_url.as_str()).await,
        };
        match (presentation, playlist) {
            (Err(error), _) => tracing::warn!(playlist = %self.own_url, error, "not shared"),
            (Ok(presentation), Playlist::Multivariant(playlist)) => presentation.read_multivariant(&playlist, name_of),
            (Ok(presentation), Playlist::Media(playlist)) => presentation.read_media(&name, self.own_url.as_str(), &playlist),
        }
        imported
    }

    async fn take_in_mpd(&self, gateway: &Gateway) {
        let mpd = match p2p_media_dash::parse(&self.text, self.own_url.as_str()) {
            Ok(mpd) => mpd,
            Err(error) => return tracing::warn!(mpd = %self.own_url, %error, "passed on as it is"),
        };
        let name = manifest_name(self.asked);
        let presentation = match gateway.presentations.naming(&name) {
            Some(presentation) => Ok(presentation),
            None => gateway.presentations.open(&name, self.own_url.as_str()).await,
        };
        let version = MpdVersion { mpd, text: self.text.clone(), own_url: self.own_url.to_string(), sent_at: self.sent_at };
        match presentation {
            Ok(presentation) => presentation.read_mpd(version, name_of),
            Err(error) => tracing::warn!(mpd = %self.own_url, error, "not shared"),
        }
    }

    /// The playlist with URIs that lead through the gateway; `None` when it stays as it is.
    fn playlist_for_player(&self, gateway: &Gateway, imported: &Variables) -> Option<Bytes> {
        let base = players_base(self.asked)?;
        let was_redirected = self.was_redirected();
        let rewritten = rewrite_uris(&self.text, self.own_url.as_str(), imported, |uri: &UriReference<'_>| {
            if !was_redirected && stays_in_place(uri.written) && !uri.written.contains('{') {
                return None;
            }
            let path = path_through(gateway, uri.absolute)?;
            (uri.written.contains("{$") || !leads_to(uri.written, &base, &path)).then_some(path)
        });
        self.changed(rewritten)
    }

    /// The MPD, or patch of one, with URLs that lead through the gateway; `None` when it stays as it is.
    fn mpd_for_player(&self, gateway: &Gateway) -> Option<Bytes> {
        let base = players_base(self.asked)?;
        let was_redirected = self.was_redirected();
        let rewritten = rewrite_urls(&self.text, self.own_url.as_str(), |url: &UrlReference<'_>| {
            // What is relative to a BaseURL leads where that leads.
            let is_relative_to_mpd = url.base == self.own_url.as_str();
            if (!was_redirected || !is_relative_to_mpd) && stays_in_place(url.written) {
                return None;
            }
            let path = path_through(gateway, url.absolute)?;
            let base = if is_relative_to_mpd {
                Some(Cow::Borrowed(&base))
            } else {
                Url::parse(url.base).ok().and_then(|base| players_base(&base)).map(Cow::Owned)
            };
            (!base.is_some_and(|base| leads_to(url.written, &base, &path))).then_some(path)
        });
        self.changed(rewritten)
    }

    /// After a redirect relative URLs mean something else to the origin than to the player.
    fn was_redirected(&self) -> bool {
        self.asked[..url::Position::AfterQuery] != self.own_url[..url::Position::AfterQuery]
    }

    fn changed<E: std::fmt::Display>(&self, rewritten: Result<Cow<'_, [u8]>, E>) -> Option<Bytes> {
        match rewritten {
            Ok(Cow::Owned(text)) => Some(text.into()),
            Ok(Cow::Borrowed(_)) => None,
            Err(error) => {
                tracing::debug!(manifest = %self.own_url, %error, "not rewritten");
                None
            }
        }
    }
}

fn name_of(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url.to_owned(), |url| manifest_name(&url))
}

/// The path at the gateway of a URL in a manifest; its origin is served from now on.
fn path_through(gateway: &Gateway, absolute: &str) -> Option<String> {
    let absolute = Url::parse(absolute).ok()?;
    let path = gateway_path(&absolute)?;
    gateway.origins.add(&absolute);
    Some(path)
}

/// What a player that has asked the gateway for a URL resolves relative ones against.
fn players_base(asked: &Url) -> Option<Url> {
    Url::parse(&format!("{SOME_GATEWAY}{}", gateway_path(asked)?)).ok()
}

/// True for a reference that resolves below the directory of any base: most of them, so that no URL needs to be made.
fn stays_in_place(written: &str) -> bool {
    !written.is_empty() && !written.starts_with(['/', '\\', '.', '?', '#']) && !written.contains([':', '\\']) && !written.contains("..")
}

/// True when a player that resolves a reference against this URL of the gateway arrives at `path` by itself.
fn leads_to(written: &str, base: &Url, path: &str) -> bool {
    let arrives_at = base.join(written).ok().filter(|url| url.host_str() == base.host_str() && url.scheme() == base.scheme());
    arrives_at.is_some_and(|url| url[url::Position::BeforePath..url::Position::AfterQuery] == *path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_need_no_second_look() {
        for written in ["seg.ts", "a/b.m4s?x=1", "é b.ts", "$Number$.m4s"] {
            assert!(stays_in_place(written), "{written}");
        }
        for written in ["/a.ts", "//h/a.ts", "../a.ts", "a/../b.ts", "https://h/a.ts", "", "?a", "./a.ts", "\\a"] {
            assert!(!stays_in_place(written), "{written}");
        }
    }
}
