//! TLS to PostgreSQL: the meaning of `sslmode` and of the files beside it (PostgreSQL manual, section "SSL Support").

pub(super) mod end_point;
mod verifier;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{WebPkiServerVerifier, danger::ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use self::verifier::LenientVerifier;

/// How much TLS is wanted; libpq's names and meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it, or else none.
    Prefer,
    /// TLS with any certificate, or one of `sslrootcert` when that is given.
    Require,
    /// TLS with a certificate of an authority of `sslrootcert`.
    VerifyCa,
    /// That, and the certificate is for the host's name.
    VerifyFull,
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Negotiation {
    /// TLS is not asked for.
    Plain,
    /// TLS is asked for; the server may say no.
    EncryptedIfOffered,
    /// TLS or nothing.
    Encrypted,
}

impl SslMode {
    /// The ways to connect, in the order in which they are tried.
    pub(crate) fn negotiations(self) -> &'static [Negotiation] {
        match self {
            Self::Disable => &[Negotiation::Plain],
            Self::Prefer => &[Negotiation::EncryptedIfOffered, Negotiation::Plain],
            Self::Require | Self::VerifyCa | Self::VerifyFull => &[Negotiation::Encrypted],
        }
    }
}

/// Which authorities are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Certificates {
    /// Those of the operating system.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// What we show of ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// PEM file of the certificate, and of those between it and its authority.
    pub(crate) chain: PathBuf,
    /// PEM file of its key.
    pub(crate) key: PathBuf,
}

/// All of TLS that `postgres.url` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) mode: SslMode,
    pub(crate) roots: Option<Certificates>,
    pub(crate) client: Option<ClientCertificate>,
}

/// Certificates or a key that cannot be used. Tried again, since files are put in place and replaced while we run.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or not what it should be.
    #[error("{parameter} of postgres.url: {} cannot be used", file.display())]
    File {
        /// `sslrootcert`, `sslcert` or `sslkey`.
        parameter: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file that should hold certificates holds none.
    #[error("{parameter} of postgres.url: {} holds no certificate", file.display())]
    Empty {
        /// `sslrootcert` or `sslcert`.
        parameter: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The operating system has no certificates of authorities.
    #[error("sslrootcert=system: the operating system has no certificates of authorities; install them")]
    NoSystemCertificates,
    /// The library does not take what the files hold.
    #[error("TLS to PostgreSQL cannot be set up")]
    Setup(#[source] rustls::Error),
}

impl TlsSettings {
    /// What a handshake needs. Reads the files anew, so that replaced ones are used from the next connection on.
    ///
    /// # Errors
    /// [`TlsError`] naming the file.
    pub(crate) async fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = self.verifier(&provider).await?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let Some(ClientCertificate { chain, key }) = &self.client else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates("sslcert", chain).await?;
        let pem = read("sslkey", key).await?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable("sslkey", key, error))?;
        builder.with_client_auth_cert(chain, key).map_err(TlsError::Setup)
    }

    async fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let roots = match &self.roots {
            None => None,
            Some(Certificates::System) => Some(system_roots()?),
            Some(Certificates::File(file)) => Some(file_roots(file).await?),
        };
        match (self.mode, roots) {
            (SslMode::VerifyFull, Some(roots)) => {
                let builder =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
                let verifier = builder.build();
                Ok(verifier.map_err(|error| TlsError::Setup(rustls::Error::General(error.to_string())))?)
            }
            (_, roots) => {
                Ok(Arc::new(LenientVerifier::new(roots, provider.signature_verification_algorithms)))
            }
        }
    }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TlsError::NoSystemCertificates) } else { Ok(roots) }
}

async fn file_roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("sslrootcert", file).await? {
        roots.add(certificate).map_err(|error| unusable("sslrootcert", file, error))?;
    }
    Ok(roots)
}

async fn certificates(
    parameter: &'static str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(parameter, file).await?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| unusable(parameter, file, error))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { parameter, file: file.to_owned() });
    }
    Ok(certificates)
}

async fn read(parameter: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(file).await.map_err(|error| unusable(parameter, file, error))
}

fn unusable(
    parameter: &'static str,
    file: &Path,
    source: impl std::error::Error + Send + Sync + 'static,
) -> TlsError {
    TlsError::File { parameter, file: file.to_owned(), source: Box::new(source) }
}
