//! Tests of messages that come in pieces.

use bytes::BufMut as _;
use proptest::prelude::*;

use super::super::document::Notation;
use super::*;

const EVENT_BYTES_MAX: usize = 100_000;

/// Columns `id`, `properties` and one that is nothing to us.
fn columns(_relation: u32) -> Option<DocumentColumns> {
    Some(DocumentColumns { properties: 1, notation: Notation::Json, id: Some(0) })
}

/// Reads a message in pieces, the last of which is repeated as often as needed.
fn read(message: &[u8], pieces: &[usize]) -> Result<Message, FormatError> {
    let mut large = LargeMessage::new(Lsn(1), message.len(), EVENT_BYTES_MAX);
    let (mut rest, mut pieces) = (Bytes::copy_from_slice(message), pieces.iter().copied());
    let mut size = 1;
    while !rest.is_empty() {
        size = pieces.next().unwrap_or(size).clamp(1, rest.len());
        large.take(rest.split_to(size), columns)?;
    }
    assert!(large.is_whole());
    large.finish()
}

/// The same message read whole, without what is passed over.
fn whole(message: &[u8]) -> Result<Message, FormatError> {
    let mut decoded = Message::decode(Bytes::copy_from_slice(message))?;
    if let Message::Row { change, .. } = &mut decoded {
        let (old, new) = match change {
            Change::Insert(new) => (None, Some(new)),
            Change::Update(old, new) => (old.as_mut(), Some(new)),
            Change::Delete(old) => (Some(old), None),
        };
        let old = old.map(|(OldTuple::Full(tuple) | OldTuple::Key(tuple))| tuple);
        [old, new].into_iter().flatten().for_each(cut);
    }
    Ok(decoded)
}

fn cut(tuple: &mut Tuple) {
    for (index, value) in tuple.iter_mut().enumerate() {
        let Value::Text(text) = value else { continue };
        let kept = match index {
            0 => ROW_ID_BYTES_MAX,
            1 if text.size_bytes > EVENT_BYTES_MAX => PREFIX_BYTES_MAX,
            1 => text.size_bytes,
            _ => 0,
        };
        text.kept.truncate(kept);
    }
}

fn message(message_type: u8, tuples: &[(u8, Vec<Option<Vec<u8>>>)]) -> Vec<u8> {
    let mut message = vec![message_type];
    message.put_u32(7);
    for (kind, tuple) in tuples {
        message.put_u8(*kind);
        message.put_u16(u16::try_from(tuple.len()).unwrap());
        for column in tuple {
            match column {
                None => message.put_u8(b'u'),
                Some(text) => {
                    message.put_u8(b't');
                    message.put_u32(u32::try_from(text.len()).unwrap());
                    message.put_slice(text);
                }
            }
        }
    }
    message
}

/// Few sizes, among them those at which something changes.
fn text() -> impl Strategy<Value = Option<Vec<u8>>> {
    const SIZES: [usize; 8] = [
        0,
        1,
        40,
        ROW_ID_BYTES_MAX,
        ROW_ID_BYTES_MAX + 1,
        PREFIX_BYTES_MAX,
        EVENT_BYTES_MAX,
        EVENT_BYTES_MAX + 1,
    ];
    let size = prop_oneof![prop::sample::select(&SIZES[..]), 0..200_000_usize];
    prop::option::weighted(0.8, (size, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]))
}

fn any_row() -> impl Strategy<Value = Vec<u8>> {
    let tuple = || prop::collection::vec(text(), 0..4);
    prop_oneof![
        tuple().prop_map(|new| message(b'I', &[(b'N', new)])),
        tuple().prop_map(|new| message(b'U', &[(b'N', new)])),
        (prop::sample::select(&b"OK"[..]), tuple(), tuple())
            .prop_map(|(kind, old, new)| message(b'U', &[(kind, old), (b'N', new)])),
        (prop::sample::select(&b"OK"[..]), tuple()).prop_map(|(kind, old)| message(b'D', &[(kind, old)])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_row_is_the_same_in_any_pieces_but_for_what_is_passed_over(
        message in any_row(),
        pieces in prop::collection::vec(prop_oneof![1..10_usize, 1..100_000_usize], 1..20),
    ) {
        prop_assert_eq!(read(&message, &pieces), whole(&message));
    }

    #[test]
    fn a_row_that_ends_early_is_refused_in_any_pieces(
        message in any_row(),
        end in any::<prop::sample::Index>(),
        piece in 1..100_000_usize,
    ) {
        let message = &message[..1 + end.index(message.len() - 1)];
        let refused = read(message, &[piece]);
        prop_assert!(matches!(refused, Err(FormatError::Short { .. })), "{:?}", refused);
    }
}

#[test]
fn a_message_is_the_same_byte_by_byte() {
    let message =
        message(b'U', &[(b'O', vec![Some(vec![b'1']), None]), (b'N', vec![None, Some(vec![b'2'])])]);
    assert_eq!(read(&message, &[1]), whole(&message));
}

#[test]
fn what_is_no_row_is_refused_or_passed_over() {
    let refused = read(b"R this is no row", &[3]);
    assert_eq!(refused, Err(FormatError::Large { message_type: 'R', bytes: 16 }));
    assert_eq!(read(b"M a logical message", &[3]), Ok(Message::Ignored));
    let unexpected = read(b"I\0\0\0\x07O", &[1]);
    assert_eq!(unexpected, Err(FormatError::Unexpected { found: 'O', expected: "`N`" }));
}

#[test]
fn no_room_is_taken_for_what_a_message_only_claims() {
    // given a message of some bytes that claims a document of 4 GiB
    let mut message = vec![b'I', 0, 0, 0, 7, b'N', 0, 2, b'n', b't'];
    message.put_u32(u32::MAX);
    // then it is refused where it claims that
    assert_eq!(read(&message, &[5]), Err(FormatError::Short { message_type: 'I' }));
}
