//! Shards: the unit in which an outbox is divided among relays.

/// A part of the outbox. All events of a key are in the same shard, so that one relay at a time publishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(i16);

impl Shard {
    /// Number of shards: divides evenly enough among up to 32 replicas. It is part of the stored data and must not change
    /// while rows wait.
    pub const COUNT: i16 = 32;

    /// The shard of a key. The hash (FNV-1a, 32 bits) is part of the stored data: all releases must agree on it.
    pub fn of(key: &str) -> Self {
        let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        // FNV's low bits are its weakest: the high ones are folded in.
        let folded = (hash ^ (hash >> 16)) % u32::from(Self::COUNT.unsigned_abs());
        Self(i16::try_from(folded).unwrap_or(0))
    }

    /// The shard with this number, which is below [`Shard::COUNT`].
    pub fn numbered(number: i16) -> Self {
        Self(number)
    }

    /// Its number, from 0.
    pub fn number(self) -> i16 {
        self.0
    }

    /// All shards, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn keys_are_spread_evenly_over_all_shards() {
        let mut keys_of: HashMap<Shard, u32> = HashMap::new();
        for number in 0..32_000_u32 {
            let key = uuid::Uuid::from_u128(u128::from(number) << 64).to_string();
            *keys_of.entry(Shard::of(&key)).or_default() += 1;
        }

        assert_eq!(keys_of.len(), 32);
        assert!(
            keys_of.values().all(|keys| (700..1_300).contains(keys)),
            "{keys_of:?}"
        );
    }

    #[test]
    fn the_shard_of_a_key_is_the_same_in_every_release() {
        let shards =
            ["", "a", "018f3c2e-0000-7000-8000-000000000000"].map(|key| Shard::of(key).number());
        assert_eq!(shards, [25, 0, 1]);
    }
}
