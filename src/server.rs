//! The running server: what every handler shares.

pub mod background;
pub mod follow_ups;
pub mod mail_server;
pub mod outlook;
pub mod rounds;
pub mod signon;
pub mod smtp;
pub mod strangers;
pub mod tickets;
mod tidying;
pub mod told;
pub mod waiting;
mod webhook;

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    fleet::{mailboxes::Addresses, registry::presence::Presence},
    http::{DrainSignal, ServerCertificate, client_cert_header::TrustedProxies, outgoing::Outgoing},
    ids::DeviceId,
    store::{Fault, Store},
};
use lanyard_certs::{Authority, cms, keys::PrivateKey, seal::MasterKey};
use std::sync::{Arc, OnceLock, atomic::AtomicUsize};

/// See the module. Handlers hold it in an `Arc`.
pub struct Server {
    /// The store.
    pub store: Store,
    /// Devices with nothing to do.
    pub presence: Arc<Presence>,
    /// The device CA.
    pub authority: Authority,
    /// Opens what is sealed in the store.
    pub master_key: MasterKey,
    /// `https://host[:port]` without a slash at the end, for check-ins, sessions and mail.
    pub public_url: String,
    /// Likewise, for enrolment, SCEP, the revocation list and discovery.
    pub enrol_url: String,
    /// Calls to other servers.
    pub outgoing: Outgoing,
    /// Roots that outgoing calls trust.
    pub roots: Arc<rustls::RootCertStore>,
    /// The mail server's ActiveSync address.
    pub eas_upstream: Option<http::Uri>,
    /// What was last found wrong with it.
    pub mail_server: mail_server::MailServer,
    /// Requests of one mail user that go to it at a time; 0 is no limit.
    pub eas_requests: Arc<AtomicUsize>,
    /// Logins of mail that are not their address.
    pub eas_users: Addresses,
    /// How it learns whose request it is that comes with a certificate.
    pub eas_signon: Option<signon::SignOn>,
    /// The server that takes mail for users.
    pub smtp: Option<smtp::Smtp>,
    /// Addresses whose `Client-Cert` counts.
    pub proxies: TrustedProxies,
    /// Fires when the server is about to stop.
    pub stopping: DrainSignal,
    /// Refusals of those nobody knows.
    pub strangers: strangers::Strangers,
    /// What the log tells of them.
    pub told: told::Told,
    /// The server's own certificate is of our CA, so devices must be told to trust it.
    pub own_tls: bool,
    /// What the devices' port shows, once it is open.
    pub certificate: OnceLock<Arc<ServerCertificate>>,
    /// What was last found wrong.
    pub outlook: outlook::Outlook,
    /// Devices that something was just done to; the waker listens.
    pub wakes: tokio::sync::broadcast::Sender<DeviceId>,
    /// Those of them that are looked at again.
    pub follow_ups: follow_ups::FollowUps,
}

impl Server {
    /// The present, as far as the clock is believed.
    pub fn now(&self) -> Timestamp {
        self.store.time().now
    }

    /// The same, for what is issued or renewed: refused while the clock is doubted.
    pub fn time_to_issue(&self) -> Result<Timestamp> {
        let time = self.store.time();
        if time.doubted {
            let text =
                "the clock moved by over a day and is not believed yet: wait for an hour, or `lanyard clock accept`";
            return Err(Fault::Away(text.into()).into());
        }
        Ok(time.now)
    }

    /// Seals a secret for the store, as hexadecimal text. `label` says what it is and binds it to that use.
    pub fn seal(&self, label: &str, secret: &[u8]) -> Result<String> {
        let sealed = self.master_key.seal(label, secret).map_err(|e| Error::Internal(e.to_string()))?;
        Ok(crate::ids::hex(&sealed))
    }

    /// Opens what [`Server::seal`] made.
    pub fn unseal(&self, label: &str, sealed: &str) -> Result<Vec<u8>> {
        use secrecy::ExposeSecret as _;
        let bytes =
            crate::ids::unhex(sealed).ok_or_else(|| Error::Internal("sealed text is not hexadecimal".into()))?;
        let open = self.master_key.open(label, &bytes).map_err(|e| Error::Internal(e.to_string()))?;
        Ok(open.expose_secret().to_vec())
    }

    /// Signs a profile: by the certificate that the devices' port shows where somebody gave one, since devices trust that without being told
    /// to, else by the device CA. Not for the writer's thread.
    pub fn sign_profile(&self, profile: &[u8]) -> Result<Vec<u8>> {
        let fault = |error: lanyard_certs::Error| Error::Internal(error.to_string());
        if let Some(certificate) = self.certificate.get().filter(|_| !self.own_tls) {
            let (chain, key) = certificate.signer();
            let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
            let key = PrivateKey::from_der(key.secret_der());
            match key.and_then(|key| cms::sign_profile_by(&chain, &key, profile)) {
                Ok(signed) => return Ok(signed),
                // A profile by our CA is as good, but for the word "verified".
                Err(error) => tracing::warn!(%error, "--tls-cert signs no profile, the device CA does instead"),
            }
        }
        cms::sign_profile(&self.authority, profile).map_err(fault)
    }

    /// The host of the public address.
    pub fn public_host(&self) -> &str {
        host(&self.public_url)
    }
}

/// The host of an `https://host[:port]` address.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => authority.split(':').next().unwrap_or(authority),
    }
}
