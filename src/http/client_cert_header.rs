//! The header `Client-Cert` (RFC 9440), by which a proxy that ends TLS hands the client's certificate on.
//! It counts from trusted addresses alone: anyone can write it. The proxy must have asked for proof of the key, and
//! must remove the header from what clients send.

use super::peer::{ClientCertificate, Peer};
use axum::http::{HeaderMap, HeaderName};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    net::IpAddr,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The header's name.
pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

/// Why the header does not hold a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// More than one certificate.
    #[error("Client-Cert appears more than once")]
    Repeated,
    /// Not `:base64:` (RFC 8941, 3.3.5).
    #[error("Client-Cert is not a byte sequence")]
    Form,
    /// The bytes are not one certificate.
    #[error("Client-Cert holds no certificate")]
    Certificate,
}

/// The certificate that a request comes with: the proxy's word where a trusted one wrote the header, else what the
/// connection itself showed.
pub fn certificate_of(
    peer: &Peer,
    headers: &HeaderMap,
    proxies: &TrustedProxies,
) -> Result<Option<Arc<ClientCertificate>>, HeaderError> {
    if !proxies.contains(peer.address.ip()) {
        return Ok(peer.certificate.clone());
    }
    let mut values = headers.get_all(CLIENT_CERT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(peer.certificate.clone()),
        (Some(_), Some(_)) => Err(HeaderError::Repeated),
        (Some(value), None) => parse(value.as_bytes()).map(|certificate| Some(Arc::new(certificate))),
    }
}

/// The header's value: an Item that is a Byte Sequence of one certificate, DER.
pub fn parse(value: &[u8]) -> Result<ClientCertificate, HeaderError> {
    let encoded = value.trim_ascii().strip_prefix(b":").and_then(|rest| rest.strip_suffix(b":"));
    let der = encoded.and_then(|encoded| STANDARD.decode(encoded).ok()).ok_or(HeaderError::Form)?;
    match X509Certificate::from_der(&der) {
        Ok(([], _)) => Ok(ClientCertificate::new(der)),
        _ => Err(HeaderError::Certificate),
    }
}

/// Addresses of proxies that may speak for clients. Clones share one list, which may be replaced at any time.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<RwLock<Arc<[Network]>>>);

impl TrustedProxies {
    /// From a list as the setting writes it: addresses and networks with commas or spaces between them, or `none`.
    pub fn parse(list: &str) -> Result<Self, String> {
        Ok(Self(Arc::new(RwLock::new(networks(list)?))))
    }

    /// Puts another list in place, in all clones.
    pub fn replace(&self, list: &str) -> Result<(), String> {
        let new = networks(list)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Whether this address is a trusted proxy's.
    pub fn contains(&self, address: IpAddr) -> bool {
        let networks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !networks.is_empty() && networks.iter().any(|network| network.contains(address.to_canonical()))
    }
}

fn networks(list: &str) -> Result<Arc<[Network]>, String> {
    list.split([',', ' ']).filter(|part| !part.is_empty() && *part != "none").map(str::parse).collect()
}

/// An address, or all that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    bits: u128,
    mask: u128,
    v4: bool,
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && bits(address) & self.mask == self.bits
    }
}

/// Left-aligned, so that one mask serves both families.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither an IP address nor a network such as 10.0.0.0/8");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(whole);
        if length > whole {
            return Err(wrong());
        }
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        Ok(Self { bits: bits(address) & mask, mask, v4: address.is_ipv4() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn der() -> Vec<u8> {
        rcgen::generate_simple_self_signed(["x.example".to_owned()]).unwrap().cert.der().to_vec()
    }

    fn header(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(CLIENT_CERT, value.parse().unwrap())])
    }

    fn from(address: &str, shown: Option<&Arc<ClientCertificate>>) -> Peer {
        let address = format!("{address}:1").parse().unwrap();
        Peer {
            address,
            client: address.ip(),
            certificate: shown.cloned(),
            asked: true,
            server_name: None,
            resumed: false,
        }
    }

    #[test]
    fn the_header_counts_from_trusted_addresses_alone() {
        let proxies = TrustedProxies::parse("10.1.0.0/16, ::1").unwrap();
        let shown = Arc::new(ClientCertificate::new(b"shown".to_vec()));
        let der = der();
        let told = header(&format!(" :{}: ", STANDARD.encode(&der)));
        let asked = |peer: &Peer, headers| certificate_of(peer, headers, &proxies).unwrap();
        assert_eq!(asked(&from("10.1.2.3", None), &told).unwrap().der, der);
        assert_eq!(asked(&from("10.2.2.3", None), &told), None);
        assert_eq!(asked(&from("10.2.2.3", Some(&shown)), &told), Some(Arc::clone(&shown)));
        assert_eq!(asked(&from("[::1]", Some(&shown)), &HeaderMap::new()), Some(shown));
        proxies.replace("none").unwrap();
        assert_eq!(certificate_of(&from("10.1.2.3", None), &told, &proxies), Ok(None));
    }

    #[test]
    fn a_header_that_is_not_one_certificate_is_refused() {
        let good = STANDARD.encode(der());
        for (row, value, want) in [
            ("empty", "", HeaderError::Form),
            ("one colon", ":", HeaderError::Form),
            ("no colons", good.as_str(), HeaderError::Form),
            ("not base64", ":@@:", HeaderError::Form),
            ("no bytes", "::", HeaderError::Certificate),
            ("no certificate", ":AAAA:", HeaderError::Certificate),
        ] {
            assert_eq!(parse(value.as_bytes()), Err(want), "{row}");
        }
        let twice = STANDARD.encode([der(), der()].concat());
        assert_eq!(parse(format!(":{twice}:").as_bytes()), Err(HeaderError::Certificate));
        let mut headers = header(&format!(":{good}:"));
        headers.append(CLIENT_CERT, "::".parse().unwrap());
        let proxies = TrustedProxies::parse("127.0.0.1").unwrap();
        assert_eq!(certificate_of(&from("127.0.0.1", None), &headers, &proxies), Err(HeaderError::Repeated));
    }

    #[test]
    fn networks_hold_what_they_say() {
        for (list, address, held) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "8.8.8.8", false),
            ("2001:db8::/32 192.0.2.7", "2001:db8:ffff::1", true),
            ("2001:db8::/32 192.0.2.7", "192.0.2.7", true),
            ("none", "127.0.0.1", false),
            ("", "127.0.0.1", false),
        ] {
            let proxies = TrustedProxies::parse(list).unwrap();
            assert_eq!(proxies.contains(address.parse().unwrap()), held, "{address} in {list:?}");
        }
        for list in ["10.0.0.0/33", "localhost", "10.0.0.0/", "::1/129", "1.2.3"] {
            assert!(TrustedProxies::parse(list).is_err(), "{list}");
        }
    }

    #[test]
    fn corpus_replays() {
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/client_cert")).unwrap() {
            let value = std::fs::read(entry.unwrap().path()).unwrap();
            let _parsed = parse(&value);
            let _proxies = TrustedProxies::parse(&String::from_utf8_lossy(&value));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value: Vec<u8>, list: String) {
            let _parsed = parse(&value);
            let _wrapped = parse(format!(":{}:", STANDARD.encode(&value)).as_bytes());
            let _proxies = TrustedProxies::parse(&list);
        }
    }
}
