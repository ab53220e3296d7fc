//! Who asks: decided at each request, on kept and resumed connections too, from the certificate that the connection showed.

use super::span;
use crate::{
    clock::Steady,
    error::{Denial, Error, Judged, Result},
    fleet::{
        audit::{self, By, Event, UNKNOWN_CERTIFICATE},
        keeper,
        life::{self, Channel, Device},
        registry::{Credential, Standing, credential, journal, lookup, tries},
        terms::Ground,
    },
    http::{ClientCertificate, Peer, client_cert_header::certificate_of, gate::holder},
    ids::{DeviceId, EnrolmentId, Fingerprint},
    server::Server,
    store::{Kind, Record, Tx},
};
use http::HeaderMap;
use lanyard_certs::ca::When;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The certificate of a request: the connection's own, or what a trusted proxy says of it.
pub fn certificate(server: &Server, peer: &Peer, headers: &HeaderMap) -> Result<Option<Fingerprint>> {
    let shown =
        certificate_of(peer, headers, &server.proxies).map_err(|e| Error::invalid("Client-Cert", e.to_string()))?;
    let direct = |one: &ClientCertificate| peer.certificate.as_ref().is_some_and(|own| own.sha256 == one.sha256);
    // What a connection shows its handshake has judged; a proxy may be careless, and pass on what it did not look at.
    let ours = |one: &ClientCertificate| direct(one) || server.authority.check_issued(&one.der, When::Any).is_ok();
    Ok(shown.map(|certificate| if ours(&certificate) { Fingerprint(certificate.sha256) } else { FOREIGN }))
}

/// By whom wrong codes and passwords are counted besides their user: the holder of an address, unless that is a proxy's and so everybody's.
pub fn counted(server: &Server, peer: &Peer) -> Option<String> {
    let address = peer.client;
    (!server.proxies.contains(address)).then(|| holder(address).to_string())
}

/// Stands for a certificate of another CA: refused as one that nobody knows, and no sign that the store is an older copy. A stranger must
/// not raise that alarm.
const FOREIGN: Fingerprint = Fingerprint([0; 32]);

/// The credential behind a fingerprint and how it stands. Nothing is refused here: what a refusal looks like is the channel's.
pub fn judge(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<(Standing, Option<Credential>, Option<Device>)> {
    let Some(credential) = tx.get::<Credential>(shown)? else {
        note_unknown(tx, shown)?;
        return Ok((Standing::Unknown, None, None));
    };
    let device = match credential.device {
        Some(id) => Some(lookup::by_id(tx, id)?),
        None => None,
    };
    let standing = credential::judge(tx.time(), &credential, device.as_ref());
    Ok((standing, Some(credential), device))
}

/// Whether a large body is read of who shows this certificate on a channel, before it says in which device's name. A refusal is noted.
pub fn admit_much(tx: &mut Tx<'_>, shown: &Fingerprint, channel: Channel) -> Judged<(), Standing> {
    let (standing, credential, _) = judge(tx, shown)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Standing::Unknown)) };
    match standing {
        Standing::Good if credential.channel == channel => Ok(()),
        Standing::Good => {
            note_refusal(tx, &credential, Ground::SpeaksForAnother)?;
            Err(Denial::Refused(Standing::Unknown))
        }
        other => {
            note_refusal(tx, &credential, other.into())?;
            Err(Denial::Refused(other))
        }
    }
}

/// Who showed this certificate sent what cannot be read: of a device of ours the log and the device's problems say why. True where it is
/// one: it is no stranger for what it sends.
pub async fn garbled(server: &Server, shown: Fingerprint, error: String) -> Result<bool> {
    server.store.run(move |tx| note_garbled(tx, &shown, &error)).await
}

fn note_garbled(tx: &mut Tx<'_>, shown: &Fingerprint, error: &str) -> Result<bool> {
    let Some(credential) = tx.get::<Credential>(shown)? else {
        tracing::debug!(error, "a message cannot be read");
        return Ok(false);
    };
    span::whose(credential.enrolment, credential.device);
    let device = match credential.device {
        Some(id) => tx.get::<Device>(id)?,
        None => None,
    };
    match &device {
        Some(device) if credential::judge(tx.time(), &credential, Some(device)) == Standing::Good => {
            journal::unreadable(tx, device.id, &format!("a whole message: {error}"), None)?;
        }
        // It may write nothing any more, or nothing yet.
        _ => tracing::debug!(enrolment = %credential.enrolment, error, "a message cannot be read"),
    }
    Ok(true)
}

/// The last refusal of an enrolment.
#[derive(Debug, Serialize, Deserialize)]
struct Refused {
    enrolment: EnrolmentId,
    ground: String,
    at: Steady,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Refused>()];

impl Record for Refused {
    const KIND: &'static str = "refused";
    fn key(&self) -> String {
        self.enrolment.to_string()
    }
}

/// Certificates of our CA that the store does not know: each is noted once an hour, and so many in all.
const UNKNOWN: usize = 20;

/// The handshake, or a proxy that we trust, found it to be of our CA, and whatever our CA issues is in the store before it is handed
/// out: so the store is an older copy of itself, or somebody else signs with our key.
fn note_unknown(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<()> {
    if *shown == FOREIGN {
        return Ok(());
    }
    for (who, limit) in [(format!("unknown certificate {shown}"), 1), ("unknown certificates".to_string(), UNKNOWN)] {
        match tries::within(tx, &who, limit)? {
            Some(tries) => tries.count(tx)?,
            None => return Ok(()),
        }
    }
    let sha256 = *shown;
    tx.log(move || tracing::warn!(%sha256, "{UNKNOWN_CERTIFICATE}"));
    audit::note(tx, By::Device, Event::CertificateUnknown { sha256 })
}

/// One ground is noted once in this time: a refused device that asks without end must not write the log full either.
const NOTED: Duration = Duration::from_secs(60);

/// Notes the refusal of an enrolment that is known.
pub fn note_refusal(tx: &mut Tx<'_>, credential: &Credential, ground: Ground) -> Result<()> {
    note_refusal_of(tx, credential.device, credential.enrolment, ground)
}

/// The same where no certificate was shown that would lead to the enrolment.
pub fn note_refusal_of(
    tx: &mut Tx<'_>,
    device: Option<DeviceId>,
    enrolment: EnrolmentId,
    ground: Ground,
) -> Result<()> {
    if let Some(device) = device
        && let Some(device) = tx.get::<Device>(device)?.filter(|device| device.removed.is_some())
    {
        let mut device = keeper::load(tx, device)?;
        keeper::back(tx, &mut device)?;
    }
    let at = tx.steady();
    let before = tx.get::<Refused>(enrolment)?;
    if before.is_some_and(|b| b.ground == ground.as_str() && at.since(b.at) < NOTED) {
        return Ok(());
    }
    tx.put(&Refused { enrolment, ground: ground.as_str().into(), at })?;
    if let Some(device) = device.filter(|_| ground == Ground::from(Standing::Ended))
        && let Some(device) = tx.get::<Device>(device)?
    {
        let mut device = keeper::load(tx, device)?;
        keeper::happen(tx, &mut device, life::Event::HeardAfterEnd(enrolment))?;
    }
    audit::note(tx, By::Device, Event::EnrolmentRefused { enrolment, device, ground })
}
