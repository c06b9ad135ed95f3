//! The last good route table in a file, sealed because endpoints hold secrets: for a start without routes-api.
//!
//! Form: 8 bytes that name it, a nonce of 12 bytes, and the table as protobuf, sealed with AES-256-GCM.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use secrecy::{ExposeSecret as _, SecretString};
use twinroute_common::route::RouteTable;
use twinroute_common::route::wire::table_from_wire;
use twinroute_proto::routes::v1 as proto;

/// Names the form; part of what the seal covers.
const FORM: &[u8; 8] = b"twrtbl01";
/// Length of the key, in bytes.
const KEY_BYTES: usize = 32;

/// A file for the route table.
#[derive(Debug)]
pub struct Cache {
    file: PathBuf,
    key: RandomizedNonceKey,
}

/// The key can't be used.
#[derive(Debug, thiserror::Error)]
#[error("routes.cache_key is not 32 bytes in base64; `openssl rand -base64 32` makes such a key")]
pub struct CacheKeyError;

/// The table can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The file.
    #[error("{path}")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The content is damaged, or the key is another one.
    #[error("{0} was not written with this routes.cache_key, or is damaged; remove it")]
    Sealed(PathBuf),
    /// Sealing failed.
    #[error("the route table cannot be sealed")]
    Seal,
}

impl Cache {
    /// Takes the key, 32 bytes in base64.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn new(file: PathBuf, key: &SecretString) -> Result<Self, CacheKeyError> {
        let bytes = STANDARD.decode(key.expose_secret().trim()).map_err(|_| CacheKeyError)?;
        if bytes.len() != KEY_BYTES {
            return Err(CacheKeyError);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| CacheKeyError)?;
        Ok(Self { file, key })
    }

    /// Path of the file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The table; `None` when there is no file.
    ///
    /// # Errors
    /// When the file can't be read or opened with the key.
    pub fn load(&self) -> Result<Option<RouteTable>, CacheError> {
        let content = match fs::read(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            content => content.map_err(|source| self.failed(source))?,
        };
        let table = self.open(&content).ok_or_else(|| CacheError::Sealed(self.file.clone()))?;
        Ok(Some(table_from_wire(table).0))
    }

    /// Replaces the file; afterwards it is the old one or the new one, whole.
    ///
    /// # Errors
    /// When it can't be written. The old one stays.
    pub fn store(&self, table: &RouteTable) -> Result<(), CacheError> {
        let content = self.seal(&table.into()).ok_or(CacheError::Seal)?;
        self.write(&content).map_err(|source| self.failed(source))
    }

    fn write(&self, content: &[u8]) -> io::Result<()> {
        let mut beside = self.file.clone().into_os_string();
        beside.push(".new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, &self.file)?;
        match self.file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    fn seal(&self, table: &proto::RouteTable) -> Option<Vec<u8>> {
        let mut sealed = table.encode_to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(FORM), &mut sealed).ok()?;
        Some([FORM.as_slice(), nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, content: &[u8]) -> Option<proto::RouteTable> {
        let (nonce, sealed) = content.strip_prefix(FORM)?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(FORM), &mut sealed).ok()?;
        proto::RouteTable::decode(&*opened).ok()
    }

    fn failed(&self, source: io::Error) -> CacheError {
        CacheError::File { path: self.file.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn cache(directory: &TempDir, fill: u8) -> Cache {
        let key = STANDARD.encode([fill; KEY_BYTES]);
        Cache::new(directory.path().join("table"), &key.into()).unwrap()
    }

    fn table() -> RouteTable {
        let secret = proto::secret::Secret::Value("hunter2".to_owned());
        let kafka = proto::KafkaOptions {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            topic: "twins".to_owned(),
            sasl_mechanism: "PLAIN".to_owned(),
            sasl_username: "user".to_owned(),
            sasl_password: Some(proto::Secret { secret: Some(secret) }),
            ..Default::default()
        };
        let endpoint = proto::Endpoint {
            name: "kafka-events".to_owned(),
            destination: Some(proto::endpoint::Destination::Kafka(kafka)),
            ..Default::default()
        };
        let (table, refused) =
            table_from_wire(proto::RouteTable { version: 7, endpoints: vec![endpoint], routes: vec![] });
        assert_eq!(refused, []);
        table
    }

    #[test]
    fn what_was_stored_is_loaded_and_shows_no_secret() {
        let directory = TempDir::new().unwrap();
        let cache = cache(&directory, 1);
        assert_eq!(cache.load().unwrap(), None);
        cache.store(&table()).unwrap();
        cache.store(&table()).unwrap();
        assert_eq!(cache.load().unwrap(), Some(table()));
        let content = fs::read(cache.file()).unwrap();
        assert!(!content.windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn another_key_or_a_damaged_file_is_refused() {
        let directory = TempDir::new().unwrap();
        cache(&directory, 1).store(&table()).unwrap();
        assert!(matches!(cache(&directory, 2).load(), Err(CacheError::Sealed(_))));
        let cache = cache(&directory, 1);
        let mut content = fs::read(cache.file()).unwrap();
        content.pop();
        fs::write(cache.file(), content).unwrap();
        assert!(matches!(cache.load(), Err(CacheError::Sealed(_))));
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        for key in ["", "secret", "AAAA"] {
            assert!(Cache::new(PathBuf::new(), &key.to_owned().into()).is_err());
        }
    }
}
