//! TLS to a broker.

use std::sync::Arc;

use rumqttc_v5::TlsConfiguration;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use twinroute_common::causes::Causes;
use twinroute_common::route::MqttTls;

use crate::sink::SinkError;

/// Trusts the certificates of the file, or else the system's.
///
/// # Errors
/// `TLS_NOT_USABLE` when the file cannot be read or holds no certificate.
pub(super) fn client_config(tls: &MqttTls) -> Result<Arc<ClientConfig>, SinkError> {
    match &tls.ca_file {
        Some(file) => trusting(file),
        None => match TlsConfiguration::try_default_rustls() {
            Ok(TlsConfiguration::Rustls(config)) => Ok(config),
            Ok(_) => Err(not_usable("the system's certificates cannot be used")),
            Err(error) => Err(not_usable(format_args!("the system's certificates: {}", Causes(&error)))),
        },
    }
}

fn trusting(file: &str) -> Result<Arc<ClientConfig>, SinkError> {
    let in_file = |why: &dyn std::fmt::Display| not_usable(format_args!("{file}: {why}"));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| in_file(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| in_file(&error))?;
        roots.add(certificate).map_err(|error| in_file(&error))?;
    }
    if roots.is_empty() {
        return Err(in_file(&"has no certificate"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| in_file(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn not_usable(why: impl std::fmt::Display) -> SinkError {
    SinkError::about_connection("TLS_NOT_USABLE", format!("TLS cannot be set up: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        for ca_file in [path, "/does/not/exist.pem".to_owned()] {
            let error = client_config(&MqttTls { ca_file: Some(ca_file.clone()) }).unwrap_err();
            assert!(error.message.contains(&ca_file), "{error}");
        }
    }
}
