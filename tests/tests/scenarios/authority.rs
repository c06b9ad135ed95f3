//! A certificate authority, and the certificates that it issues.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SignatureAlgorithm,
};

/// An authority with a key of its own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both as PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// An authority that signs by `algorithm`.
    pub(crate) fn new(name: &str, algorithm: &'static SignatureAlgorithm) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate_for(algorithm)?)?))
    }

    /// Its own certificate, which is what others trust.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the server called `host`.
    pub(crate) fn server(&self, host: &str) -> Result<Issued> {
        self.issue(CertificateParams::new([host.to_owned()])?, host, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Its own certificate with its key, as a server that is its own authority shows it.
    pub(crate) fn as_server(&self) -> Issued {
        Issued { certificate: self.0.pem(), key: self.0.key().serialize_pem() }
    }

    /// A certificate that has the server's name as its common name alone.
    pub(crate) fn server_by_common_name(&self, host: &str) -> Result<Issued> {
        self.issue(CertificateParams::default(), host, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a role of PostgreSQL.
    pub(crate) fn client(&self, role: &str) -> Result<Issued> {
        self.issue(CertificateParams::default(), role, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Issued> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }
}
