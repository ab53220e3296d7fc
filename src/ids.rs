//! Identifiers as types, so that a device's id is never taken for a command's. All are UUIDv7: their order is that of creation.

pub mod hexed;
pub mod packed;
mod short;

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => { $(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Nobody's: stands where the record's key says which.
            pub const NONE: Self = Self(Uuid::nil());

            /// In 22 characters, for the keys of indexes; their order is that of the ids.
            pub fn short(self) -> String { short::print(self.0) }

            /// The id of such a text.
            pub fn of_short(text: &str) -> Option<Self> { short::parse(text).map(Self) }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if self.0.is_nil() && !s.is_human_readable() { s.serialize_none() } else { self.0.serialize(s) }
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    return Uuid::deserialize(d).map(Self);
                }
                Ok(Self(Option::<Uuid>::deserialize(d)?.unwrap_or_default()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { Uuid::parse_str(text).map(Self) }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }
    )+ };
}

id! {
    /// One phone, tablet or PC in the registry.
    DeviceId,
    /// The binding of a device to a user, a channel and a certificate.
    EnrolmentId,
    /// One thing to be done once on one device.
    CommandId,
    /// A one-time permission to enrol.
    InvitationId,
    /// What waits for a second person.
    ApprovalId,
    /// An administrator's API token.
    TokenId,
}

/// The SHA-256 of a client certificate: what an enrolment is pinned to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// No certificate's: stands where the record's key says which.
    pub const NONE: Self = Self([0; 32]);
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Fingerprint {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = unhex(text).ok_or("not hexadecimal")?;
        bytes.try_into().map(Self).map_err(|_| "not 32 bytes")
    }
}
impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            _ if s.is_human_readable() => s.collect_str(self),
            &Self::NONE => s.serialize_bytes(&[]),
            Self(bytes) => s.serialize_bytes(bytes),
        }
    }
}
impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match hexed::deserialize(d)?.as_str() {
            "" => Ok(Self::NONE),
            text => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    // Every record of a page has some: a text of its own for each byte was a third of what it takes to read one.
    text.extend(digits.map(|digit| char::from(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit })));
    text
}

/// The bytes of a hexadecimal text of even length, in either case.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in text.as_bytes().chunks_exact(2) {
        let &[high, low] = pair else { return None };
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

/// SHA-256 in hexadecimal: how secrets that need only be recognised are kept.
pub fn digest(bytes: &[u8]) -> String {
    // Not `sha256`: that asks OpenSSL's providers for the algorithm anew at each call, which takes longer than the digest.
    let mut sha = openssl::sha::Sha256::new();
    sha.update(bytes);
    hex(&sha.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_written_and_read_for_every_byte() {
        for byte in 0..=u8::MAX {
            let text = format!("{byte:02x}");
            assert_eq!(hex(&[byte]), text);
            assert_eq!(unhex(&text), Some(vec![byte]));
            assert_eq!(unhex(&text.to_uppercase()), Some(vec![byte]));
        }
        for text in ["0", "0g", "g0", "+1", "é", "0é0"] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }
}
