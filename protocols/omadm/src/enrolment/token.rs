//! RequestSecurityToken: the certificate request with what the device says of itself, and the provisioning document in
//! return. [MS-MDE2] 3.4 to 3.6, [MS-WSTEP].

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::request::{base64_text, need};
use super::soap::envelope;
use super::{CONFIGURATION, ENROLMENT, SECURITY, TRUST, UTILITY};
use crate::Error;
use crate::xml::Element;

/// Longest value of a context item that is kept, in bytes; attestation claims are the longest seen (1.6 kB).
const MAX_CONTEXT_VALUE: usize = 16 * 1024;

/// Which certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRequestKind {
    /// The first of an enrolment.
    Issue,
    /// A new one, over TLS with the old.
    Renew,
    /// A lost one; we do not offer it.
    Recovery,
}

/// The request for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// PKCS#10 in DER, as sent: Windows 10 bends the rules of DER, so read it leniently.
    Pkcs10(Vec<u8>),
    /// CMS SignedData by the old key around a PKCS#10, for renewal.
    Pkcs7(Vec<u8>),
}

/// The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityTokenRequest {
    /// What for.
    pub kind: TokenRequestKind,
    /// The certificate request.
    pub identity: Identity,
    /// What the device says of itself. All of it is a claim.
    pub context: DeviceContext,
}

impl SecurityTokenRequest {
    pub(super) fn from_tree(element: &Element<'_>) -> Result<SecurityTokenRequest, Error> {
        const HERE: &str = "RequestSecurityToken";
        let missing = |name| Error::Missing { within: HERE, element: name };
        let request_type = element.child_text("RequestType").ok_or_else(|| missing("RequestType"))?;
        let kind = match request_type.rsplit('/').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "issue" => TokenRequestKind::Issue,
            "renew" => TokenRequestKind::Renew,
            "recovery" => TokenRequestKind::Recovery,
            _ => return Err(Error::Value { element: "RequestType", reason: "not Issue, Renew or Recovery" }),
        };
        let token = need(element, HERE, "BinarySecurityToken")?;
        let bytes = base64_text(token, "BinarySecurityToken")?;
        let value_type = token.attribute("ValueType").unwrap_or_default().trim();
        let identity = match value_type.rsplit('#').next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "PKCS10" => Identity::Pkcs10(bytes),
            "PKCS7" => Identity::Pkcs7(bytes),
            _ => return Err(Error::Value { element: "ValueType", reason: "not PKCS10 or PKCS7" }),
        };
        let context = element.child("AdditionalContext").map(DeviceContext::from_tree).unwrap_or_default();
        Ok(SecurityTokenRequest { kind, identity, context })
    }
}

/// For whom the device enrols; says which certificate store the answer fills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EnrolmentType {
    /// For a user: My/User.
    #[default]
    Full,
    /// For the device alone: My/System.
    Device,
}

/// The context items, the known ones by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceContext {
    /// What the device calls itself in DM sessions, 32 hex digits. With the certificate, the key of the enrolment.
    pub device_id: Option<String>,
    /// Hash over the hardware; clones of a virtual machine share it.
    pub hw_dev_id: Option<String>,
    /// The computer's name.
    pub device_name: Option<String>,
    /// `CIMClient_Windows`, `WindowsPhone`.
    pub device_type: Option<String>,
    /// Full where the device says nothing else.
    pub enrolment_type: EnrolmentType,
    /// Product type, in decimal.
    pub os_edition: Option<u32>,
    /// As `10.0.26200.9278`.
    pub os_version: Option<String>,
    /// Version of the enrolment client.
    pub application_version: Option<String>,
    /// As `en-US`.
    pub locale: Option<String>,
    /// Maker, from the firmware.
    pub manufacturer: Option<String>,
    /// Model, from the firmware.
    pub model: Option<String>,
    /// Serial number, from the firmware.
    pub serial: Option<String>,
    /// Network addresses; a dozen is usual.
    pub macs: Vec<String>,
    /// Of the modems.
    pub imeis: Vec<String>,
    /// Somebody is logged in, and enrolling.
    pub targeted_user_logged_in: Option<bool>,
    /// Started in the settings, not by policy.
    pub ux_initiated: Option<bool>,
    /// After the first setup.
    pub not_in_oobe: Option<bool>,
    /// Windows domain.
    pub domain_name: Option<String>,
    /// The newest protocol version the device speaks.
    pub request_version: Option<String>,
    /// Everything else, by name; each value of a repeated one.
    pub others: BTreeMap<String, Vec<String>>,
}

