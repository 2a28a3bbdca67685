//! TLS for HTTP and trackers: rustls with ring, trusting the authorities that the system trusts.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// A client's configuration that offers these application protocols (RFC 7301).
///
/// Machines without certificates of their own (a bare container) get Mozilla's list.
pub(crate) fn client_config(application_protocols: &[&str]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!("certificate authorities of the system: {error}");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    with_roots(roots, application_protocols)
}

fn with_roots(roots: RootCertStore, application_protocols: &[&str]) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = application_protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use futures::{SinkExt, StreamExt};
    use p2p_media_core::backend::{HttpFetcher, HttpRequest, Tracker, TrackerConnection};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::server::TlsStream;

    use super::*;
    use crate::http_fetcher::ReqwestFetcher;
    use crate::tracker_socket::WebSocketTracker;

    /// A listener for `localhost` with a certificate of its own, what accepts TLS there, and the roots that trust it.
    async fn server() -> (TcpListener, TlsAcceptor, RootCertStore) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certified.cert.der().clone()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(config)), roots)
    }

    async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor) -> std::io::Result<TlsStream<TcpStream>> {
        acceptor.accept(listener.accept().await?.0).await
    }

    #[tokio::test]
    async fn origins_and_trackers_are_reached_over_tls_and_strangers_refused() {
        let (listener, acceptor, roots) = server().await;
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let mut stream = accept(&listener, &acceptor).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
            let stream = accept(&listener, &acceptor).await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let message = socket.next().await.unwrap().unwrap();
            socket.send(message).await.unwrap();
            // The clients below do not trust us.
            assert!(accept(&listener, &acceptor).await.is_err());
            assert!(accept(&listener, &acceptor).await.is_err());
        });
        let request = || HttpRequest { url: Arc::from(format!("https://localhost:{port}/")), first: 0, last: None };
        let tracker_url = || Arc::from(format!("wss://localhost:{port}/"));

        let trusting = with_roots(roots.clone(), &["h2", "http/1.1"]).unwrap();
        assert_eq!(ReqwestFetcher::with_tls(trusting).unwrap().fetch(request()).await.unwrap().0.status, 200);
        let trusting = with_roots(roots, &[]).unwrap();
        let connection = WebSocketTracker::with_tls(trusting).connect(tracker_url()).await.unwrap();
        connection.send("announce".to_owned()).await.unwrap();
        assert_eq!(connection.receive().await.unwrap().as_deref(), Some("announce"));

        let error = ReqwestFetcher::new().unwrap().fetch(request()).await.err().unwrap();
        assert!(error.0.contains("certificate"), "{error}");
        let error = WebSocketTracker::new().unwrap().connect(tracker_url()).await.err().unwrap();
        assert!(error.0.contains("certificate"), "{error}");
        served.await.unwrap();
    }
}
