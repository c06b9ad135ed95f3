//! Logical messages: words that anybody may leave in the WAL with `pg_logical_emit_message` (PostgreSQL manual, section
//! "Logical Replication Message Formats").

use bytes::{Buf as _, Bytes};

use super::pgoutput::FormatError;

/// Flag of a message that belongs to a transaction.
const TRANSACTIONAL: u8 = 1;

/// A logical message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logical {
    /// It belongs to the transaction that is open; others come between transactions.
    pub is_transactional: bool,
    /// Whose word it is.
    pub prefix: Bytes,
    /// What it says.
    pub content: Bytes,
}

/// Reads a message without its type byte.
///
/// # Errors
/// [`FormatError::Short`] when it ends early.
pub(super) fn read(message: Bytes) -> Result<Logical, FormatError> {
    parts(message).ok_or(FormatError::Short { message_type: 'M' })
}

fn parts(mut rest: Bytes) -> Option<Logical> {
    let is_transactional = rest.try_get_u8().ok()? & TRANSACTIONAL != 0;
    let _lsn = rest.try_get_u64().ok()?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let prefix = rest.split_to(end);
    let _nul = rest.try_get_u8().ok()?;
    let length = rest.try_get_u32().ok()? as usize;
    (rest.len() >= length).then(|| Logical { is_transactional, prefix, content: rest.split_to(length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &[u8] = b"\x01\0\0\0\0\0\0\0\x10outbox\0\0\0\0\x02{}";

    #[test]
    fn a_message_has_a_prefix_and_a_content() {
        let message = read(Bytes::from_static(WORD));
        let expected = Logical {
            is_transactional: true,
            prefix: Bytes::from_static(b"outbox"),
            content: Bytes::from_static(b"{}"),
        };
        assert_eq!(message, Ok(expected));
    }

    #[test]
    fn a_message_that_ends_early_is_refused() {
        for length in 0..WORD.len() {
            let cut = read(Bytes::from_static(&WORD[..length]));
            assert_eq!(cut, Err(FormatError::Short { message_type: 'M' }), "{length}");
        }
    }
}
