//! The channel binding `tls-server-end-point`: a hash of the server's certificate (RFC 5929, section 4.1).

use aws_lc_rs::digest::{self, Algorithm, SHA256, SHA384, SHA512};
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The hash of the certificate, by the algorithm of its own signature. `None` where the RFC defines none, as for
/// Ed25519, and where PostgreSQL before 16 knows none, as for RSASSA-PSS.
pub(in crate::postgres) fn tls_server_end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let algorithm = hash_of(&parsed.signature_algorithm.oid.to_string())?;
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The hash of a signature algorithm (RFC 4055, RFC 5758); SHA-256 stands for the broken ones.
fn hash_of(signature_algorithm: &str) -> Option<&'static Algorithm> {
    match signature_algorithm {
        // MD5, SHA-1, and SHA-256 with RSA; SHA-1 and SHA-256 with ECDSA.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Some(&SHA256),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(&SHA384),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(&SHA512),
        _ => None,
    }
}
