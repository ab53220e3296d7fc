//! A stand-in for Apple's push service: HTTP/2 over TLS with a client certificate, which wakes simulated devices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use openssl::nid::Nid;
use openssl::x509::X509;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::apple::Push;
use crate::error::{Error, Result};
use crate::keys::{Authority, Identity, hex, random};
use crate::serve::{self, Answer, Asked, Listener, Manner, reply};
use crate::world::roots;

/// Apple's own allows some 1000 streams at once on a connection.
const STREAMS: u32 = 100;

/// A push as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The device's token, lower-case hexadecimal.
    pub token: String,
    /// `apns-topic`.
    pub topic: String,
    /// The PushMagic in its body.
    pub magic: String,
    /// What was answered.
    pub status: u16,
    /// The connection it came over, counted from 1.
    pub connection: u64,
}

/// A running stand-in. Dropping it closes its port and connections.
pub struct Apns {
    listener: Listener,
    authority: Authority,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    devices: BTreeMap<String, Device>,
    gone: BTreeSet<String>,
    /// Answered to so many pushes from now on, before anything else is looked at.
    refusals: Vec<u16>,
    pushes: Vec<Pushed>,
}

struct Device {
    magic: String,
    wake: UnboundedSender<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Apns {
    /// Opens a port of loopback. Its certificate and those it accepts are of an authority of its own.
    pub async fn start() -> Result<Apns> {
        let authority = Authority::new("Push Stand-in Root")?;
        let trusted = roots(&authority.ca_pem()?)?;
        let tls = serve::tls(&authority.server(&["localhost", "127.0.0.1"])?, trusted, true, b"h2")?;
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        let handler = move |asked| {
            let shared = serving.clone();
            async move { shared.push(&asked) }
        };
        let manner = Manner { tls: Some(tls), http2_streams: Some(STREAMS) };
        let listener = Listener::start(SocketAddr::from(([127, 0, 0, 1], 0)), manner, handler).await?;
        Ok(Apns { listener, authority, shared })
    }

    /// `https://localhost:PORT`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.listener.addr.port())
    }

    /// The root that its callers must trust.
    pub fn ca_pem(&self) -> Result<Vec<u8>> {
        self.authority.ca_pem()
    }

    /// A push certificate as it accepts them, under a topic that nobody else has.
    pub fn push_certificate(&self) -> Result<Identity> {
        self.authority.push(&format!("com.apple.mgmt.External.{}", hex(&random::<16>()?)))
    }

    /// Lets a device be woken: each good push is one word in the channel.
    pub fn register(&self, push: &Push) -> UnboundedReceiver<()> {
        let (wake, woken) = unbounded_channel();
        let device = Device { magic: push.magic.clone(), wake };
        self.shared.lock().devices.insert(push.token_hex(), device);
        woken
    }

    /// Pushes to this token are answered 410 from now on.
    pub fn forget(&self, push: &Push) {
        let mut state = self.shared.lock();
        state.devices.remove(&push.token_hex());
        state.gone.insert(push.token_hex());
    }

    /// The next pushes are refused with these statuses, first come first refused.
    pub fn refuse_next(&self, statuses: &[u16]) {
        self.shared.lock().refusals.extend(statuses);
    }

    /// Lets go of all open connections, as Apple's does now and then: GOAWAY.
    pub fn go_away(&self) {
        self.listener.go_away();
    }

    /// All pushes so far.
    pub fn pushes(&self) -> Vec<Pushed> {
        self.shared.lock().pushes.clone()
    }
}

impl Shared {
    fn push(&self, asked: &Asked) -> Answer {
        let token = asked.uri.path().strip_prefix("/3/device/").unwrap_or_default().to_owned();
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let magic = body.get("mdm").and_then(|m| m.as_str()).unwrap_or_default().to_owned();
        let topic = asked.header("apns-topic").to_owned();
        let mut state = self.lock();
        let refusal = if state.refusals.is_empty() { None } else { Some(state.refusals.remove(0)) };
        let (status, reason) = match refusal {
            Some(status) => (status, "TooManyRequests"),
            None => judge(&state, asked, &token, &topic, &magic),
        };
        if status == 200
            && let Some(device) = state.devices.get(&token)
        {
            // A device that has left for good is no fault of the sender's.
            let _ = device.wake.send(());
        }
        state.pushes.push(Pushed { token, topic, magic, status, connection: asked.connection });
        let body = match status {
            200 => String::new(),
            // The moment at which Apple's knows of it, in milliseconds: later than the token's last TokenUpdate.
            410 => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                format!("{{\"reason\":\"{reason}\",\"timestamp\":{}}}", now.as_millis())
            }
            _ => format!("{{\"reason\":\"{reason}\"}}"),
        };
        let id = uuid::Uuid::new_v4().to_string();
        reply(status, &[("apns-id", &id)], body)
    }
}

/// What Apple's looks at, for MDM.
fn judge(state: &State, asked: &Asked, token: &str, topic: &str, magic: &str) -> (u16, &'static str) {
    if asked.method != Method::POST {
        return (405, "MethodNotAllowed");
    }
    if token.len() != 64 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
        return (400, "BadDeviceToken");
    }
    match asked.peer.as_deref().map(topic_of) {
        Some(Ok(certified)) if certified == topic => {}
        Some(_) => return (400, "BadTopic"),
        None => return (403, "MissingProviderToken"),
    }
    if !matches!(asked.header("apns-push-type"), "" | "mdm") {
        return (400, "InvalidPushType");
    }
    if state.gone.contains(token) {
        return (410, "Unregistered");
    }
    match state.devices.get(token) {
        Some(device) if device.magic == magic => (200, ""),
        // Apple's takes any body; a device ignores a push without its magic. Here that is an error worth seeing.
        Some(_) => (400, "PayloadEmpty"),
        None => (400, "BadDeviceToken"),
    }
}

/// The UID in a push certificate's subject.
fn topic_of(certificate: &[u8]) -> Result<String> {
    let certificate = X509::from_der(certificate)?;
    let entry = certificate.subject_name().entries_by_nid(Nid::USERID).next();
    let entry = entry.ok_or_else(|| Error::malformed("push certificate", "no UID"))?;
    Ok(String::from_utf8_lossy(entry.data().as_slice()).into_owned())
}

#[cfg(test)]
mod tests;
