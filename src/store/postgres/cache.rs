//! Records as they were last read or written, so that a batch asks PostgreSQL only for what it has not seen. Right only as long as
//! it is told of every key that another node writes: see `Postgres::changes`.

// Asked for every record that a batch reads, and by key only: nothing goes through these maps, so that nobody sees their order.
#![expect(clippy::disallowed_types, reason = "hot, and its order is never seen")]

use std::collections::HashMap;
use twox_hash::XxHash3_64;

/// Bytes of keys and values in one generation; two are kept.
const GENERATION: usize = 64 << 20;
/// What an entry costs besides, about.
const ENTRY: usize = 100;

/// `None` as a value: there is no such record.
type Value = Option<Vec<u8>>;

/// What is used is young; when the young are too many they become the old, and the old are forgotten.
#[derive(Default)]
pub(super) struct Cache {
    young: HashMap<u64, (String, Value)>,
    old: HashMap<u64, (String, Value)>,
    size: usize,
}

/// A key as the feed writes it; all nodes must agree. Two keys of one hash are forgotten together, and never taken for each other.
pub(super) fn hash(key: &str) -> i64 {
    XxHash3_64::oneshot(key.as_bytes()).cast_signed()
}

impl Cache {
    /// `None`: it is not known what the record is.
    pub(super) fn get(&mut self, key: &str) -> Option<Value> {
        let place = hash(key).cast_unsigned();
        if let Some((known, value)) = self.young.get(&place) {
            return (known == key).then(|| value.clone());
        }
        let (known, value) = self.old.remove(&place)?;
        if known != key {
            return None;
        }
        self.put(known, value.clone());
        Some(value)
    }

    pub(super) fn put(&mut self, key: String, value: Value) {
        let place = hash(&key).cast_unsigned();
        self.size += key.len() + value.as_ref().map_or(0, Vec::len) + ENTRY;
        self.old.remove(&place);
        if let Some((key, value)) = self.young.insert(place, (key, value)) {
            self.size -= key.len() + value.as_ref().map_or(0, Vec::len) + ENTRY;
        }
        if self.size > GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.size = 0;
        }
    }

    /// Another node wrote the record behind this hash.
    pub(super) fn forget(&mut self, hash: i64) {
        let place = hash.cast_unsigned();
        self.old.remove(&place);
        if let Some((key, value)) = self.young.remove(&place) {
            self.size -= key.len() + value.as_ref().map_or(0, Vec::len) + ENTRY;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_there_until_it_is_forgotten() {
        let mut cache = Cache::default();
        assert_eq!(cache.get("a"), None);
        cache.put("a".into(), Some(vec![1]));
        cache.put("b".into(), None);
        assert_eq!((cache.get("a"), cache.get("b")), (Some(Some(vec![1])), Some(None)));
        cache.put("a".into(), Some(vec![2, 3]));
        assert_eq!(cache.get("a"), Some(Some(vec![2, 3])));
        cache.forget(hash("a"));
        assert_eq!((cache.get("a"), cache.get("b")), (None, Some(None)));
        cache.forget(hash("b"));
        assert_eq!(cache.size, 0);
    }

    #[test]
    fn what_is_used_outlives_what_is_not() {
        let mut cache = Cache::default();
        cache.put("used".into(), Some(vec![7]));
        cache.put("unused".into(), Some(vec![8]));
        for round in 0..300 {
            assert_eq!(cache.get("used"), Some(Some(vec![7])), "{round}");
            cache.put(format!("filler {round}"), Some(vec![0; 1 << 20]));
        }
        assert_eq!(cache.get("unused"), None);
        assert!(cache.size <= GENERATION && cache.young.len() + cache.old.len() < 150);
    }

    #[test]
    fn the_hash_stays_as_it_is() {
        assert_eq!(hash("default/device/1"), 8_060_594_129_920_259_593);
    }
}
