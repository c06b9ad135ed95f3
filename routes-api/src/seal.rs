//! Encryption of stored secrets: AES-256-GCM, bound to the endpoint and the field that they belong to.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use twinroute_common::secret::SecretError;

/// Length of a key, in bytes.
const KEY_BYTES: usize = 32;
/// Length of a key's id, in bytes: enough to tell keys apart, and nothing can be learned from it about a random key.
const KEY_ID_BYTES: usize = 8;

/// The key that secrets are encrypted with.
pub struct SealingKey {
    id: [u8; KEY_ID_BYTES],
    key: RandomizedNonceKey,
}

/// An encrypted secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Names the key.
    pub key_id: Vec<u8>,
    /// Nonce, ciphertext, tag.
    pub content: Vec<u8>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The reference leads nowhere.
    #[error("the reference has no value")]
    Reference(#[source] SecretError),
    /// It is no key.
    #[error("must be 32 random bytes in base64, such as `openssl rand -base64 32` prints")]
    Malformed,
}

/// Why a secret cannot be encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was encrypted with another key.
    #[error("it was encrypted with another key than secrets.key; configure that one")]
    OtherKey,
    /// It was changed since, or belongs elsewhere.
    #[error("what is stored is not what was encrypted; give the secret again")]
    Damaged,
    /// The library refused to encrypt.
    #[error("it cannot be encrypted")]
    Refused,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SealingKey {
    /// Reads a key.
    ///
    /// # Errors
    /// When it is not 32 bytes in base64.
    pub fn from_base64(text: &SecretString) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.expose_secret().trim()).map_err(|_| KeyError::Malformed)?;
        if bytes.len() != KEY_BYTES {
            return Err(KeyError::Malformed);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Malformed)?;
        let mut named = digest::Context::new(&digest::SHA256);
        named.update(b"twinroute secrets key\0");
        named.update(&bytes);
        let mut id = [0; KEY_ID_BYTES];
        id.iter_mut().zip(named.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self { id, key })
    }

    /// Encrypts the secret that stands in a field of an endpoint.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn seal(&self, endpoint_name: &str, field: &str, secret: &str) -> Result<Sealed, SealError> {
        let mut sealed = secret.as_bytes().to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(place(endpoint_name, field)), &mut sealed)
            .map_err(|_| SealError::Refused)?;
        let mut content = nonce.as_ref().to_vec();
        content.append(&mut sealed);
        Ok(Sealed { key_id: self.id.to_vec(), content })
    }

    /// Decrypts the secret that stands in a field of an endpoint.
    ///
    /// # Errors
    /// When it was encrypted with another key, for another place, or was changed since.
    pub fn open(&self, endpoint_name: &str, field: &str, sealed: &Sealed) -> Result<SecretString, SealError> {
        if sealed.key_id != self.id {
            return Err(SealError::OtherKey);
        }
        let (nonce, content) = sealed.content.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut content = content.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(place(endpoint_name, field)), &mut content)
            .map_err(|_| SealError::Damaged)?;
        let text = std::str::from_utf8(opened).map_err(|_| SealError::Damaged)?;
        Ok(SecretString::from(text))
    }
}

/// What binds a secret to its place. Neither name can hold a NUL.
fn place(endpoint_name: &str, field: &str) -> Vec<u8> {
    [endpoint_name, "\0", field].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fill: u8) -> SealingKey {
        SealingKey::from_base64(&STANDARD.encode([fill; KEY_BYTES]).into()).unwrap()
    }

    #[test]
    fn a_secret_opens_in_its_place_and_nowhere_else() {
        let sealed = key(1).seal("hub", "kafka.sasl_password", "hunter2").unwrap();
        assert!(!sealed.content.windows(7).any(|window| window == b"hunter2"));
        let opened = key(1).open("hub", "kafka.sasl_password", &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hunter2");
        for (endpoint, field) in [("other", "kafka.sasl_password"), ("hub", "mqtt.password")] {
            assert_eq!(key(1).open(endpoint, field, &sealed).err(), Some(SealError::Damaged));
        }
        assert_eq!(key(2).open("hub", "kafka.sasl_password", &sealed).err(), Some(SealError::OtherKey));
    }

    #[test]
    fn the_same_secret_looks_different_each_time() {
        let seal = || key(1).seal("hub", "mqtt.password", "hunter2").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_changed_or_cut_secret_does_not_open() {
        let sealed = key(1).seal("hub", "mqtt.password", "hunter2").unwrap();
        for cut in 0..sealed.content.len() {
            let part = Sealed { content: sealed.content[..cut].to_vec(), ..sealed.clone() };
            assert_eq!(key(1).open("hub", "mqtt.password", &part).err(), Some(SealError::Damaged));
        }
        let mut changed = sealed;
        changed.content[NONCE_LEN] ^= 1;
        assert_eq!(key(1).open("hub", "mqtt.password", &changed).err(), Some(SealError::Damaged));
    }

    #[test]
    fn what_is_not_32_bytes_is_no_key() {
        for text in ["", "short", "not base64!", &STANDARD.encode([0; 31])] {
            assert!(matches!(SealingKey::from_base64(&text.into()), Err(KeyError::Malformed)), "{text}");
        }
    }
}
