//! Loads the certificate and the key of a `wss` tracker.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::config::{TlsFiles, TrackerServerError};

/// TLS 1.2 and 1.3 with the given files, for HTTP/1.1.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TrackerServerError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable("--cert", &files.certificate, pem_reason(&error, "certificate")))?;
    if chain.is_empty() {
        return Err(unusable("--cert", &files.certificate, pem_reason(&PemError::NoItemsFound, "certificate")));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable("--key", &files.key, pem_reason(&error, "private key")))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| unusable("--key", &files.key, format!("does not fit the certificate: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(option: &'static str, file: &Path, reason: String) -> TrackerServerError {
    TrackerServerError::Tls { option, file: file.to_owned(), reason }
}

fn pem_reason(error: &PemError, wanted: &str) -> String {
    match error {
        PemError::Io(error) => format!("cannot be read: {error}"),
        PemError::NoItemsFound => format!("holds no {wanted} in PEM form"),
        error => format!("is not valid PEM: {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(certificate: &Path, key: &Path) -> String {
        match acceptor(&TlsFiles { certificate: certificate.to_owned(), key: key.to_owned() }) {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn unusable_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key, empty) = (folder.path().join("cert.pem"), folder.path().join("key.pem"), folder.path().join("empty.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&empty, "nothing").unwrap();

        assert_eq!(reason(&cert, &key), "");
        let missing = folder.path().join("missing.pem");
        assert!(reason(&missing, &key).starts_with(&format!("--cert {}: cannot be read:", missing.display())));
        assert_eq!(reason(&empty, &key), format!("--cert {}: holds no certificate in PEM form", empty.display()));
        assert_eq!(reason(&cert, &empty), format!("--key {}: holds no private key in PEM form", empty.display()));

        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(reason(&cert, &key).contains("--key") && reason(&cert, &key).contains("does not fit the certificate"));
    }
}
