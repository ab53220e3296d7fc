//! Keys, certificates and certificate requests of simulated devices, made with OpenSSL.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

use crate::error::{Error, Result};

/// A certificate with its key, as a device holds it. No `Debug`: there is a private key in it.
#[derive(Clone)]
pub struct Identity {
    /// The leaf, then whatever came with it; DER.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 DER.
    pub key: Vec<u8>,
}

impl Identity {
    /// From a chain in PEM, leaf first, and an unencrypted key in PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity> {
        let key = PKey::private_key_from_pem(key)?;
        let chain = X509::stack_from_pem(chain)?;
        Identity::from_parts(&chain, &key)
    }

    /// From one certificate in DER and a key in PKCS#8 or traditional DER.
    pub fn from_der(certificate: &[u8], key: &[u8]) -> Result<Identity> {
        let key = PKey::private_key_from_der(key)?;
        Identity::from_parts(&[X509::from_der(certificate)?], &key)
    }

    /// From a PKCS#12 file.
    pub fn from_pkcs12(bytes: &[u8], password: &str) -> Result<Identity> {
        let parsed = Pkcs12::from_der(bytes)?.parse2(password)?;
        let (Some(leaf), Some(key)) = (parsed.cert, parsed.pkey) else {
            return Err(Error::malformed("PKCS#12", "no certificate or no key"));
        };
        // Only the leaf goes into handshakes: the server knows its own CA.
        Identity::from_parts(&[leaf], &key)
    }

    /// From what OpenSSL holds.
    pub fn from_parts(chain: &[X509], key: &PKey<Private>) -> Result<Identity> {
        let chain = chain.iter().map(|c| c.to_der()).collect::<Result<Vec<_>, _>>()?;
        Ok(Identity { chain, key: key.private_key_to_pkcs8()? })
    }

    /// Self-made, as a stranger would: nobody's CA vouches for it.
    pub fn self_made(common_name: &str) -> Result<Identity> {
        let key = rsa(2048)?;
        let certificate = self_signed(&name(&[("CN", common_name)])?, &key, false)?;
        Identity::from_parts(&[certificate], &key)
    }

    /// The leaf.
    pub fn certificate(&self) -> Result<X509> {
        let leaf = self.chain.first().ok_or_else(|| Error::malformed("identity", "no certificate"))?;
        Ok(X509::from_der(leaf)?)
    }

    /// The key.
    pub fn private_key(&self) -> Result<PKey<Private>> {
        Ok(PKey::private_key_from_der(&self.key)?)
    }

    /// SHA-256 of the leaf, lower-case hexadecimal: the name under which a server pins it.
    pub fn sha256(&self) -> Result<String> {
        Ok(hex(&self.certificate()?.digest(MessageDigest::sha256())?))
    }

    /// Leaf and chain in PEM.
    pub fn chain_pem(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for der in &self.chain {
            out.extend(X509::from_der(der)?.to_pem()?);
        }
        Ok(out)
    }

    /// The key in PKCS#8 PEM.
    pub fn key_pem(&self) -> Result<Vec<u8>> {
        Ok(self.private_key()?.private_key_to_pem_pkcs8()?)
    }
}

/// Where devices get their RSA keys: making one takes some 100 ms of processor time, which a load test of 1,000 devices may not want.
#[derive(Clone, Default)]
pub enum KeySource {
    /// A new key for each enrolment, as real devices make them.
    #[default]
    Fresh,
    /// Keys of a pool, in turn; the servers' certificates differ all the same.
    Pool(Arc<KeyPool>),
}

/// RSA-2048 keys made once; see [`KeySource::Pool`].
#[derive(Default)]
pub struct KeyPool {
    keys: Mutex<Vec<PKey<Private>>>,
    next: AtomicUsize,
}

impl KeySource {
    /// A pool of `n` keys (at least one), made now.
    pub fn pool(n: usize) -> Result<KeySource> {
        let keys = (0..n.max(1)).map(|_| rsa(2048)).collect::<Result<Vec<_>>>()?;
        Ok(KeySource::Pool(Arc::new(KeyPool { keys: Mutex::new(keys), next: AtomicUsize::new(0) })))
    }

    /// A key of this many bits; a pool's keys have 2048 whatever is asked. Does its work off the async threads.
    pub(crate) async fn rsa(&self, bits: u32) -> Result<PKey<Private>> {
        if let KeySource::Pool(pool) = self {
            let keys = pool.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let at = pool.next.fetch_add(1, Ordering::Relaxed) % keys.len().max(1);
            if let Some(key) = keys.get(at) {
                return Ok(key.clone());
            }
        }
        match tokio::task::spawn_blocking(move || rsa(bits)).await {
            Ok(key) => key,
            Err(e) => Err(Error::malformed("RSA key", e)),
        }
    }
}

pub(crate) fn rsa(bits: u32) -> Result<PKey<Private>> {
    Ok(PKey::from_rsa(Rsa::generate(bits)?)?)
}

fn p256() -> Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

