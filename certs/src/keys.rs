//! Private keys of ours, and what is asked of the public keys of others.

use openssl::ec::{Asn1Flag, EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef, Private, Public};
use openssl::rsa::Rsa;
use openssl::x509::X509Ref;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::error::{Doing as _, Error};
use crate::{Result, providers, tlv};

/// A private key. It has no `Debug`, and its bytes are wiped when dropped.
#[derive(Clone)]
pub struct PrivateKey(pub(crate) PKey<Private>);

impl PrivateKey {
    /// A fresh RSA key of 2048 bits. Slow: tens to hundreds of milliseconds; not for an async thread.
    pub fn rsa_2048() -> Result<Self> {
        providers::init()?;
        let key = Rsa::generate(2048).and_then(PKey::from_rsa).doing("making an RSA key")?;
        Ok(Self(key))
    }

    /// A fresh ECDSA key on P-256.
    pub fn p256() -> Result<Self> {
        providers::init()?;
        let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).doing("choosing P-256")?;
        group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
        let key = EcKey::generate(&group).and_then(PKey::from_ec_key).doing("making an EC key")?;
        Ok(Self(key))
    }

    /// Reads an unencrypted PKCS#8 key.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self> {
        providers::init()?;
        PKey::private_key_from_pkcs8(der).map(Self).doing("reading a PKCS#8 key")
    }

    /// Reads an unencrypted key in whatever form there is: PKCS#8, PKCS#1 or SEC 1.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        providers::init()?;
        PKey::private_key_from_der(der).map(Self).doing("reading a private key")
    }

    /// The key as unencrypted PKCS#8 DER: for sealing, and for a TLS listener.
    pub fn pkcs8_der(&self) -> Result<SecretSlice<u8>> {
        Ok(self.0.private_key_to_pkcs8().doing("writing a PKCS#8 key")?.into())
    }

    /// The public half as SubjectPublicKeyInfo DER.
    pub fn public_der(&self) -> Result<Vec<u8>> {
        self.0.public_key_to_der().doing("writing a public key")
    }

    pub(crate) fn copy(bytes: &SecretSlice<u8>) -> Result<Self> {
        Self::from_pkcs8_der(bytes.expose_secret())
    }
}

/// The kinds of public key that devices may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with its size in bits: 2048 to 8192.
    Rsa(u32),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

const WANTED: &str = "RSA of 2048 to 8192 bits, or EC on P-256 or P-384";

/// Sorts a key, or refuses it. The upper bound keeps a stranger's key from costing us seconds at each signature.
pub(crate) fn kind<T: HasPublic>(what: &'static str, key: &PKeyRef<T>) -> Result<KeyKind> {
    let refuse = |found: String| Error::Key { what, found, wanted: WANTED };
    match key.id() {
        Id::RSA if (2048..=8192).contains(&key.bits()) => Ok(KeyKind::Rsa(key.bits())),
        Id::RSA => Err(refuse(format!("RSA of {} bits", key.bits()))),
        Id::EC => {
            let curve = key.ec_key().doing("reading an EC key")?.group().curve_name();
            match curve {
                Some(Nid::X9_62_PRIME256V1) => Ok(KeyKind::P256),
                Some(Nid::SECP384R1) => Ok(KeyKind::P384),
                _ => Err(refuse("an EC key on another curve".to_owned())),
            }
        }
        other => Err(refuse(format!("a key of kind {}", other.as_raw()))),
    }
}

/// Reads a stranger's SubjectPublicKeyInfo and sorts it.
pub(crate) fn read_public(what: &'static str, spki: &[u8]) -> Result<(PKey<Public>, KeyKind)> {
    let malformed = || Error::Malformed { what, why: "the public key cannot be read" };
    named_parameters(what, spki)?;
    let key = PKey::public_key_from_der(spki).map_err(|_| malformed())?;
    let kind = kind(what, &key)?;
    Ok((key, kind))
}

/// EC keys name their curve. One that spells its parameters out could describe a curve of the sender's own making.
fn named_parameters(what: &'static str, spki: &[u8]) -> Result<()> {
    let mut algorithm = tlv::Walk::new(what, spki)
        .enter(tlv::SEQUENCE, "no public key")?
        .enter(tlv::SEQUENCE, "no public key algorithm")?;
    algorithm.oid("no public key algorithm")?;
    match algorithm.is_empty() || algorithm.next()?.tag != tlv::SEQUENCE {
        true => Ok(()),
        false => Err(Error::Key { what, found: "a key with parameters of its own".to_owned(), wanted: WANTED }),
    }
}

/// SHA-256 of a SubjectPublicKeyInfo: one key asking again is known by it.
pub(crate) fn sha256(bytes: &[u8]) -> Result<[u8; 32]> {
    digest(MessageDigest::sha256(), bytes)
}

pub(crate) fn digest<const N: usize>(algorithm: MessageDigest, bytes: &[u8]) -> Result<[u8; N]> {
    let digest = hash(algorithm, bytes).doing("hashing")?;
    digest.as_ref().try_into().map_err(|_| Error::Malformed { what: "digest", why: "of another length" })
}

/// Whether this key signed the certificate. Why not stays unsaid: OpenSSL's queue is emptied, so that its reasons
/// do not turn up under the next failure.
pub(crate) fn signed_by<T: HasPublic>(certificate: &X509Ref, key: &PKeyRef<T>) -> bool {
    let signed = certificate.verify(key).unwrap_or(false);
    if !signed {
        drop(ErrorStack::get());
    }
    signed
}

/// Bytes as lower hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_pkcs8() {
        for key in [PrivateKey::rsa_2048().unwrap(), PrivateKey::p256().unwrap()] {
            let again = PrivateKey::copy(&key.pkcs8_der().unwrap()).unwrap();
            assert_eq!(again.public_der().unwrap(), key.public_der().unwrap());
        }
    }

    #[test]
    fn weak_and_strange_keys_are_refused() {
        crate::providers::init().unwrap();
        let small = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
        let edwards = PKey::generate_ed25519().unwrap();
        let mut spelt = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        spelt.set_asn1_flag(Asn1Flag::EXPLICIT_CURVE);
        let spelt = PKey::from_ec_key(EcKey::generate(&spelt).unwrap()).unwrap();
        let other = PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::SECP256K1).unwrap()).unwrap());
        for (row, key) in
            [("1024 bits", small), ("Ed25519", edwards), ("own parameters", spelt), ("secp256k1", other.unwrap())]
        {
            let refused = read_public("test", &key.public_key_to_der().unwrap());
            assert!(matches!(refused, Err(Error::Key { .. })), "{row}");
        }
    }
}
