//! Profiles that administrators bring along: checked before they are sent. What was checked is what should be sent,
//! hence [`RawProfile::encode`] writes it anew: readers differ in what they make of odd input.

use crate::{
    error::{Error, cut},
    plist::{self, Dict, Value},
};

/// Wrong passcodes after which a device may erase itself, at the least. Three happen in a pocket.
pub const LEAST_FAILED_ATTEMPTS: i64 = 4;

/// It would move a device to another server, or end our enrolment where it is removed.
const MDM: &str = "com.apple.mdm";
/// Declarations in JSON, which nobody here looks into; devices do not take them from a server in this form.
const DECLARATIONS: &str = "com.apple.declarations";

/// A profile that may be sent.
#[derive(Clone, PartialEq)]
pub struct RawProfile {
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID as it stands there.
    pub uuid: String,
    /// PayloadDisplayName.
    pub display_name: Option<String>,
    /// PayloadType of its payloads, in order.
    pub payload_types: Vec<String>,
    /// The least maxFailedAttempts in it: so many wrong passcodes erase an iPhone.
    pub max_failed_attempts: Option<i64>,
    body: Dict,
}

/// Not the body: it may hold passwords.
impl std::fmt::Debug for RawProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawProfile")
            .field("identifier", &self.identifier)
            .field("uuid", &self.uuid)
            .field("payload_types", &self.payload_types)
            .finish_non_exhaustive()
    }
}

/// Checks a profile, XML or binary; a signed one must be unwrapped first. Refused are: the payload com.apple.mdm at
/// any depth, in data inside too; com.apple.declarations; profiles that fetch others (OTA's `Profile Service`); encrypted ones, since nothing
/// in them can be checked; and a maxFailedAttempts under [`LEAST_FAILED_ATTEMPTS`].
pub fn inspect_raw(bytes: &[u8]) -> Result<RawProfile, Error> {
    let body = plist::parse_dict(bytes)?;
    match body.need_text("PayloadType")? {
        "Configuration" => {}
        other => return Err(Error::ForbiddenPayload { payload_type: cut(other) }),
    }
    if body.flag("IsEncrypted")? || body.get("EncryptedPayloadContent").is_some() {
        return Err(Error::Encrypted);
    }
    let mut payload_types = Vec::new();
    let content = body.get("PayloadContent").ok_or(Error::Missing { field: "PayloadContent" })?;
    let wrong = Error::WrongType { field: "PayloadContent", want: "an array of dictionaries" };
    for payload in content.as_array().ok_or_else(|| wrong.clone())? {
        let payload = payload.as_dict().ok_or_else(|| wrong.clone())?;
        payload_types.push(payload.need_text("PayloadType")?.to_owned());
    }
    let mut search = Search { max_failed: None };
    search.dict(&body, 0)?;
    Ok(RawProfile {
        identifier: body.need_text("PayloadIdentifier")?.to_owned(),
        uuid: body.need_text("PayloadUUID")?.to_owned(),
        display_name: body.opt_text("PayloadDisplayName")?.map(str::to_owned),
        payload_types,
        max_failed_attempts: search.max_failed,
        body,
    })
}

impl RawProfile {
    /// The profile as it was understood.
    pub fn encode(&self) -> Vec<u8> {
        Value::Dict(self.body.clone()).to_xml()
    }
}

/// A walk through all values for what is refused.
struct Search {
    max_failed: Option<i64>,
}

/// Property lists in data in property lists that are looked into.
const MAX_WRAPS: usize = 4;

