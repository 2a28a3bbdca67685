//! What the served folder holds: its manifests, which files are init segments, and which playlists belong together.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::{self, Read},
    path::{Path, PathBuf},
};

use p2p_media_dash::Mpd;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{OriginError, playlist::attribute};

/// Files looked at, and how deep.
const MAX_FILES: usize = 200_000;
const MAX_DEPTH: usize = 16;
/// Size of a playlist that is read.
const MAX_PLAYLIST_BYTES: u64 = 16 * 1024 * 1024;

/// Where manifests are said to be while they are read: a server that does not exist.
pub(super) const FOLDER_URL: &str = "http://folder.invalid/";

/// The manifests of a folder, by path below it.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// Every HLS playlist and DASH manifest: those that a player opens first, then media playlists.
    pub(super) manifests: Vec<String>,
    /// Files named by EXT-X-MAP or as Initialization, and by no media playlist as a segment.
    pub(super) init_segments: HashSet<String>,
    /// The text of every media playlist.
    pub(super) media_playlists: BTreeMap<String, String>,
    /// What every DASH manifest says, or why that cannot be known.
    pub(super) mpds: BTreeMap<String, Result<Mpd, String>>,
    /// Media playlists named by one multivariant playlist.
    pub(super) presentations: Vec<BTreeSet<String>>,
}

impl Catalogue {
    /// Reads the folder. Blocks.
    pub(super) fn scan(dir: &Path) -> Result<Self, OriginError> {
        let mut files = Vec::new();
        let mut folders = vec![(dir.to_path_buf(), String::new(), 0)];
        let mut looked_at = 0;
        'folders: while let Some((folder, prefix, depth)) = folders.pop() {
            let unreadable = |source| OriginError::UnreadableFolder { dir: folder.clone(), source };
            for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                looked_at += 1;
                let Some(name) = entry.file_name().to_str().filter(|name| !name.starts_with('.')).map(str::to_owned) else { continue };
                let kind = entry.file_type().map_err(unreadable)?;
                if looked_at > MAX_FILES {
                    tracing::warn!("the folder has more than {MAX_FILES} files: some manifests may be overlooked");
                    break 'folders;
                } else if kind.is_dir() && depth < MAX_DEPTH {
                    folders.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
                } else if !kind.is_dir() && is_manifest(&name) {
                    files.push((format!("{prefix}{name}"), entry.path()));
                }
            }
        }
        files.sort();
        Ok(Self::of(files))
    }

    fn of(files: Vec<(String, PathBuf)>) -> Self {
        let mut catalogue = Self::default();
        let mut segments = HashSet::new();
        for (path, file) in files {
            let text = match read_text(&file) {
                Ok(text) => text,
                Err(error) => {
                    tracing::warn!(%path, %error, "this manifest cannot be read");
                    continue;
                }
            };
            if path.ends_with(".mpd") {
                let url = url_of(&path).map(String::from).unwrap_or_default();
                let mpd = p2p_media_dash::parse(text.as_bytes(), &url);
                let inits = mpd.iter().flat_map(|mpd| &mpd.periods).flat_map(|period| &period.representations);
                let inits = inits.filter_map(|representation| representation.init.as_ref()).filter(|init| init.byte_range.is_none());
                catalogue.init_segments.extend(inits.filter_map(|init| file_at(&init.url)));
                catalogue.mpds.insert(path.clone(), mpd.map_err(|error| error.to_string()));
                catalogue.manifests.push(path);
            } else if text.contains("\n#EXT-X-STREAM-INF") {
                let renditions =
                    plain_uris(&text).chain(tag_uris(&text, "#EXT-X-MEDIA:")).chain(tag_uris(&text, "#EXT-X-I-FRAME-STREAM-INF:"));
                catalogue.join(renditions.filter_map(|uri| resolve(&path, uri)).collect());
                catalogue.manifests.push(path);
            } else {
                catalogue.init_segments.extend(tag_uris(&text, "#EXT-X-MAP:").filter_map(|uri| resolve(&path, uri)));
                segments.extend(plain_uris(&text).filter_map(|uri| resolve(&path, uri)));
                catalogue.media_playlists.insert(path, text);
            }
        }
        catalogue.init_segments.retain(|path| !segments.contains(path));
        catalogue.manifests.extend(catalogue.media_playlists.keys().cloned());
        catalogue
    }

    /// Merges the presentations that share a rendition with this one.
    fn join(&mut self, mut presentation: BTreeSet<String>) {
        self.presentations.retain(|other| {
            let apart = other.is_disjoint(&presentation);
            if !apart {
                presentation.extend(other.iter().cloned());
            }
            apart
        });
        self.presentations.push(presentation);
    }
}

