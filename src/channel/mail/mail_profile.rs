//! What an iPhone or iPad gets from an invitation for mail: the account, and a certificate of its own by SCEP.

use crate::{
    channel::invitations::scep,
    error::{Error, Result},
    fleet::enrol::invitation::Invitation,
    server::Server,
};
use lanyard_apple::profile::{MailProfile, ProfileMeta};

/// The mail profile's PayloadIdentifier: devices keep it for ever.
pub(in crate::channel) const IDENTIFIER: &str = "org.lanyard.mail";

/// The profile, signed. `key` is the secret in the invitation's url; `domain` is the one of names that say none (`eas.domain`).
pub(in crate::channel) fn signed_profile(
    server: &Server,
    invitation: &Invitation,
    key: &str,
    domain: Option<&str>,
) -> Result<Vec<u8>> {
    let email = match domain {
        Some(domain) if !invitation.user.contains('@') => format!("{}@{domain}", invitation.user),
        _ => invitation.user.clone(),
    };
    let url = &server.public_url;
    let profile = MailProfile {
        meta: ProfileMeta {
            identifier: IDENTIFIER.into(),
            uuid: invitation.enrolment.0,
            display_name: "Mail".into(),
            description: Some(description(server).into()),
            organisation: None,
        },
        host: url.strip_prefix("https://").unwrap_or(url).into(),
        username: email.clone(),
        email,
        scep: Some(scep(server, invitation, key)),
        root: server.own_tls.then(|| server.authority.root_der().to_vec()),
    };
    let plain = profile.encode().map_err(|e| match e {
        lanyard_apple::Error::BadValue { .. } => {
            Error::refused("no_address", "This invitation's user is no mail address. Ask for one that names it.")
        }
        other => Error::Internal(other.to_string()),
    })?;
    server.sign_profile(&plain)
}

/// What people read before they install it.
fn description(server: &Server) -> &'static str {
    match server.eas_signon {
        Some(_) => {
            "Your organisation's mail on this device. It needs no password: where you are asked for one, leave it empty."
        }
        None => "Your organisation's mail on this device.",
    }
}
