//! Session tickets without state, sealed under keys of this process.
//! Where a certificate is asked for, a session without one gets no ticket: a device that enrols and at once checks in
//! under one name would resume the session from before its certificate, and come to us as nobody (Apple QA1727
//! describes that cache; ten minutes per process).

use rustls::{crypto::aws_lc_rs::Ticketer, server::ProducesTickets};
use std::sync::Arc;

/// Bytes of a session's plain text besides name and certificates: 81 in rustls 0.23, with room. No certificate is
/// smaller than what is left: a P-256 key, its signature and the headers alone take over 200.
const SESSION_BYTES: usize = 160;

/// Seals the sessions of clients that showed a certificate, and no others.
#[derive(Debug)]
pub struct WithCertificateOnly {
    tickets: Arc<dyn ProducesTickets>,
    bare_bytes: usize,
}

impl WithCertificateOnly {
    /// `host`: the longest name under which these tickets are given out.
    pub fn new(host: &str) -> Result<Self, rustls::Error> {
        Ok(Self { tickets: Ticketer::new()?, bare_bytes: SESSION_BYTES + host.len() })
    }
}

impl ProducesTickets for WithCertificateOnly {
    fn enabled(&self) -> bool {
        self.tickets.enabled()
    }
    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.len() <= self.bare_bytes { None } else { self.tickets.encrypt(plain) }
    }
    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.tickets.decrypt(cipher)
    }
}
