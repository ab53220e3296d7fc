//! Reading the profiles that a server sends: the enrolment profile and those it installs.

use openssl::cms::{CMSOptions, CmsContentInfo};
use plist::{Dictionary, Value};

use crate::error::{Error, Result};

const WHAT: &str = "profile";

/// What of an enrolment profile a device acts on.
#[derive(Debug, Clone)]
pub struct EnrolmentProfile {
    /// Whether it came in a CMS signature; its chain is not judged.
    pub signed: bool,
    /// PayloadIdentifier of the whole: who is told to remove this unenrols.
    pub identifier: String,
    /// PayloadUUID of the whole.
    pub uuid: String,
    /// How to get a certificate.
    pub scep: Scep,
    /// Polls go here.
    pub server_url: String,
    /// Check-ins go here.
    pub check_in_url: String,
    /// The push topic.
    pub topic: String,
    /// Sum of rights; 8 is the right to erase.
    pub access_rights: u64,
    /// Whether requests carry `Mdm-Signature`.
    pub sign_message: bool,
    /// Whether leaving is announced.
    pub check_out: bool,
    /// The profile as it came, signature off.
    pub content: Dictionary,
}

/// The payload com.apple.security.scep.
#[derive(Debug, Clone)]
pub struct Scep {
    /// Of the SCEP service.
    pub url: String,
    /// Attribute and value, in order.
    pub subject: Vec<(String, String)>,
    /// One use.
    pub challenge: Option<String>,
    /// RSA key size.
    pub bits: u32,
}

/// A profile's plist, out of its signature if it has one.
pub(crate) fn open(bytes: &[u8]) -> Result<(bool, Dictionary)> {
    let signed = bytes.first() == Some(&0x30);
    let mut content = Vec::new();
    if signed {
        let mut cms = CmsContentInfo::from_der(bytes)?;
        let flags = CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::BINARY;
        cms.verify(None, None, None, Some(&mut content), flags)?;
    } else {
        content.extend_from_slice(bytes);
    }
    match Value::from_reader(std::io::Cursor::new(content))? {
        Value::Dictionary(d) if text(&d, "PayloadType")? == "Configuration" => Ok((signed, d)),
        _ => Err(Error::malformed(WHAT, "not a dictionary of PayloadType Configuration")),
    }
}

/// Whether it is an enrolment profile.
pub(crate) fn is_enrolment(profile: &Dictionary) -> bool {
    payload(profile, "com.apple.mdm").is_some()
}

/// The first payload of a type.
pub(crate) fn payload<'a>(profile: &'a Dictionary, kind: &str) -> Option<&'a Dictionary> {
    let all = profile.get("PayloadContent").and_then(Value::as_array)?;
    all.iter().filter_map(Value::as_dictionary).find(|p| p.get("PayloadType").and_then(Value::as_string) == Some(kind))
}

/// A text that must be there.
pub(crate) fn text(dict: &Dictionary, key: &'static str) -> Result<String> {
    let found = dict.get(key).and_then(Value::as_string).filter(|s| !s.is_empty());
    found.map(str::to_owned).ok_or_else(|| Error::malformed(WHAT, format!("no {key}")))
}

fn flag(dict: &Dictionary, key: &str) -> bool {
    dict.get(key).and_then(Value::as_boolean).unwrap_or(false)
}

impl EnrolmentProfile {
    /// Reads one, as strictly as iOS does where the two systems differ.
    pub fn read(bytes: &[u8]) -> Result<EnrolmentProfile> {
        let (signed, content) = open(bytes)?;
        let missing = |what: &str| Error::malformed(WHAT, format!("no payload {what}"));
        let mdm = payload(&content, "com.apple.mdm").ok_or_else(|| missing("com.apple.mdm"))?;
        let scep = payload(&content, "com.apple.security.scep").ok_or_else(|| missing("com.apple.security.scep"))?;
        if text(mdm, "IdentityCertificateUUID")? != text(scep, "PayloadUUID")? {
            return Err(Error::malformed(WHAT, "IdentityCertificateUUID names no payload"));
        }
        let server_url = text(mdm, "ServerURL")?;
        let access_rights = mdm.get("AccessRights").and_then(Value::as_unsigned_integer).unwrap_or(0);
        if access_rights == 0 || access_rights & 3 == 2 || access_rights & 192 == 128 {
            return Err(Error::malformed(WHAT, format!("AccessRights {access_rights}")));
        }
        Ok(EnrolmentProfile {
            signed,
            identifier: text(&content, "PayloadIdentifier")?,
            uuid: text(&content, "PayloadUUID")?,
            scep: Scep::read(scep)?,
            check_in_url: text(mdm, "CheckInURL").unwrap_or_else(|_| server_url.clone()),
            server_url,
            topic: text(mdm, "Topic")?,
            access_rights,
            sign_message: flag(mdm, "SignMessage"),
            check_out: flag(mdm, "CheckOutWhenRemoved"),
            content,
        })
    }

    /// What a device lets an update of its enrolment profile change: no address, no topic, and rights only to fewer.
    pub(crate) fn may_replace(&self, old: &EnrolmentProfile) -> Result<()> {
        let same = self.identifier == old.identifier
            && self.topic == old.topic
            && self.server_url == old.server_url
            && self.check_in_url == old.check_in_url;
        let fewer = self.access_rights & !old.access_rights == 0;
        if same && fewer { Ok(()) } else { Err(Error::malformed(WHAT, "changes what must stay over an update")) }
    }
}

impl Scep {
    fn read(payload: &Dictionary) -> Result<Scep> {
        let inner = payload.get("PayloadContent").and_then(Value::as_dictionary);
        let inner = inner.ok_or_else(|| Error::malformed(WHAT, "SCEP keys are not in a nested PayloadContent"))?;
        if inner.get("Key Type").and_then(Value::as_string).is_some_and(|t| t != "RSA") {
            return Err(Error::malformed(WHAT, "SCEP key that is not RSA"));
        }
        let bits = inner.get("Keysize").and_then(Value::as_unsigned_integer).unwrap_or(2048);
        Ok(Scep {
            url: text(inner, "URL")?,
            subject: subject(inner.get("Subject"))?,
            challenge: inner.get("Challenge").and_then(Value::as_string).map(str::to_owned),
            bits: u32::try_from(bits).unwrap_or(2048).clamp(1024, 4096),
        })
    }
}

/// An array of sets, each an array of pairs: `[[["O", "x"]], [["CN", "y"]]]`. macOS forgives other nestings, iOS does not.
fn subject(value: Option<&Value>) -> Result<Vec<(String, String)>> {
    let bad = || Error::malformed(WHAT, "Subject is not an array of arrays of pairs");
    let mut out = Vec::new();
    for set in value.and_then(Value::as_array).into_iter().flatten() {
        for pair in set.as_array().ok_or_else(bad)? {
            match pair.as_array().map(Vec::as_slice).ok_or_else(bad)? {
                [Value::String(kind), Value::String(value)] => out.push((kind.clone(), value.clone())),
                _ => return Err(bad()),
            }
        }
    }
    Ok(out)
}