/// The path below the folder that the path of a URL names; `None` when it leads outside, or to a hidden file.
pub(super) fn path_in_folder(url_path: &str) -> Option<String> {
    let mut path = String::new();
    for part in url_path.split('/').filter(|part| !part.is_empty()) {
        let part = percent_decode_str(part).decode_utf8().ok()?;
        if part.starts_with('.') || part.contains(['/', '\\', '\0']) {
            return None;
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&part);
    }
    Some(path)
}

fn is_manifest(name: &str) -> bool {
    [".m3u8", ".m3u", ".mpd"].iter().any(|extension| name.ends_with(extension))
}

fn read_text(file: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read_at_most(file, MAX_PLAYLIST_BYTES)?).into_owned())
}

pub(super) fn read_at_most(file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn tag_uris<'a>(text: &'a str, tag: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter(move |line| line.starts_with(tag)).filter_map(|line| attribute(line, "URI"))
}

fn plain_uris(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The path below the folder of a URI found in the playlist at `path`; `None` when it belongs to another origin.
pub(super) fn resolve(path: &str, uri: &str) -> Option<String> {
    file_at(url_of(path)?.join(uri).ok()?.as_str())
}

/// The URL that a path below the folder has while manifests are read.
pub(super) fn url_of(path: &str) -> Option<Url> {
    let mut url = Url::parse(FOLDER_URL).ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(path.split('/'));
    Some(url)
}

/// The path below the folder of such a URL; `None` for one of another origin.
pub(super) fn file_at(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    url.as_str().starts_with(FOLDER_URL).then(|| path_in_folder(url.path()))?
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = dir.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        dir
    }

    #[test]
    fn paths_stay_in_the_folder() {
        assert_eq!(path_in_folder("/a//b%20c/d.ts").as_deref(), Some("a/b c/d.ts"));
        assert_eq!(path_in_folder("/").as_deref(), Some(""));
        for outside in ["/../x", "/a/%2e%2e/x", "/a/..%2fx", "/.git/config", "/a/%2Fetc", "/a%5cb", "/a%00", "/%ff"] {
            assert_eq!(path_in_folder(outside), None, "{outside}");
        }
        assert_eq!(resolve("a/v.m3u8", "../b%20c/1.ts?x=y#z").as_deref(), Some("b c/1.ts"));
        assert_eq!(resolve("a/100%25.m3u8", "1.ts").as_deref(), Some("a/1.ts"));
        assert_eq!(resolve("v.m3u8", "https://cdn.example/1.ts"), None);
    }

    #[test]
    fn finds_manifests_and_init_segments() {
        let dir = folder(&[
            ("show/master.m3u8", "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv/v.m3u8\n"),
            ("show/a.m3u8", "#EXTM3U\n#EXT-X-MAP:URI=\"head.mp4\"\n#EXTINF:1,\na.mp4\n"),
            ("show/v/v.m3u8", "#EXTM3U\n#EXT-X-MAP:URI=\"one.mp4\",BYTERANGE=\"9@0\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:9@9\none.mp4\n"),
            ("show/dash.mpd", "<MPD/>"),
            (".hidden/x.m3u8", "#EXTM3U\n"),
        ]);
        let catalogue = Catalogue::scan(dir.path()).unwrap();
        assert_eq!(catalogue.manifests, ["show/dash.mpd", "show/master.m3u8", "show/a.m3u8", "show/v/v.m3u8"]);
        assert_eq!(catalogue.init_segments, HashSet::from(["show/head.mp4".to_owned()]));
        assert_eq!(catalogue.presentations, [BTreeSet::from(["show/a.m3u8".to_owned(), "show/v/v.m3u8".to_owned()])]);
    }
}
