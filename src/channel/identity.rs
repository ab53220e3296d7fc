//! Who asks: decided at each request, on kept and resumed connections too, from the certificate that the connection showed.

use crate::{
    audit,
    error::{Error, Result},
    http::{Peer, client_cert_header::certificate_of},
    ids::Fingerprint,
    registry::{Credential, Device, Standing, credential, lookup},
    server::Server,
    store::Tx,
};
use http::HeaderMap;

/// The certificate of a request: the connection's own, or what a trusted proxy says of it.
pub fn certificate(server: &Server, peer: &Peer, headers: &HeaderMap) -> Result<Option<Fingerprint>> {
    let shown =
        certificate_of(peer, headers, &server.proxies).map_err(|e| Error::invalid("Client-Cert", e.to_string()))?;
    Ok(shown.map(|certificate| Fingerprint(certificate.sha256)))
}

/// The credential behind a fingerprint and how it stands. Nothing is refused here: what a refusal looks like is the channel's.
pub fn judge(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<(Standing, Option<Credential>, Option<Device>)> {
    let Some(credential) = tx.get::<Credential>(shown)? else { return Ok((Standing::Unknown, None, None)) };
    let device = match credential.device {
        Some(id) => Some(lookup::by_id(tx, id)?),
        None => None,
    };
    let standing = credential::judge(tx.now(), &credential, device.as_ref());
    Ok((standing, Some(credential), device))
}

/// Notes the refusal of an enrolment that is known.
pub fn note_refusal(tx: &mut Tx<'_>, credential: &Credential, ground: &str) -> Result<()> {
    audit::note(tx, "device", "enrolment.refused", credential.enrolment, "refused", ground)
}
