//! Discover: where and how to enrol. [MS-MDE2] 3.1.

use std::fmt;
use std::str::FromStr;

use super::DISCOVERY;
use super::request::need;
use super::soap::envelope;
use crate::Error;
use crate::xml::Element;

/// A version of the enrolment protocol, as `5.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the point.
    pub major: u8,
    /// After it.
    pub minor: u8,
}

impl Version {
    /// Windows 10 and later; all that enrolment without attestation needs.
    pub const V3: Version = Version { major: 3, minor: 0 };
    /// With key attestation.
    pub const V5: Version = Version { major: 5, minor: 0 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Version, Error> {
        let bad = Error::Value { element: "RequestVersion", reason: "not a version such as 3.0" };
        let (major, minor) = text.split_once('.').ok_or_else(|| bad.clone())?;
        let part = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| bad.clone()),
            false => Err(bad.clone()),
        };
        Ok(Version { major: part(major)?, minor: part(minor)? })
    }
}

/// How the user proves who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthPolicy {
    /// User name and password in the request itself.
    OnPremise,
    /// A web page of ours, whose result is sent along.
    Federated,
    /// A certificate.
    Certificate,
}

impl AuthPolicy {
    const ALL: [AuthPolicy; 3] = [AuthPolicy::OnPremise, AuthPolicy::Federated, AuthPolicy::Certificate];

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            AuthPolicy::OnPremise => "OnPremise",
            AuthPolicy::Federated => "Federated",
            AuthPolicy::Certificate => "Certificate",
        }
    }
}

/// The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discover {
    /// May be empty, or `domain\user`.
    pub email_address: String,
    /// The newest that the device speaks.
    pub request_version: Version,
    /// `CIMClient_Windows`, `WindowsPhone`.
    pub device_type: Option<String>,
    /// Version of the enrolment client.
    pub application_version: Option<String>,
    /// Product type, in decimal.
    pub os_edition: Option<u32>,
    /// What the device offers; unknown ones are left out. Empty from devices before Windows 10.
    pub auth_policies: Vec<AuthPolicy>,
}

impl Discover {
    pub(super) fn from_tree(element: &Element<'_>) -> Result<Discover, Error> {
        let request = need(element, "Discover", "request")?;
        let text = |name| request.child_text(name).map(str::to_owned);
        let offered = request.child("AuthPolicies").map(|list| list.children.as_slice()).unwrap_or_default();
        let known = |policy: &Element<'_>| {
            AuthPolicy::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(policy.trimmed()))
        };
        Ok(Discover {
            email_address: text("EmailAddress").unwrap_or_default(),
            request_version: request
                .child_text("RequestVersion")
                .ok_or(Error::Missing { within: "Discover", element: "RequestVersion" })?
                .parse()?,
            device_type: text("DeviceType"),
            application_version: text("ApplicationVersion"),
            os_edition: request.child_text("OSEdition").and_then(|text| text.parse().ok()),
            auth_policies: offered.iter().filter_map(known).take(AuthPolicy::ALL.len()).collect(),
        })
    }

    /// Whether the device can enrol in this way. One that offers nothing knows user name and password alone.
    pub fn offers(&self, policy: AuthPolicy) -> bool {
        self.auth_policies.contains(&policy) || self.auth_policies.is_empty() && policy == AuthPolicy::OnPremise
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoverResponse<'a> {
    /// MessageID of the request.
    pub relates_to: &'a str,
    /// One that the device offers.
    pub auth_policy: AuthPolicy,
    /// Not above the version asked for: see [`DiscoverResponse::version_for`].
    pub version: Version,
    /// Where GetPolicies goes; the same host as the next.
    pub policy_url: &'a str,
    /// Where RequestSecurityToken goes.
    pub enrolment_url: &'a str,
    /// The sign-on page, https; for Federated alone.
    pub authentication_url: Option<&'a str>,
}

impl DiscoverResponse<'_> {
    /// 3.0, or less where the device asks for less.
    pub fn version_for(requested: Version) -> Version {
        requested.min(Version::V3)
    }

    /// The envelope.
    pub fn encode(&self) -> String {
        let action = format!("{DISCOVERY}/IDiscoveryService/DiscoverResponse");
        envelope(
            &action,
            Some(self.relates_to),
            |_| {},
            |out| {
                out.open(&format!("DiscoverResponse xmlns=\"{DISCOVERY}\"")).open("DiscoverResult");
                out.leaf("AuthPolicy", self.auth_policy.as_str());
                out.leaf("EnrollmentVersion", &self.version.to_string());
                out.leaf("EnrollmentPolicyServiceUrl", self.policy_url);
                out.leaf("EnrollmentServiceUrl", self.enrolment_url);
                if let Some(url) = self.authentication_url {
                    out.leaf("AuthenticationServiceUrl", url);
                }
                out.close("DiscoverResult").close("DiscoverResponse");
            },
        )
    }
}
