//! How a record lies in the store: one byte of format, then MessagePack, a struct as the list of its fields in their order.
//!
//! So the order of a record's fields is part of the format: a new field goes to the end, with a serde default; anything else is a
//! new format number or a new layout. Enum variants stand by their names.

use super::Fault;
use serde::{Serialize, de::DeserializeOwned};

/// The record's bytes, behind its format number.
pub(super) fn encode<R: Serialize>(key: &str, format: u8, record: &R) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![format];
    rmp_serde::encode::write(&mut bytes, record).map_err(|e| corrupt(key, &e))?;
    Ok(bytes)
}

/// The record in these bytes, of this format or an older one.
pub(super) fn decode<R: DeserializeOwned>(key: &str, format: u8, bytes: &[u8]) -> Result<R, Fault> {
    let (found, packed) = bytes.split_first().ok_or_else(|| corrupt(key, &"empty"))?;
    if *found == 0 || *found > format {
        return Err(corrupt(key, &format!("format {found}, this program knows {format}")));
    }
    rmp_serde::from_slice(packed).map_err(|e| corrupt(key, &e))
}

fn corrupt(key: &str, why: &dyn std::fmt::Display) -> Fault {
    Fault::Corrupt { key: key.into(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::hexed;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        #[serde(with = "hexed")]
        digest: String,
        #[serde(with = "hexed::option", default)]
        pin: Option<String>,
        #[serde(with = "hexed::map", default)]
        kept: BTreeMap<String, String>,
        #[serde(default)]
        newer: Option<u32>,
    }

    fn record(digest: &str) -> Record {
        let kept = BTreeMap::from([("a".to_string(), digest.to_string()), ("b".to_string(), "plain".to_string())]);
        Record { digest: digest.into(), pin: Some(digest.into()), kept, newer: Some(7) }
    }

    #[test]
    fn hexadecimal_is_kept_as_bytes_and_every_other_text_as_it_is() {
        for text in ["", "00ff10", "00FF10", "0", "xyz", "ff ff", "né"] {
            let bytes = encode("k", 1, &record(text)).unwrap();
            assert_eq!(decode::<Record>("k", 1, &bytes).unwrap(), record(text), "{text}");
            let json = serde_json::to_string(&record(text)).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record(text), "{text} in JSON");
        }
        let digest = "0123456789abcdef".repeat(4);
        assert!(encode("k", 1, &record(&digest)).unwrap().len() < 3 * 32 + 30);
    }

    #[test]
    fn a_record_without_its_newest_field_is_read() {
        #[derive(Serialize)]
        struct Older(&'static str, Option<()>, BTreeMap<String, String>);
        let bytes = encode("k", 1, &Older("ab", None, BTreeMap::new())).unwrap();
        assert_eq!(decode::<Record>("k", 1, &bytes).unwrap().newer, None);
    }

    #[test]
    fn what_is_no_record_is_named() {
        for (row, bytes) in
            [("nothing", &[][..]), ("format 0", &[0, 0x90]), ("a newer format", &[2, 0x90]), ("cut", &[1, 0x94])]
        {
            let fault = decode::<Record>("default/x/1", 1, bytes).unwrap_err();
            assert!(fault.to_string().starts_with("the record default/x/1 cannot be read: "), "{row}: {fault}");
        }
    }
}