impl DeviceContext {
    fn from_tree(element: &Element<'_>) -> DeviceContext {
        let mut context = DeviceContext::default();
        for item in element.children.iter().filter(|child| child.name == "ContextItem") {
            let Some(name) = item.attribute("Name") else { continue };
            let value = item.child_text("Value").unwrap_or_default();
            if value.len() <= MAX_CONTEXT_VALUE {
                context.note(name.trim(), value);
            }
        }
        context
    }

    /// Of items that should not repeat the first counts.
    fn note(&mut self, name: &str, value: &str) {
        let slot = match name {
            "DeviceID" => &mut self.device_id,
            "HWDevID" => &mut self.hw_dev_id,
            "DeviceName" => &mut self.device_name,
            "DeviceType" => &mut self.device_type,
            "OSVersion" => &mut self.os_version,
            "ApplicationVersion" => &mut self.application_version,
            "Locale" => &mut self.locale,
            "Manufacturer" => &mut self.manufacturer,
            "DeviceModel" => &mut self.model,
            "SerialNumber" => &mut self.serial,
            "DomainName" => &mut self.domain_name,
            "RequestVersion" => &mut self.request_version,
            _ => return self.note_other(name, value),
        };
        if slot.is_none() && !value.is_empty() {
            *slot = Some(value.to_owned());
        }
    }

    fn note_other(&mut self, name: &str, value: &str) {
        let truth = value.eq_ignore_ascii_case("true");
        match name {
            "MAC" => self.macs.push(value.to_owned()),
            "IMEI" => self.imeis.push(value.to_owned()),
            "TargetedUserLoggedIn" => self.targeted_user_logged_in = Some(truth),
            "UXInitiated" => self.ux_initiated = Some(truth),
            "NotInOobe" => self.not_in_oobe = Some(truth),
            "OSEdition" => self.os_edition = self.os_edition.or(value.parse().ok()),
            "EnrollmentType" if value.eq_ignore_ascii_case("Device") => self.enrolment_type = EnrolmentType::Device,
            "EnrollmentType" => {}
            _ => self.others.entry(name.to_owned()).or_default().push(value.to_owned()),
        }
    }
}

/// The answer: the provisioning document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityTokenResponse<'a> {
    /// MessageID of the request.
    pub relates_to: &'a str,
    /// Now, as RFC 3339 in UTC.
    pub created: &'a str,
    /// A few minutes later.
    pub expires: &'a str,
    /// The wap-provisioningdoc.
    pub document: &'a str,
}

impl SecurityTokenResponse<'_> {
    /// The envelope.
    pub fn encode(&self) -> String {
        let action = format!("{ENROLMENT}/RSTRC/wstep");
        let header = |out: &mut super::soap::Writer| {
            out.open(&format!("o:Security s:mustUnderstand=\"1\" xmlns:o=\"{SECURITY}\" xmlns:u=\"{UTILITY}\""));
            out.open("u:Timestamp u:Id=\"_0\"").leaf("u:Created", self.created).leaf("u:Expires", self.expires);
            out.close("u:Timestamp").close("o:Security");
        };
        envelope(&action, Some(self.relates_to), header, |out| {
            out.open(&format!("RequestSecurityTokenResponseCollection xmlns=\"{TRUST}\""));
            out.open("RequestSecurityTokenResponse");
            out.leaf("TokenType", &format!("{CONFIGURATION}/DeviceEnrollmentToken"));
            out.leaf(&format!("DispositionMessage xmlns=\"{ENROLMENT}\""), "");
            out.open("RequestedSecurityToken");
            let value_type = format!("{CONFIGURATION}/DeviceEnrollmentProvisionDoc");
            let head = format!(
                "BinarySecurityToken ValueType=\"{value_type}\" EncodingType=\"{SECURITY}#base64binary\" xmlns=\"{SECURITY}\""
            );
            out.leaf(&head, &STANDARD.encode(self.document)).close("RequestedSecurityToken");
            out.leaf(&format!("RequestID xmlns=\"{ENROLMENT}\""), "0");
            out.close("RequestSecurityTokenResponse").close("RequestSecurityTokenResponseCollection");
        })
    }
}