impl Search {
    fn dict(&mut self, dict: &Dict, wraps: usize) -> Result<(), Error> {
        for (key, value) in dict.iter() {
            match (key, value) {
                ("PayloadType", Value::Text(name)) if is_refused(name) => {
                    return Err(Error::ForbiddenPayload { payload_type: cut(name) });
                }
                // A domain in a custom settings payload, where the key is the payload's type.
                _ if is_refused(key) => return Err(Error::ForbiddenPayload { payload_type: cut(key) }),
                ("maxFailedAttempts", value) => self.attempts(value)?,
                _ => {}
            }
            self.value(value, wraps)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, wraps: usize) -> Result<(), Error> {
        match value {
            Value::Dict(dict) => self.dict(dict, wraps),
            Value::Array(values) => values.iter().try_for_each(|value| self.value(value, wraps)),
            Value::Data(data) => self.data(data, wraps),
            _ => Ok(()),
        }
    }

    fn attempts(&mut self, value: &Value) -> Result<(), Error> {
        let wrong = Error::WrongType { field: "maxFailedAttempts", want: "an integer" };
        let got = value.as_int().ok_or(wrong)?;
        if got < LEAST_FAILED_ATTEMPTS {
            return Err(Error::FailedAttempts { got, least: LEAST_FAILED_ATTEMPTS });
        }
        self.max_failed = Some(self.max_failed.map_or(got, |least| least.min(got)));
        Ok(())
    }

    /// A profile in data may be plain or signed: a signed one has its text in one piece, as signers write it.
    fn data(&mut self, data: &[u8], wraps: usize) -> Result<(), Error> {
        if wraps < MAX_WRAPS
            && let Ok(inner) = plist::parse(data)
        {
            return self.value(&inner, wraps + 1);
        }
        // Without zeros, so that a name in UTF-16 is found as well.
        let text: Vec<u8> = data.iter().filter(|&&byte| byte != 0).map(u8::to_ascii_lowercase).collect();
        if text.windows(MDM.len()).any(|window| window == MDM.as_bytes()) {
            return Err(Error::ForbiddenPayload { payload_type: MDM.to_owned() });
        }
        Ok(())
    }
}

fn is_refused(name: &str) -> bool {
    [MDM, DECLARATIONS].iter().any(|refused| name.trim().eq_ignore_ascii_case(refused))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(payloads: Vec<Dict>) -> Dict {
        Dict::new()
            .with("PayloadType", "Configuration")
            .with("PayloadIdentifier", "com.example.wifi")
            .with("PayloadUUID", "U1")
            .with("PayloadContent", payloads)
    }

    fn payload(payload_type: &str) -> Dict {
        Dict::new().with("PayloadType", payload_type)
    }

    fn inspect(dict: Dict) -> Result<RawProfile, Error> {
        inspect_raw(&dict.to_xml())
    }

    #[test]
    fn a_harmless_profile_passes_and_stays_the_same() {
        let dict = profile(vec![payload("com.apple.wifi.managed").with("SSID_STR", "Example")]);
        let raw = inspect(dict.clone()).unwrap();
        assert_eq!(raw.identifier, "com.example.wifi");
        assert_eq!(raw.payload_types, ["com.apple.wifi.managed"]);
        assert_eq!(raw.encode(), dict.to_xml());
        assert!(!format!("{raw:?}").contains("SSID"));
    }

    #[test]
    fn the_mdm_payload_is_refused_wherever_it_hides() {
        let mdm = || payload("com.apple.mdm");
        let inner = || profile(vec![mdm()]).to_xml();
        let signed = [&[0x30, 0x82, 0x01, 0x00][..], &inner(), &[0xff]].concat();
        for (row, dict) in [
            ("plain", profile(vec![mdm()])),
            (
                "in UTF-16",
                profile(vec![
                    payload("a")
                        .with("b", "?com.apple.mdm".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>()),
                ]),
            ),
            ("declarations", profile(vec![payload("com.apple.declarations")])),
            ("second", profile(vec![payload("com.apple.wifi.managed"), mdm()])),
            ("other case", profile(vec![payload("com.apple.MDM")])),
            ("spaces", profile(vec![payload(" com.apple.mdm\n")])),
            ("nested", profile(vec![payload("a").with("b", vec![mdm()])])),
            ("as a domain", profile(vec![payload("a").with("com.apple.mdm", Dict::new())])),
            ("profile in data", profile(vec![payload("a").with("b", inner())])),
            ("signed profile in data", profile(vec![payload("a").with("b", signed)])),
            (
                "twice wrapped",
                profile(vec![payload("a").with("b", profile(vec![payload("a").with("b", inner())]).to_xml())]),
            ),
        ] {
            assert!(matches!(inspect(dict.clone()), Err(Error::ForbiddenPayload { .. })), "{row}");
        }
        let hidden = "<plist><dict><key>PayloadType</key><string>Configuration</string>\
             <key>PayloadIdentifier</key><string>a</string><key>PayloadUUID</key><string>a</string>\
             <key>PayloadContent</key><array><dict><key>PayloadType</key>\
             <string>com.apple.<![CDATA[mdm]]></string></dict></array></dict></plist>";
        assert!(matches!(inspect_raw(hidden.as_bytes()), Err(Error::ForbiddenPayload { .. })));
        assert!(inspect(profile(vec![payload("com.apple.mdm.cousin").with("b", &b"com.apple.md"[..])])).is_ok());
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        assert_eq!(inspect(profile(vec![]).with("IsEncrypted", true)), Err(Error::Encrypted));
        assert_eq!(inspect(profile(vec![]).with("EncryptedPayloadContent", &b"x"[..])), Err(Error::Encrypted));
        let service = profile(vec![]).with("PayloadType", "Profile Service");
        assert!(matches!(inspect(service), Err(Error::ForbiddenPayload { .. })));
        assert!(inspect(profile(vec![]).with("PayloadContent", Dict::new())).is_err());
        assert!(inspect(profile(vec![Dict::new()])).is_err());
    }

    #[test]
    fn few_wrong_passcodes_must_not_erase() {
        let passcode = |most: i64| {
            inspect(profile(vec![payload("com.apple.mobiledevice.passwordpolicy").with("maxFailedAttempts", most)]))
        };
        assert_eq!(passcode(3), Err(Error::FailedAttempts { got: 3, least: 4 }));
        assert_eq!(passcode(4).unwrap().max_failed_attempts, Some(4));
        let text = profile(vec![payload("a").with("maxFailedAttempts", "2")]);
        assert!(inspect(text).is_err(), "a number as text is not let through unread");
    }

    proptest! {
        #[test]
        fn no_profile_panics(value in crate::plist::tests::any_value()) {
            let _ = inspect(profile(vec![payload("a").with("b", value)]));
        }
    }
}
