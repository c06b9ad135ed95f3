//! Virtual partitions: which one an ordering key belongs to, and under which epoch one is held.

/// Maps an ordering key to its partition: FNV-1a (64 bits) over the UTF-8 bytes, folded to 32 bits, modulo the count.
/// On the wire its name is `PARTITION_HASH_FNV1A_64_FOLDED`.
///
/// A count of 0 is taken as 1.
#[must_use]
pub fn partition_of(ordering_key: &str, partition_count: u32) -> u32 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash =
        ordering_key.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let folded = (hash >> 32) ^ (hash & 0xFFFF_FFFF);
    u32::try_from(folded % u64::from(partition_count.max(1))).unwrap_or(0)
}

/// An epoch of a partition: grows with each holder and never repeats, also over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// Number of the capture process within the subscription's life.
    pub generation: u64,
    /// Number of the grant within the generation.
    pub counter: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_its_name_promises() {
        // FNV-1a test vectors of the algorithm's authors: "" and "foobar".
        assert_eq!(partition_of("", 64), ((0xcbf2_9ce4_u32 ^ 0x8422_2325) % 64));
        assert_eq!(partition_of("foobar", 64), ((0x8594_4171_u32 ^ 0xf739_67e8) % 64));
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0_u32; 64];
        for twin in 0..6400 {
            let partition = partition_of(&format!("sensor-{twin}"), 64);
            if let Some(count) = counts.get_mut(partition as usize) {
                *count += 1;
            }
        }
        assert!(counts.iter().all(|&count| (50..200).contains(&count)), "{counts:?}");
    }
}
