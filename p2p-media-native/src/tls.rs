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
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = application_protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}
