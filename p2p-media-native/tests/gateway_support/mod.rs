//! What the tests of the gateway have in common: origins, gateways, a plain HTTP client.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod dash_sample;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response as Answer};
use p2p_media_core::config::Config;
use p2p_media_native::gateway::{GatewayConfig, GatewayServer};
use p2p_media_native::origin_server::{OriginConfig, OriginServer};
use reqwest::{Client, Response};

pub(crate) const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/media");

pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default(); // an error says that another test was first
    Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn alone() -> Config {
    Config { announce_trackers: Vec::new(), ice_servers: Vec::new(), ..Config::default() }
}

pub(crate) async fn gateway_for(urls: &[String]) -> GatewayServer {
    let listen = "127.0.0.1:0".parse().unwrap();
    GatewayServer::bind(GatewayConfig { listen, urls: urls.to_vec(), engine: alone(), ..GatewayConfig::default() }).await.unwrap()
}

pub(crate) async fn sample() -> (OriginServer, GatewayServer) {
    let origin = OriginServer::bind(OriginConfig::new(SAMPLE)).await.unwrap();
    let gateway = gateway_for(&[origin.url("master.m3u8")]).await;
    (origin, gateway)
}

pub(crate) async fn get(url: impl AsRef<str>) -> Response {
    client().get(url.as_ref()).send().await.unwrap()
}

pub(crate) async fn bytes_of(url: impl AsRef<str>) -> Vec<u8> {
    let response = get(url).await.error_for_status().unwrap();
    response.bytes().await.unwrap().to_vec()
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(SAMPLE).join(name)).unwrap()
}

/// An origin whose answers are a table: status, headers and body by path and query. Remembers the headers of the last request to each.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    answers: Arc<Mutex<HashMap<String, Script>>>,
    asked: Arc<Mutex<HashMap<String, HeaderMap>>>,
}

#[derive(Clone)]
struct Script {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Scripted {
    pub(crate) async fn start() -> (Self, String) {
        let scripted = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(Self::answer).with_state(scripted.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (scripted, base)
    }

    pub(crate) fn add(&self, path: &str, body: impl Into<String>) {
        self.add_script(path, 200, &[], body);
    }

    pub(crate) fn add_script(&self, path: &str, status: u16, headers: &[(&'static str, String)], body: impl Into<String>) {
        let script = Script { status, headers: headers.to_vec(), body: body.into() };
        self.answers.lock().unwrap().insert(path.to_owned(), script);
    }

    pub(crate) fn asked(&self, path: &str) -> Option<HeaderMap> {
        self.asked.lock().unwrap().get(path).cloned()
    }

    async fn answer(State(scripted): State<Self>, request: Request) -> Answer {
        let path = request.uri().path_and_query().unwrap().to_string();
        scripted.asked.lock().unwrap().insert(path.clone(), request.headers().clone());
        let Some(script) = scripted.answers.lock().unwrap().get(&path).cloned() else { return StatusCode::NOT_FOUND.into_response() };
        let range = request.headers().get("range").and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
        let mut answer = match range {
            Some((first, last)) if script.status == 200 => {
                let (first, size) = (first.parse::<usize>().unwrap(), script.body.len());
                let last = last.parse::<usize>().map_or(size - 1, |last| last.min(size - 1));
                let place = format!("bytes {first}-{last}/{size}");
                (StatusCode::PARTIAL_CONTENT, [("content-range", place)], script.body[first..=last].to_owned()).into_response()
            }
            _ => (StatusCode::from_u16(script.status).unwrap(), script.body).into_response(),
        };
        for (name, value) in script.headers {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        answer
    }
}
