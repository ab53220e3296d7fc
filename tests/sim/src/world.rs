//! Where a simulated device lives: whom it trusts, where names lead, and the ledger in which it writes down what it did.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Error, Result};
use crate::keys::KeySource;
use crate::ledger::Ledger;

/// Cheap to clone; clones share ledger and keys.
#[derive(Clone)]
pub struct World {
    /// Roots that devices trust.
    pub roots: Arc<RootCertStore>,
    /// The addresses behind every host name of a URL, first come first tried; a node that refuses connections is passed over. None:
    /// names lead where the machine's resolver says.
    pub device_addrs: Vec<SocketAddr>,
    /// `https://host[:port]` of check-ins, sessions and mail; no trailing slash.
    pub public_url: String,
    /// `https://host[:port]` of enrolment; no trailing slash.
    pub enrol_url: String,
    /// What the devices did.
    pub ledger: Ledger,
    /// Where their RSA keys come from.
    pub keys: KeySource,
}

impl World {
    /// Everything at one address, whatever name the URLs say. An unspecified address (0.0.0.0) means loopback.
    pub fn new(ca_pem: &[u8], device_addr: SocketAddr, public_url: &str, enrol_url: &str) -> Result<World> {
        Ok(World {
            roots: Arc::new(roots(ca_pem)?),
            device_addrs: vec![reachable(device_addr)],
            public_url: public_url.trim_end_matches('/').to_owned(),
            enrol_url: enrol_url.trim_end_matches('/').to_owned(),
            ledger: Ledger::new(),
            keys: KeySource::Fresh,
        })
    }

    /// Names lead where they lead, and these roots are trusted.
    pub fn by_names(roots: Arc<RootCertStore>, public_url: &str, enrol_url: &str) -> World {
        World {
            roots,
            device_addrs: Vec::new(),
            public_url: public_url.trim_end_matches('/').to_owned(),
            enrol_url: enrol_url.trim_end_matches('/').to_owned(),
            ledger: Ledger::new(),
            keys: KeySource::Fresh,
        }
    }

    /// The world of a running server, from `ca.pem` and `server.json` in its data folder.
    pub fn of_server(data: &Path) -> Result<World> {
        let ca_pem = std::fs::read(data.join("ca.pem")).map_err(Error::io("ca.pem"))?;
        let json = std::fs::read(data.join("server.json")).map_err(Error::io("server.json"))?;
        let json: serde_json::Value = serde_json::from_slice(&json).map_err(|e| Error::malformed("server.json", e))?;
        let text = |key: &str| {
            json.get(key).and_then(|v| v.as_str()).ok_or_else(|| Error::malformed("server.json", format!("no {key}")))
        };
        let addr = text("device")?.parse().map_err(|e| Error::malformed("server.json", e))?;
        World::new(&ca_pem, addr, text("public_url")?, text("enrol_url")?)
    }

    /// With a second node that serves the same devices.
    pub fn and_at(mut self, addr: SocketAddr) -> World {
        self.device_addrs.push(reachable(addr));
        self
    }

    /// The same world seen from one address alone.
    pub fn only_at(&self, addr: SocketAddr) -> World {
        World { device_addrs: vec![reachable(addr)], ..self.clone() }
    }

    /// With a pool of `n` RSA keys, made now: enrolling becomes cheap.
    pub fn with_key_pool(mut self, n: usize) -> Result<World> {
        self.keys = KeySource::pool(n)?;
        Ok(self)
    }
}

/// Certificates in PEM as trust anchors.
pub(crate) fn roots(pem: &[u8]) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|e| Error::Tls(format!("trust anchors: {e}")))?;
        store.add(der).map_err(|e| Error::Tls(format!("trust anchors: {e}")))?;
    }
    if store.is_empty() { Err(Error::Tls("no trust anchor in the PEM".into())) } else { Ok(store) }
}

fn reachable(addr: SocketAddr) -> SocketAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if addr.ip().is_unspecified() { SocketAddr::new(loopback, addr.port()) } else { addr }
}
