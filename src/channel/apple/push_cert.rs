//! Apple's push certificate: the topic that enrolment profiles name, and what wakes devices.

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::{self, Event},
        life::{Channel, Device},
    },
    ids::hexed,
    server::Server,
    store::{Kind, Record, Tx},
};
use lanyard_certs::pushcert::PushCertificate;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

/// Sealed under this label: the certificate chain and its key.
const LABEL: &str = "push certificate";

/// A topic of our own making, until a push certificate is set: simulated devices work with it, real ones are never woken.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Placeholder {
    topic: String,
}

/// A push certificate as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The topic it is for.
    pub topic: String,
    /// SHA-256 of the certificate, hexadecimal.
    #[serde(with = "hexed")]
    pub sha256: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// When it was set.
    pub set: Timestamp,
    /// Chain and key, sealed.
    #[serde(with = "hexed")]
    pub sealed: String,
}

#[derive(Serialize, Deserialize)]
struct Material {
    chain: Vec<String>,
    key: String,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<Placeholder>(), Kind::of::<Kept>()];

impl Record for Placeholder {
    const KIND: &'static str = "apple-topic";
    fn key(&self) -> String {
        String::new()
    }
}
impl Record for Kept {
    const KIND: &'static str = "push-certificate";
    fn key(&self) -> String {
        String::new()
    }
    fn subject(&self) -> Option<String> {
        Some("*".into())
    }
}

/// The certificate that is set.
pub fn show(tx: &mut Tx<'_>) -> Result<Option<Kept>> {
    Ok(tx.get::<Kept>("")?)
}

/// Whether one is set and in time.
pub fn is_set(tx: &mut Tx<'_>) -> Result<bool> {
    let now = tx.now();
    Ok(show(tx)?.is_some_and(|kept| kept.not_after > now))
}

/// The push topic: the certificate's, else the placeholder.
pub fn topic(tx: &mut Tx<'_>) -> Result<String> {
    if let Some(kept) = show(tx)? {
        return Ok(kept.topic);
    }
    placeholder(tx)
}

fn placeholder(tx: &mut Tx<'_>) -> Result<String> {
    if let Some(kept) = tx.get::<Placeholder>("")? {
        return Ok(kept.topic);
    }
    let topic = format!("com.apple.mgmt.External.{}", tx.new_id::<uuid::Uuid>());
    tx.put(&Placeholder { topic: topic.clone() })?;
    Ok(topic)
}

/// Ready to be stored: read, checked, sealed. Not for the writer's thread.
pub fn prepare(server: &Server, read: &PushCertificate) -> Result<Kept> {
    let hex = crate::ids::hex;
    let material = Material {
        chain: read.chain_der.iter().map(|der| hex(der)).collect(),
        key: hex(read.key_pkcs8.expose_secret()),
    };
    let plain = serde_json::to_vec(&material).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(Kept {
        topic: read.topic.clone(),
        sha256: read.sha256.clone(),
        not_before: Timestamp::from_unix(read.not_before.unix_timestamp()),
        not_after: Timestamp::from_unix(read.not_after.unix_timestamp()),
        set: Timestamp::default(),
        sealed: server.seal(LABEL, &plain)?,
    })
}

/// The chain (leaf first) and the key, PKCS#8.
pub fn open(server: &Server, kept: &Kept) -> Result<(Vec<Vec<u8>>, Vec<u8>)> {
    let broken = || Error::Internal("the push certificate in the store cannot be read".into());
    let plain = server.unseal(LABEL, &kept.sealed)?;
    let material: Material = serde_json::from_slice(&plain).map_err(|_| broken())?;
    let chain: Option<Vec<Vec<u8>>> = material.chain.iter().map(|der| crate::ids::unhex(der)).collect();
    Ok((chain.ok_or_else(broken)?, crate::ids::unhex(&material.key).ok_or_else(broken)?))
}

/// Sets it. Another topic is refused while devices are enrolled: they listen to the topic of their profile for ever.
pub fn set(tx: &mut Tx<'_>, actor: &Actor, kept: Kept) -> Result<Kept> {
    if kept.not_after <= tx.now() {
        return Err(Error::refused("push_cert_expired", format!("the certificate ended at {}", kept.not_after)));
    }
    // Under another one nothing wakes the devices.
    if show(tx)?.is_some() {
        actor.must_count("set another push certificate")?;
    }
    let topic = topic(tx)?;
    if topic != kept.topic
        && let Some(device) = enrolled(tx)?
    {
        return Err(Error::refused(
            "other_topic",
            format!(
                "the certificate is for {}, but devices are enrolled for {topic} ({device} is one): renew the certificate of that \
                 topic, or retire the devices first",
                kept.topic
            ),
        ));
    }
    let kept = Kept { set: tx.now(), ..kept };
    tx.put(&kept)?;
    let (topic, sha256) = (kept.topic.clone(), kept.sha256.clone());
    audit::note(tx, actor, Event::PushCertificateSet { topic, sha256 })?;
    Ok(kept)
}

/// Some device that Apple's protocol still binds.
fn enrolled(tx: &mut Tx<'_>) -> Result<Option<crate::ids::DeviceId>> {
    let mut after: Option<String> = None;
    loop {
        let page = tx.scan::<Device>("", after.as_deref(), 1000)?;
        let Some(last) = page.last() else { return Ok(None) };
        after = Some(last.key());
        if let Some(found) = page.iter().find(|d| d.live().any(|e| e.channel == Channel::Apple)) {
            return Ok(Some(found.id));
        }
    }
}
