//! The enrolment profile, as an invitation gives it and as a renewal brings it again: the same but for its challenge.

use crate::{
    channel::scep,
    error::{Error, Result},
    fleet::life::Ownership,
    ids::EnrolmentId,
    server::Server,
};
use lanyard_apple::{
    Secret,
    profile::{EnrolmentProfile, ProfileMeta, Scep},
    support::AccessRights,
};
use uuid::Uuid;

/// The enrolment profile's PayloadIdentifier: devices keep it for ever, and RemoveProfile names it.
pub(in crate::channel) const ENROLMENT_PROFILE: &str = "org.lanyard.enrolment";
/// Where Apple devices send all their messages.
pub(in crate::channel) const APPLE_PATH: &str = "/apple/mdm";

/// What an enrolment's profile says of it. A device takes another one in its place only where all of this but the challenge is as it was.
#[derive(Debug)]
pub(in crate::channel) struct Enrolling {
    /// The PayloadUUID.
    pub(in crate::channel) uuid: Uuid,
    /// Whose certificate it leads to.
    pub(in crate::channel) enrolment: EnrolmentId,
    /// As it was when the device enrolled: by it go the rights, which only shrink.
    pub(in crate::channel) ownership: Ownership,
    /// What its pushes come under.
    pub(in crate::channel) topic: String,
    /// Whether the device signs its messages.
    pub(in crate::channel) signs: bool,
    /// What it gets its certificate with.
    pub(in crate::channel) challenge: Secret<String>,
}

/// The rights that a profile gives.
pub(in crate::channel) fn rights(ownership: Ownership) -> AccessRights {
    match ownership {
        Ownership::Corporate => AccessRights::ALL,
        Ownership::Personal => AccessRights::PERSONAL,
    }
}

/// Where and with what an enrolment's certificate is to be had.
pub(in crate::channel) fn scep(server: &Server, enrolment: EnrolmentId, challenge: Secret<String>) -> Scep {
    Scep {
        url: format!("{}{}", server.enrol_url, scep::PATH),
        name: None,
        challenge,
        subject: vec![("CN".into(), enrolment.to_string())],
        ca_fingerprint: None,
    }
}

/// The profile, signed: not for the writer's thread.
pub(in crate::channel) fn profile(server: &Server, of: Enrolling) -> Result<Vec<u8>> {
    let profile = EnrolmentProfile {
        meta: ProfileMeta {
            identifier: ENROLMENT_PROFILE.into(),
            uuid: of.uuid,
            display_name: "Device management".into(),
            description: Some("Lets your organisation manage this device.".into()),
            organisation: None,
        },
        topic: of.topic,
        server_url: format!("{}{APPLE_PATH}", server.public_url),
        scep: scep(server, of.enrolment, of.challenge),
        rights: rights(of.ownership),
        sign_message: of.signs,
        capabilities: EnrolmentProfile::MAC_CAPABILITIES.to_vec(),
        scope: None,
        root: server.own_tls.then(|| server.authority.root_der().to_vec()),
    };
    let plain = profile.encode().map_err(|e| Error::Internal(e.to_string()))?;
    server.sign_profile(&plain)
}
