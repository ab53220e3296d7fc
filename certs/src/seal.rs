//! Sealing secrets under the installation's master key: AES-256-GCM, with the key's id in front.
//!
//! Layout: format 1, key id (4 bytes), nonce (12), tag (16), ciphertext. The label is authenticated with it, so that
//! one sealed secret cannot be put in another's place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::rand::rand_bytes;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use secrecy::{ExposeSecret as _, SecretBox, SecretSlice, SecretString};

use crate::error::{Doing as _, Error};
use crate::keys::{hex, sha256};
use crate::{Result, providers};

const FORMAT: u8 = 1;
const ID: usize = 4;
const NONCE: usize = 12;
const TAG: usize = 16;

/// The 32 bytes under which an installation seals its secrets. It has no `Debug`, and is wiped when dropped.
pub struct MasterKey {
    key: SecretBox<[u8; 32]>,
    id: [u8; ID],
}

impl MasterKey {
    /// A fresh key from OpenSSL's generator.
    pub fn generate() -> Result<Self> {
        providers::init()?;
        let mut key = Box::new([0; 32]);
        rand_bytes(key.as_mut()).doing("making a master key")?;
        Self::from_bytes(key)
    }

    /// A key from its 32 bytes.
    pub fn from_bytes(key: Box<[u8; 32]>) -> Result<Self> {
        providers::init()?;
        let key: SecretBox<[u8; 32]> = key.into();
        let named = SecretSlice::from([b"lanyard master key id".as_slice(), key.expose_secret()].concat());
        let [a, b, c, d, ..] = sha256(named.expose_secret())?;
        Ok(Self { key, id: [a, b, c, d] })
    }

    /// Reads the form of `master.key` and of `LANYARD_MASTER_KEY`: base64 of 32 bytes, one line.
    pub fn parse(line: &str) -> Result<Self> {
        let malformed = |why| Error::Malformed { what: "master key", why };
        let bytes = STANDARD.decode(line.trim()).map_err(|_| malformed("not base64"))?;
        let bytes = SecretSlice::from(bytes);
        let key = bytes.expose_secret().try_into().map_err(|_| malformed("not 32 bytes long"))?;
        Self::from_bytes(Box::new(key))
    }

    /// The key as [`MasterKey::parse`] reads it, without a line end.
    #[must_use]
    pub fn to_line(&self) -> SecretString {
        STANDARD.encode(self.key.expose_secret()).into()
    }

    /// The id by which people tell keys apart: 8 hex digits of a SHA-256. It gives nothing of the key away.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// Seals a secret under a label, which must be given again to open it. Adds 33 bytes.
    pub fn seal(&self, label: &str, secret: &[u8]) -> Result<Vec<u8>> {
        let (mut nonce, mut tag) = ([0; NONCE], [0; TAG]);
        rand_bytes(&mut nonce).doing("sealing")?;
        let aad = self.authenticated(label);
        let key = self.key.expose_secret();
        let sealed = encrypt_aead(Cipher::aes_256_gcm(), key, Some(&nonce), &aad, secret, &mut tag).doing("sealing")?;
        Ok([&[FORMAT][..], &self.id, &nonce, &tag, &sealed].concat())
    }

    /// Opens what [`MasterKey::seal`] made under the same label.
    ///
    /// # Errors
    /// [`Error::WrongMasterKey`] names the key that would open it; [`Error::SealBroken`] where this key should have.
    pub fn open(&self, label: &str, sealed: &[u8]) -> Result<SecretSlice<u8>> {
        let broken = || Error::SealBroken { label: label.to_owned() };
        let (&format, rest) = sealed.split_first().ok_or_else(broken)?;
        let (id, rest) = rest.split_first_chunk::<ID>().ok_or_else(broken)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        let (tag, rest) = rest.split_first_chunk::<TAG>().ok_or_else(broken)?;
        if format != FORMAT {
            return Err(broken());
        }
        if *id != self.id {
            return Err(Error::WrongMasterKey { label: label.to_owned(), wanted: hex(id), have: self.id() });
        }
        let (aad, key) = (self.authenticated(label), self.key.expose_secret());
        let secret = decrypt_aead(Cipher::aes_256_gcm(), key, Some(nonce), &aad, rest, tag).map_err(|_| broken())?;
        Ok(secret.into())
    }

    /// The id of the key that opens this, if it was sealed at all.
    #[must_use]
    pub fn wanted_by(sealed: &[u8]) -> Option<String> {
        let (format, rest) = sealed.split_first()?;
        (*format == FORMAT).then_some(rest)?.first_chunk::<ID>().map(|id| hex(id))
    }

    fn authenticated(&self, label: &str) -> Vec<u8> {
        [&[FORMAT][..], &self.id, label.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_bytes(Box::new([byte; 32])).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_under_its_key_and_label_alone() {
        let sealed = key(1).seal("ca/issuing", b"secret").unwrap();
        assert_eq!(key(1).open("ca/issuing", &sealed).unwrap().expose_secret(), b"secret");
        assert!(matches!(key(1).open("ca/root", &sealed), Err(Error::SealBroken { .. })));
        assert_eq!(MasterKey::wanted_by(&sealed), Some(key(1).id()));
        let refused = key(2).open("ca/issuing", &sealed).map(|_| ()).unwrap_err();
        assert!(matches!(&refused, Error::WrongMasterKey { wanted, .. } if *wanted == key(1).id()), "{refused}");
        assert!(refused.to_string().contains(&key(1).id()), "{refused}");
    }

    #[test]
    fn any_change_is_noticed() {
        let sealed = key(1).seal("label", b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key(1).open("label", &changed).is_err(), "byte {at}");
            assert!(key(1).open("label", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_line_survives_and_odd_lines_are_refused() {
        let made = MasterKey::generate().unwrap();
        let line = format!("{}\n", made.to_line().expose_secret());
        assert_eq!(MasterKey::parse(&line).unwrap().id(), made.id());
        for line in ["", "AAAA", "not base64!", &"A".repeat(64)] {
            assert!(MasterKey::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_same_key_keeps_its_id() {
        // Stores name their key by this id: a change of the rule would shut their owners out.
        assert_eq!(key(1).id(), "34dceac1");
    }
}