/// A distinguished name from short or dotted attribute names.
pub(crate) fn name(parts: &[(&str, &str)]) -> Result<X509Name> {
    let mut builder = X509NameBuilder::new()?;
    for (kind, value) in parts {
        builder.append_entry_by_text(kind, value)?;
    }
    Ok(builder.build())
}

fn serial() -> Result<Asn1Integer> {
    let mut n = BigNum::new()?;
    n.rand(126, MsbOption::ONE, false)?;
    Ok(n.to_asn1_integer()?)
}

/// Not before is an hour ago: clocks of test machines differ.
fn builder(subject: &X509Name, key: &PKey<Private>, days: u32) -> Result<X509Builder> {
    let mut b = X509::builder()?;
    b.set_version(2)?;
    let n = serial()?;
    b.set_serial_number(&n)?;
    b.set_subject_name(subject)?;
    b.set_pubkey(key)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let from = i64::try_from(now.saturating_sub(3600)).unwrap_or(0);
    let (from, to) = (Asn1Time::from_unix(from)?, Asn1Time::days_from_now(days)?);
    b.set_not_before(&from)?;
    b.set_not_after(&to)?;
    Ok(b)
}

/// A certificate over its own key: of a SCEP client before it has one, or of a CA.
pub(crate) fn self_signed(subject: &X509Name, key: &PKey<Private>, ca: bool) -> Result<X509> {
    let mut b = builder(subject, key, 365)?;
    b.set_issuer_name(subject)?;
    if ca {
        b.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        b.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    } else {
        b.append_extension(KeyUsage::new().critical().digital_signature().key_encipherment().build()?)?;
    }
    b.sign(key, MessageDigest::sha256())?;
    Ok(b.build())
}

/// A small certificate authority of a test's own: for the push service's stand-in, for a push certificate, for strangers.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    /// Self-signed, P-256, a year.
    pub fn new(common_name: &str) -> Result<Authority> {
        let key = p256()?;
        let certificate = self_signed(&name(&[("CN", common_name)])?, &key, true)?;
        Ok(Authority { certificate, key })
    }

    /// The root, to be trusted.
    pub fn ca_pem(&self) -> Result<Vec<u8>> {
        Ok(self.certificate.to_pem()?)
    }

    /// A server certificate for names and IP addresses.
    pub fn server(&self, names: &[&str]) -> Result<Identity> {
        let key = p256()?;
        let first = names.first().copied().unwrap_or("localhost");
        let mut b = builder(&name(&[("CN", first)])?, &key, 90)?;
        b.set_issuer_name(self.certificate.subject_name())?;
        let mut alt = SubjectAlternativeName::new();
        for name in names {
            match name.parse::<std::net::IpAddr>() {
                Ok(_) => alt.ip(name),
                Err(_) => alt.dns(name),
            };
        }
        let alt = alt.build(&b.x509v3_context(Some(&self.certificate), None))?;
        b.append_extension(alt)?;
        b.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        b.sign(&self.key, MessageDigest::sha256())?;
        Identity::from_parts(&[b.build()], &key)
    }

    /// A push certificate as Apple makes them: RSA-2048, the topic as UID in the subject, clientAuth.
    pub fn push(&self, topic: &str) -> Result<Identity> {
        self.client(&[("UID", topic), ("CN", &format!("APSP:{topic}"))])
    }

    /// A client certificate under any subject, such as one of a stranger's CA that names a known device.
    pub fn client(&self, subject: &[(&str, &str)]) -> Result<Identity> {
        let key = rsa(2048)?;
        let mut b = builder(&name(subject)?, &key, 365)?;
        b.set_issuer_name(self.certificate.subject_name())?;
        b.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
        b.append_extension(ExtendedKeyUsage::new().client_auth().build()?)?;
        b.sign(&self.key, MessageDigest::sha256())?;
        Identity::from_parts(&[b.build()], &key)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Random bytes from OpenSSL.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut out = [0; N];
    openssl::rand::rand_bytes(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_vouches_for_its_leaves_and_a_self_made_identity_for_itself() {
        let ca = Authority::new("Stand-in").unwrap();
        for leaf in [ca.server(&["localhost", "127.0.0.1"]).unwrap(), ca.push("com.apple.mgmt.External.x").unwrap()] {
            assert!(leaf.certificate().unwrap().verify(&ca.key).unwrap());
            let again = Identity::from_pem(&leaf.chain_pem().unwrap(), &leaf.key_pem().unwrap()).unwrap();
            assert_eq!(again.sha256().unwrap(), leaf.sha256().unwrap());
        }
        let stranger = Identity::self_made("UDID").unwrap();
        assert!(!stranger.certificate().unwrap().verify(&ca.key).is_ok_and(|good| good));
    }

    #[tokio::test]
    async fn a_pool_hands_out_its_keys_in_turn() {
        let pool = KeySource::pool(2).unwrap();
        let mut der = Vec::new();
        for _ in 0..3 {
            der.push(pool.rsa(2048).await.unwrap().public_key_to_der().unwrap());
        }
        assert!(der[0] == der[2] && der[0] != der[1]);
    }
}
