//! How a record lies in sled: a head (how many further pieces, a checksum) and pieces of at most 4 kB each.
//!
//! sled rewrites a leaf of some sixteen entries whole; where that grows past its buffer it goes to a file of its own in `blobs/`,
//! which sled never syncs. Pieces keep every leaf far below that.

use super::super::Fault;
use std::str;
use twox_hash::XxHash3_64;

/// Bytes of a piece, head included.
const PIECE: usize = 4096;
const HEAD: usize = 2 + 8;
/// Further pieces lie under this, the record's key, a zero byte and their number.
pub(super) const MORE: &str = "!more/";
/// Facts about the store itself and further pieces begin so; records do not.
pub(super) const OURS: u8 = b'!';

/// The first bytes of a record as it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Further pieces.
    pub(super) more: u16,
    /// Of key and value.
    pub(super) checksum: u64,
}

/// A record cut up.
pub(super) struct Cut {
    pub(super) head: Head,
    /// What goes under its own key.
    pub(super) first: Vec<u8>,
    /// What follows.
    pub(super) more: Vec<Vec<u8>>,
}

/// Cuts a record up.
pub(super) fn cut(key: &str, value: &[u8]) -> Result<Cut, Fault> {
    let room = PIECE - HEAD;
    let (first, rest) = value.split_at_checked(room).unwrap_or((value, &[]));
    let more: Vec<Vec<u8>> = rest.chunks(PIECE).map(<[u8]>::to_vec).collect();
    let too_long = |_| Fault::Corrupt { key: key.into(), why: format!("{} bytes are too many", value.len()) };
    let head = Head { more: u16::try_from(more.len()).map_err(too_long)?, checksum: checksum(key, value) };
    let mut bytes = head.more.to_le_bytes().to_vec();
    bytes.extend(head.checksum.to_le_bytes());
    bytes.extend(first);
    Ok(Cut { head, first: bytes, more })
}

/// The head of what lies under a record's key, and the first part of its value.
pub(super) fn head(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (more, rest) = bytes.split_first_chunk::<2>()?;
    let (checksum, first) = rest.split_first_chunk::<8>()?;
    Some((Head { more: u16::from_le_bytes(*more), checksum: u64::from_le_bytes(*checksum) }, first))
}

/// Where a further piece lies.
pub(super) fn place(key: &str, number: u16) -> String {
    format!("{MORE}{key}\0{number:05}")
}

/// The record's value, read whole; `None` where a piece is missing or the checksum does not fit.
pub(super) fn joined(db: &sled::Db, key: &[u8], bytes: &[u8]) -> Result<Option<(Head, Vec<u8>)>, sled::Error> {
    let (Some((head, first)), Ok(key)) = (head(bytes), str::from_utf8(key)) else { return Ok(None) };
    let mut value = first.to_vec();
    for number in 0..head.more {
        match db.get(place(key, number))? {
            Some(piece) => value.extend_from_slice(&piece),
            None => return Ok(None),
        }
    }
    Ok((checksum(key, &value) == head.checksum).then_some((head, value)))
}

/// Over the key as well: a value that turns up under another's key is no longer right.
fn checksum(key: &str, value: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(key.as_bytes()), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_cut_into_pieces_of_four_kilobytes_and_joined_again() {
        let db = sled::Config::new().temporary(true).open().unwrap();
        for length in [0, 1, PIECE - HEAD, PIECE - HEAD + 1, 3 * PIECE, 100_000] {
            let value: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let Cut { first, more, .. } = cut("default/x/1", &value).unwrap();
            assert!(more.iter().chain([&first]).all(|piece| piece.len() <= PIECE), "{length}");
            for (number, piece) in (0..).zip(&more) {
                db.insert(place("default/x/1", number), piece.as_slice()).unwrap();
            }
            let joined = |bytes: &[u8]| joined(&db, b"default/x/1", bytes).unwrap().map(|(_, value)| value);
            assert_eq!(joined(&first), Some(value), "{length}");
            let mut damaged = first.clone();
            if let Some(last) = damaged.last_mut() {
                *last ^= 1;
            }
            assert_eq!(joined(&damaged), None, "{length}");
        }
        let Cut { first, .. } = cut("default/x/1", &[7; 10]).unwrap();
        assert_eq!(joined(&db, b"default/x/2", &first).unwrap(), None, "another's value");
    }

    #[test]
    fn pieces_are_as_long_as_they_may_be() {
        for (length, more) in [(0, 0), (PIECE - HEAD, 0), (PIECE - HEAD + 1, 1), (2 * PIECE - HEAD, 1)] {
            assert_eq!(cut("default/x/1", &vec![7; length]).unwrap().more.len(), more, "{length}");
        }
    }
}
