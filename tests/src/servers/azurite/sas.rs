//! Signs a shared access signature for Azurite's account: the format is Azure Storage's account
//! SAS, version 2021-06-08.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The name of Azurite's account; it is in its documentation.
pub const ACCOUNT: &str = "devstoreaccount1";

/// The key of Azurite's account: no secret, it is the same everywhere and in its documentation.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The signed fields by their query names. Whoever runs this machine may do everything for long.
const VERSION: &str = "2021-06-08";
const SERVICES: &str = "bq";
const RESOURCE_TYPES: &str = "sco";
const ALL_PERMISSIONS: &str = "rwdlacup";
const EXPIRY: &str = "2099-01-01T00:00:00Z";
const PROTOCOLS: &str = "https,http";

/// A query string that lets its bearer do everything with blobs and queues of the account.
#[must_use]
pub fn token() -> String {
    token_with(ALL_PERMISSIONS)
}

/// A query string with these permissions only, by their letters: `w` to write, `rld` to read, list and delete.
#[must_use]
pub fn token_with(permissions: &str) -> String {
    let (start, address, encryption_scope) = ("", "", "");
    let to_sign = [
        ACCOUNT,
        permissions,
        SERVICES,
        RESOURCE_TYPES,
        start,
        EXPIRY,
        address,
        PROTOCOLS,
        VERSION,
        encryption_scope,
        "",
    ]
    .join("\n");
    let key = STANDARD.decode(KEY).unwrap_or_default();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signature = STANDARD.encode(hmac::sign(&key, to_sign.as_bytes()));
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let expiry = EXPIRY.replace(':', "%3A");
    format!(
        "sv={VERSION}&ss={SERVICES}&srt={RESOURCE_TYPES}&sp={permissions}&se={expiry}&spr=https%2Chttp&sig={signature}"
    )
}
