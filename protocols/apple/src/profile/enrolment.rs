//! The enrolment profile: the payload com.apple.mdm, the identity it refers to, and our CA where the server's
//! certificate is of our own making.

use super::{ProfileMeta, Scep, need_https, written};
use crate::{error::Error, plist::Value, support::AccessRights};

/// What makes a device ours. On an update Topic and URLs must not change, rights may only shrink, and per-user
/// connections may neither come nor go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentProfile {
    /// Its names. RemoveProfile with this identifier ends the enrolment.
    pub meta: ProfileMeta,
    /// `com.apple.mgmt.…`: the UID in our push certificate.
    pub topic: String,
    /// Where the device checks in and polls; stands in CheckInURL as well, since mdmb v0.1.0 looks there only.
    pub server_url: String,
    /// How it gets its identity.
    pub scep: Scep,
    /// What we may do.
    pub rights: AccessRights,
    /// Ask for the header Mdm-Signature: needed where TLS ends elsewhere; costs each poll an RSA signature.
    pub sign_message: bool,
    /// What the server can do besides.
    pub capabilities: Vec<Capability>,
    /// None leaves it to the device.
    pub scope: Option<Scope>,
    /// Our CA, DER, where the device would not trust the server without.
    pub root: Option<Vec<u8>>,
}

/// ServerCapabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Channels for users. A must for Macs and Shared iPads.
    PerUserConnections,
    /// Escrow of bootstrap tokens (macOS 11, iOS 26).
    BootstrapToken,
    /// The check-in GetToken.
    Token,
}

/// PayloadScope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// For the machine.
    System,
    /// For the user who installs it: without it a Mac enrolled by hand gives that user no channel. Such a profile
    /// cannot be sent over the device channel again.
    User,
}

impl EnrolmentProfile {
    /// What a Mac needs.
    pub const MAC_CAPABILITIES: [Capability; 2] = [Capability::PerUserConnections, Capability::BootstrapToken];

    /// The profile, unsigned.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        need_https("ServerURL", &self.server_url)?;
        if !self.topic.starts_with("com.apple.mgmt.") {
            return Err(Error::BadValue { field: "Topic", why: "does not begin with com.apple.mgmt." });
        }
        let capabilities: Vec<Value> = self.capabilities.iter().map(|one| one.name().into()).collect();
        let mdm = self
            .meta
            .payload("com.apple.mdm", "mdm", "Device management")
            .with("IdentityCertificateUUID", written(self.meta.payload_uuid("scep")))
            .with("Topic", self.topic.as_str())
            .with("ServerURL", self.server_url.as_str())
            .with("CheckInURL", self.server_url.as_str())
            .with("SignMessage", self.sign_message)
            .with("AccessRights", self.rights.bits())
            .with("CheckOutWhenRemoved", true)
            .with_opt("ServerCapabilities", Some(capabilities).filter(|names| !names.is_empty()));
        // The CA first: the device installs payloads in order and asks the SCEP server next.
        let root = self.root.as_deref().map(|der| self.meta.root_payload(der));
        let payloads = root.into_iter().chain([self.scep.payload(&self.meta)?, mdm]).collect();
        let scope = self.scope.map(|scope| if scope == Scope::User { "User" } else { "System" });
        Ok(self.meta.profile(payloads)?.with_opt("PayloadScope", scope).to_xml())
    }
}

impl Capability {
    fn name(self) -> &'static str {
        match self {
            Self::PerUserConnections => "com.apple.mdm.per-user-connections",
            Self::BootstrapToken => "com.apple.mdm.bootstraptoken",
            Self::Token => "com.apple.mdm.token",
        }
    }
}
