//! The gateway in front of real origins: what players get through it is what the origin has.
#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod gateway_support;

use std::collections::HashSet;
use std::time::Duration;

use gateway_support::{SAMPLE, Scripted, alone, bytes_of, client, file, gateway_for, get, header, sample};
use p2p_media_native::gateway::{GatewayConfig, GatewayError, GatewayServer};
use p2p_media_native::origin_server::{LiveConfig, OriginConfig, OriginServer};
use reqwest::Method;

#[tokio::test]
async fn gives_what_the_origin_has() {
    let (origin, gateway) = sample().await;
    let through = |path: &str| gateway.url_of(&origin.url(path)).unwrap();
    for name in ["master.m3u8", "media_0.m3u8", "media_3.m3u8", "init_0.m4s", "init_3.m4s"] {
        assert_eq!(bytes_of(through(name)).await, file(name), "{name}");
    }
    for number in 1..=5 {
        for stream in [0, 3] {
            let name = format!("seg_{stream}_{number:02}.m4s");
            assert_eq!(bytes_of(through(&name)).await, file(&name), "{name}");
            assert_eq!(bytes_of(through(&name)).await, file(&name), "{name} again, out of the cache");
            assert_eq!(origin.stats().files[&name].traffic.requests, 1, "{name}");
        }
    }
    let stats = gateway.stats().await;
    assert_eq!(stats["requests"]["segment"], 20);
    assert_eq!(stats["requests"]["manifest"], 3);
    assert_eq!(stats["requests"]["passed_on"], 2);
    assert_eq!(stats["total"]["segments_loaded"], 10);
    assert_eq!(stats["total"]["cache_hit_ratio"], 0.5);
    let session = &stats["sessions"][0];
    assert_eq!(session["manifest"], origin.url("master.m3u8"));
    assert_eq!(session["streams"].as_array().unwrap().len(), 2);
    assert_eq!(session["streams"][0]["segments"], 30);
    assert_eq!(session["viewers"], 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn live_playlists_pass_and_their_segments_come_from_the_engine() {
    let config =
        OriginConfig { live: Some(LiveConfig { window: Duration::from_secs(8), ..LiveConfig::default() }), ..OriginConfig::new(SAMPLE) };
    let origin = OriginServer::bind(config).await.unwrap();
    let gateway = gateway_for(&[origin.url("master.m3u8")]).await;
    let through = |path: &str| gateway.url_of(&origin.url(path)).unwrap();
    bytes_of(through("master.m3u8")).await;
    let mut seen = HashSet::new();
    // Until the window has moved on.
    while seen.len() < 5 {
        let playlist = String::from_utf8(bytes_of(through("media_0.m3u8")).await).unwrap();
        for uri in playlist.lines().filter(|line| !line.starts_with('#')) {
            if seen.insert(uri.to_owned()) {
                let base = through("");
                assert_eq!(bytes_of(format!("{base}{uri}")).await, file(uri.split('?').next().unwrap()), "{uri}");
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stats = gateway.stats().await;
    assert_eq!(stats["requests"]["segment"], seen.len());
    assert_eq!(stats["sessions"][0]["streams"][0]["live"], true);
    gateway.shutdown().await;
}

#[tokio::test]
async fn answers_to_ranges_and_heads_like_an_origin() {
    let (origin, gateway) = sample().await;
    bytes_of(gateway.url_of(&origin.url("media_0.m3u8")).unwrap()).await;
    let whole = file("seg_0_01.m4s");
    let size = whole.len();
    let url = gateway.url_of(&origin.url("seg_0_01.m4s")).unwrap();
    for (range, part) in [
        ("bytes=0-".to_owned(), 0..size),
        ("bytes=100-199".to_owned(), 100..200),
        (format!("bytes={}-", size - 10), size - 10..size),
        ("bytes=-7".to_owned(), size - 7..size),
        (format!("bytes=5-{}", size * 2), 5..size),
    ] {
        let response = client().get(&url).header("range", &range).send().await.unwrap();
        assert_eq!(response.status(), 206, "{range}");
        assert_eq!(header(response.headers(), "content-range"), format!("bytes {}-{}/{size}", part.start, part.end - 1), "{range}");
        assert_eq!(header(response.headers(), "content-length"), part.len().to_string(), "{range}");
        assert_eq!(response.bytes().await.unwrap(), whole[part], "{range}");
    }
    let response = client().get(&url).header("range", format!("bytes={size}-")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(response.headers(), "content-range")), (416, &*format!("bytes */{size}")));
    let several = client().get(&url).header("range", "bytes=0-1,3-4").send().await.unwrap();
    assert_eq!((several.status().as_u16(), several.bytes().await.unwrap().len()), (200, size));

    let response = client().head(&url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(response.headers(), "content-length")), (200, &*size.to_string()));
    assert_eq!(header(response.headers(), "accept-ranges"), "bytes");
    let response = client().head(gateway.url_of(&origin.url("master.m3u8")).unwrap()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(response.headers(), "content-type")), (200, "application/vnd.apple.mpegurl"));
    // A player that always asks for a range gets a playlist whole.
    let playlist = client().get(gateway.url_of(&origin.url("master.m3u8")).unwrap()).header("range", "bytes=0-").send().await.unwrap();
    assert_eq!((playlist.status().as_u16(), playlist.bytes().await.unwrap().to_vec()), (200, file("master.m3u8")));
    assert_eq!(origin.stats().files["seg_0_01.m4s"].traffic.bytes, size as u64, "fetched once");
    gateway.shutdown().await;
}

#[tokio::test]
async fn pages_of_other_sites_may_read_media_but_not_figures() {
    let (origin, gateway) = sample().await;
    let page = "https://page.example";
    for name in ["master.m3u8", "media_0.m3u8", "seg_0_01.m4s", "init_0.m4s"] {
        let response = client().get(gateway.url_of(&origin.url(name)).unwrap()).header("origin", page).send().await.unwrap();
        let allowed: Vec<_> = response.headers().get_all("access-control-allow-origin").iter().collect();
        assert_eq!(allowed, ["*"], "{name}");
        assert!(header(response.headers(), "access-control-expose-headers").contains("content-range"), "{name}");
    }
    let preflight = client()
        .request(Method::OPTIONS, gateway.url_of(&origin.url("seg_0_01.m4s")).unwrap())
        .header("origin", page)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "range,authorization")
        .header("access-control-request-private-network", "true");
    let response = preflight.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(response.headers(), "access-control-allow-headers"), "range,authorization");
    assert_eq!(header(response.headers(), "access-control-allow-private-network"), "true");
    let base = format!("http://{}", gateway.local_addr());
    for page in ["/stats", "/metrics", "/"] {
        let response = get(format!("{base}{page}")).await;
        assert_eq!((response.status().as_u16(), header(response.headers(), "access-control-allow-origin")), (200, ""), "{page}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn figures_for_people_and_for_prometheus() {
    let (origin, gateway) = sample().await;
    for name in ["media_0.m3u8", "seg_0_01.m4s"] {
        bytes_of(gateway.url_of(&origin.url(name)).unwrap()).await;
    }
    let base = format!("http://{}", gateway.local_addr());
    let stats: serde_json::Value = serde_json::from_slice(&bytes_of(format!("{base}/stats")).await).unwrap();
    let size = file("seg_0_01.m4s").len();
    assert_eq!((&stats["total"]["http_bytes"], &stats["total"]["stored_bytes"]), (&size.into(), &size.into()));
    assert_eq!(stats["sessions"][0]["streams"][0]["kind"], "main");
    let metrics = String::from_utf8(bytes_of(format!("{base}/metrics")).await).unwrap();
    assert!(metrics.contains(&format!("\np2p_media_gateway_http_bytes_total {size}\n")), "{metrics}");
    assert!(metrics.contains("\np2p_media_gateway_requests_total{outcome=\"segment\"} 1\n"), "{metrics}");
    for line in metrics.lines() {
        assert!(line.starts_with("# ") || line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<u64>().is_ok()), "{line}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn serves_only_what_was_named() {
    let (origin, gateway) = sample().await;
    let (other, other_base) = Scripted::start().await;
    other.add("/secret", "secret");
    let base = format!("http://{}", gateway.local_addr());

    let response = get(format!("{base}/{}/secret", other_base.replace("://", "/"))).await;
    assert_eq!(response.status(), 403);
    let text = response.text().await.unwrap();
    assert!(text.contains(&other_base) && text.contains("--allow-any-origin") && text.lines().count() == 1, "{text}");
    assert!(other.asked("/secret").is_none());
    for (path, status) in [("/favicon.ico", 404), ("/ftp/a.example/x", 404), ("/http//x", 404), ("/http/user@a.example/x", 404)] {
        assert_eq!(get(format!("{base}{path}")).await.status(), status, "{path}");
    }
    assert_eq!(client().post(gateway.url_of(&origin.url("master.m3u8")).unwrap()).send().await.unwrap().status(), 405);

    for (host, status) in [("evil.example", 403), ("evil.example:80", 403), ("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200)] {
        let response = client().get(gateway.url_of(&origin.url("master.m3u8")).unwrap()).header("host", host).send().await.unwrap();
        assert_eq!(response.status(), status, "{host}");
        let stats = client().get(format!("{base}/stats")).header("host", host).send().await.unwrap();
        assert_eq!(stats.status(), status, "{host}");
    }
    assert_eq!(gateway.stats().await["requests"]["refused"], 9);
    gateway.shutdown().await;
}

#[tokio::test]
async fn uris_that_would_lead_past_it_lead_through_it() {
    let (cdn, cdn_base) = Scripted::start().await;
    let (origin, base) = Scripted::start().await;
    let host = base.strip_prefix("http://").unwrap();
    let cdn_host = cdn_base.strip_prefix("http://").unwrap();
    origin.add(
        "/a/master.m3u8",
        format!("#EXTM3U\r\n#EXT-X-DEFINE:NAME=\"h\",VALUE=\"{cdn_base}/v\"\r\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\n/a/low.m3u8\r\n#EXT-X-STREAM-INF:BANDWIDTH=2\r\n{{$h}}/high.m3u8\r\n"),
    );
    origin.add(
        "/a/low.m3u8",
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-DEFINE:IMPORT=\"h\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"data:text/plain,0123456789abcdef\"\n\
             #EXTINF:2,\n../../up.ts\n#EXTINF:2,\n//{cdn_host}/b.ts\n#EXTINF:2,\n{{$h}}/c.ts?x=1\n#EXTINF:2,\nd.ts\n#EXT-X-ENDLIST\n"
        ),
    );
    origin.add("/up.ts", "up");
    origin.add("/a/d.ts", "d");
    cdn.add("/b.ts", "b");
    cdn.add("/v/c.ts?x=1", "c");
    cdn.add("/v/high.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nc.ts?x=1\n#EXT-X-ENDLIST\n");

    let gateway = gateway_for(&[format!("{base}/a/master.m3u8")]).await;
    let root = format!("http://{}", gateway.local_addr());
    let cdn_is_allowed = get(format!("{root}/http/{cdn_host}/b.ts")).await.status();
    assert_eq!(cdn_is_allowed, 403, "not yet named");
    let master = String::from_utf8(bytes_of(gateway.url_of(&format!("{base}/a/master.m3u8")).unwrap()).await).unwrap();
    assert_eq!(
        master,
        format!(
            "#EXTM3U\r\n#EXT-X-DEFINE:NAME=\"h\",VALUE=\"{cdn_base}/v\"\r\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\n/http/{host}/a/low.m3u8\r\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2\r\n/http/{cdn_host}/v/high.m3u8\r\n"
        )
    );
    let low = String::from_utf8(bytes_of(format!("{root}/http/{host}/a/low.m3u8")).await).unwrap();
    let uris: Vec<_> = low.lines().filter(|line| !line.starts_with('#')).collect();
    let expected =
        [format!("/http/{host}/up.ts"), format!("/http/{cdn_host}/b.ts"), format!("/http/{cdn_host}/v/c.ts?x=1"), "d.ts".to_owned()];
    assert_eq!(uris, expected);
    assert!(low.contains("URI=\"data:text/plain,0123456789abcdef\""));
    for (uri, body) in uris.iter().zip(["up", "b", "c", "d"]) {
        let url = if uri.starts_with('/') { format!("{root}{uri}") } else { format!("{root}/http/{host}/a/{uri}") };
        assert_eq!(bytes_of(url).await, body.as_bytes());
    }
    // The other rendition, on the other host, belongs to the same presentation.
    bytes_of(format!("{root}/http/{cdn_host}/v/high.m3u8")).await;
    let stats = gateway.stats().await;
    assert_eq!((stats["sessions"].as_array().unwrap().len(), stats["sessions"][0]["streams"].as_array().unwrap().len()), (1, 2));
    assert_eq!(stats["requests"]["segment"], 4);
    gateway.shutdown().await;
}

#[tokio::test]
async fn redirected_playlists_keep_their_meaning() {
    let (cdn, cdn_base) = Scripted::start().await;
    let (origin, base) = Scripted::start().await;
    origin.add_script("/play", 302, &[("location", format!("{cdn_base}/x/list?token=1"))], "");
    cdn.add("/x/list?token=1", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n");
    cdn.add("/x/a.ts", "a");
    let gateway = gateway_for(&[format!("{base}/play")]).await;
    let playlist = String::from_utf8(bytes_of(gateway.url_of(&format!("{base}/play")).unwrap()).await).unwrap();
    let uri = playlist.lines().find(|line| !line.starts_with('#')).unwrap();
    assert_eq!(uri, format!("/http/{}/x/a.ts", cdn_base.strip_prefix("http://").unwrap()));
    assert_eq!(bytes_of(format!("http://{}{uri}", gateway.local_addr())).await, b"a");
    let stream = &gateway.stats().await["sessions"][0]["streams"][0];
    assert!(stream["swarm_id"].as_str().unwrap().starts_with(&format!("v2-{cdn_base}/x/list-main-")), "{stream}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn segments_in_one_file_come_from_the_engine_and_the_rest_from_the_origin() {
    let (origin, base) = Scripted::start().await;
    let body: String = (0..100).map(|n| char::from(b'a' + n % 26)).collect();
    origin.add("/all.mp4", body.clone());
    origin.add(
        "/list.m3u8",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-VERSION:7\n#EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"10@0\"\n\
         #EXT-X-BYTERANGE:40@10\n#EXTINF:2,\nall.mp4\n#EXT-X-BYTERANGE:50\n#EXTINF:2,\nall.mp4\n#EXT-X-ENDLIST\n",
    );
    let gateway = gateway_for(&[format!("{base}/list.m3u8")]).await;
    bytes_of(gateway.url_of(&format!("{base}/list.m3u8")).unwrap()).await;
    let url = gateway.url_of(&format!("{base}/all.mp4")).unwrap();
    // The total is told once an answer of the origin has told it.
    for (range, total, part, from_engine) in [
        ("bytes=10-49", "*", 10..50, 1),
        ("bytes=0-9", "100", 0..10, 1),
        ("bytes=20-29", "100", 20..30, 2),
        ("bytes=50-99", "100", 50..100, 3),
        ("bytes=40-59", "100", 40..60, 5),
        ("bytes=60-", "100", 60..100, 6),
        ("bytes=5-14", "100", 5..15, 7),
        ("bytes=-1", "100", 99..100, 8),
        ("bytes=0-", "100", 0..100, 10),
    ] {
        let response = client().get(&url).header("range", range).send().await.unwrap();
        assert_eq!(response.status(), 206, "{range}");
        let expected = format!("bytes {}-{}/{total}", part.start, part.end - 1);
        assert_eq!(header(response.headers(), "content-range"), expected);
        assert_eq!(response.text().await.unwrap(), body[part], "{range}");
        assert_eq!(gateway.stats().await["requests"]["segment"], from_engine, "{range}");
    }
    assert_eq!(bytes_of(&url).await, body.as_bytes());
    let stats = gateway.stats().await;
    assert_eq!((&stats["total"]["segments_loaded"], &stats["requests"]["passed_on"]), (&2.into(), &1.into()));
    let beyond = client().get(&url).header("range", "bytes=100-").send().await.unwrap();
    assert_eq!((beyond.status().as_u16(), header(beyond.headers(), "content-range")), (416, "bytes */100"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_players_own_credentials_get_what_the_engine_is_refused() {
    let (origin, base) = Scripted::start().await;
    origin.add("/list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXTINF:2,\ngone.ts\n#EXT-X-ENDLIST\n");
    origin.add_script("/a.ts", 403, &[("set-cookie", "k=v; Path=/; Secure".to_owned())], "who are you");
    let gateway = gateway_for(&[format!("{base}/list.m3u8")]).await;
    bytes_of(gateway.url_of(&format!("{base}/list.m3u8")).unwrap()).await;
    let request = client().get(gateway.url_of(&format!("{base}/a.ts")).unwrap()).header("cookie", "k=v").header("user-agent", "tv");
    let response = request.send().await.unwrap();
    let asked = origin.asked("/a.ts").unwrap();
    assert_eq!((header(&asked, "cookie"), header(&asked, "user-agent"), header(&asked, "accept-encoding")), ("k=v", "tv", "identity"));
    assert_eq!(response.status(), 403);
    assert_eq!(header(response.headers(), "set-cookie"), format!("k=v; Path=/{}", base.replace("://", "/")));
    assert_eq!(response.text().await.unwrap(), "who are you");
    let gone = get(gateway.url_of(&format!("{base}/gone.ts")).unwrap()).await;
    assert_eq!(gone.status(), 404);
    assert_eq!(gone.text().await.unwrap(), format!("p2p-media gateway: {base}/gone.ts: the origin answered with status 404\n"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_named_in_one_line() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = gateway_for(&[format!("http://{free}/x.m3u8")]).await;
    let response = get(gateway.url_of(&format!("http://{free}/x.m3u8")).unwrap()).await;
    assert_eq!(response.status(), 502);
    let text = response.text().await.unwrap();
    assert!(text.contains(&free.to_string()) && text.contains("refused") && text.lines().count() == 1, "{text}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn sessions_that_nobody_uses_end() {
    let origin = OriginServer::bind(OriginConfig::new(SAMPLE)).await.unwrap();
    let config = GatewayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        urls: vec![origin.url("master.m3u8")],
        engine: alone(),
        idle_limit: Duration::from_millis(100),
        ..GatewayConfig::default()
    };
    let gateway = GatewayServer::bind(config).await.unwrap();
    for name in ["master.m3u8", "media_0.m3u8", "seg_0_01.m4s"] {
        bytes_of(gateway.url_of(&origin.url(name)).unwrap()).await;
    }
    let ended = async {
        while !gateway.stats().await["sessions"].as_array().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    let counted = async {
        while gateway.stats().await["total"]["segments_loaded"] != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.unwrap();
    // What is asked for afterwards passes through, until a playlist is read again.
    assert_eq!(bytes_of(gateway.url_of(&origin.url("seg_0_02.m4s")).unwrap()).await, file("seg_0_02.m4s"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_breaks_off_what_is_under_way() {
    let config = OriginConfig { rate: std::num::NonZeroU64::new(10_000), ..OriginConfig::new(SAMPLE) };
    let origin = OriginServer::bind(config).await.unwrap();
    let gateway = gateway_for(&[origin.url("media_2.m3u8")]).await;
    bytes_of(gateway.url_of(&origin.url("media_2.m3u8")).unwrap()).await;
    let url = gateway.url_of(&origin.url("seg_2_01.m4s")).unwrap();
    let mut response = get(&url).await;
    assert!(response.chunk().await.unwrap().is_some(), "it streams while it arrives");
    gateway.shutdown().await;
    assert!(response.bytes().await.is_err(), "the body must not look whole");
    assert!(client().get(url).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_player_that_goes_away_takes_its_request_back() {
    let config = OriginConfig { rate: std::num::NonZeroU64::new(10_000), ..OriginConfig::new(SAMPLE) };
    let origin = OriginServer::bind(config).await.unwrap();
    let gateway = gateway_for(&[origin.url("media_2.m3u8")]).await;
    bytes_of(gateway.url_of(&origin.url("media_2.m3u8")).unwrap()).await;
    let mut response = get(gateway.url_of(&origin.url("seg_2_01.m4s")).unwrap()).await;
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(gateway.stats().await["requests_under_way"], 1);
    drop(response);
    let ended = async {
        while gateway.stats().await["requests_under_way"] != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    let fetched = gateway.stats().await["total"]["http_bytes"].as_u64().unwrap();
    assert!(fetched < file("seg_2_01.m4s").len() as u64, "{fetched}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn says_why_it_cannot_start() {
    let gateway = gateway_for(&["http://a.example/x".to_owned()]).await;
    let taken = GatewayConfig { listen: gateway.local_addr(), engine: alone(), ..GatewayConfig::default() };
    let error = GatewayServer::bind(taken).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {}: the port is in use", gateway.local_addr()));
    let listen = "127.0.0.1:0".parse().unwrap();
    for url in ["nonsense", "ftp://a.example/", "file:///x"] {
        let config = GatewayConfig { listen, urls: vec![url.to_owned()], ..GatewayConfig::default() };
        assert!(matches!(GatewayServer::bind(config).await.unwrap_err(), GatewayError::InvalidUrl(named) if named == url));
    }
    let config = GatewayConfig { listen, cache_dir: Some("/dev/null/cache".into()), engine: alone(), ..GatewayConfig::default() };
    let error = GatewayServer::bind(config).await.unwrap_err();
    assert!(error.to_string().contains("/dev/null/cache"), "{error}");
    gateway.shutdown().await;
}
