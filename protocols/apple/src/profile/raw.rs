//! Profiles that administrators bring along: checked before they are sent. What was checked is what should be sent,
//! hence [`RawProfile::encode`] writes it anew: readers differ in what they make of odd input.

use super::policy::PASSCODE;
use crate::{
    error::{Error, cut},
    plist::{self, Dict, MAX_DEPTH, Value},
};

/// Wrong passcodes after which a device may erase itself, at the least. Three happen in a pocket.
pub const LEAST_FAILED_ATTEMPTS: i64 = 4;

/// A profile with such an account is refused: [MS-ASPROV] 2.2.2.54 lets its server have the whole device erased.
pub const EXCHANGE_ACCOUNT: &str = "com.apple.eas.account";

/// Payloads that are, or carry, commands. In a custom settings payload the type stands as a domain, which is a key.
const REFUSED_TYPES: [(&str, &str); 4] = [
    ("com.apple.mdm", "it would enrol the device elsewhere or end this enrolment"),
    // In JSON, which nobody here looks into; devices do not take them from a server in this form.
    ("com.apple.declarations", "what it declares cannot be checked"),
    (EXCHANGE_ACCOUNT, "its mail server could erase the device"),
    ("com.apple.mcxloginscripts", "it runs programs"),
];

/// Keys that erase or run something, in whatever payload they stand.
const REFUSED_KEYS: [(&str, &str); 3] = [
    ("cachedaccounts.expiry.delete.disusedseconds", "it deletes home folders"),
    ("loginhook", "it runs programs"),
    ("logouthook", "it runs programs"),
];

/// A profile that may be sent.
#[derive(Clone, PartialEq)]
pub struct RawProfile {
    /// PayloadIdentifier.
    pub identifier: String,
    /// The least maxFailedAttempts in it: so many wrong passcodes erase an iPhone.
    pub max_failed_attempts: Option<i64>,
    /// Whether it has rules for the passcode, in whatever payload of it.
    pub passcode: bool,
    body: Dict,
}

/// Not the body: it may hold passwords.
impl std::fmt::Debug for RawProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawProfile").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

/// Checks a profile, XML or binary; a signed one must be unwrapped first. Refused are, at any depth and in profiles
/// that lie in data: payloads and keys that are commands, whatever the case of their letters; what is encrypted or
/// else cannot be read; and a maxFailedAttempts under [`LEAST_FAILED_ATTEMPTS`]. And profiles that fetch others (OTA's
/// `Profile Service`).
pub fn inspect_raw(bytes: &[u8]) -> Result<RawProfile, Error> {
    let body = plist::parse_dict(bytes)?;
    let identifier = check_outer(&body)?.to_owned();
    let mut search = Search { max_failed: None, passcode: false };
    search.dict(&body, MAX_DEPTH - 1)?;
    Ok(RawProfile { identifier, max_failed_attempts: search.max_failed, passcode: search.passcode, body })
}

impl RawProfile {
    /// The profile as it was understood.
    pub fn encode(&self) -> Vec<u8> {
        Value::Dict(self.body.clone()).to_xml()
    }
}

/// What every profile has. Gives its identifier.
fn check_outer(body: &Dict) -> Result<&str, Error> {
    match body.need_text("PayloadType")? {
        "Configuration" => {}
        other => {
            return Err(Error::ForbiddenPayload {
                payload_type: cut(other),
                why: "the outermost must be Configuration",
            });
        }
    }
    if body.flag("IsEncrypted")? || body.get("EncryptedPayloadContent").is_some() {
        return Err(Error::Encrypted);
    }
    let content = body.get("PayloadContent").ok_or(Error::Missing { field: "PayloadContent" })?;
    let wrong = Error::WrongType { field: "PayloadContent", want: "an array of payloads" };
    for payload in content.as_array().ok_or_else(|| wrong.clone())? {
        payload.as_dict().ok_or_else(|| wrong.clone())?.need_text("PayloadType")?;
    }
    body.opt_text("PayloadDisplayName")?;
    if body.need_text("PayloadUUID")?.is_empty() {
        return Err(Error::Missing { field: "PayloadUUID" });
    }
    body.need_text("PayloadIdentifier")
}

/// A walk through all values for what is refused. `levels` is how many more may lie inside each other, property lists
/// in data among them.
struct Search {
    max_failed: Option<i64>,
    passcode: bool,
}

impl Search {
    fn value(&mut self, value: &Value, levels: usize) -> Result<(), Error> {
        let levels = levels.checked_sub(1).ok_or(Error::TooDeep { limit: MAX_DEPTH })?;
        match value {
            Value::Dict(dict) => self.dict(dict, levels),
            Value::Array(values) => values.iter().try_for_each(|value| self.value(value, levels)),
            Value::Data(data) => self.data(data, levels),
            _ => Ok(()),
        }
    }

    fn dict(&mut self, dict: &Dict, levels: usize) -> Result<(), Error> {
        dict.iter().try_for_each(|(key, value)| {
            self.entry(key, value)?;
            self.value(value, levels)
        })
    }

    fn entry(&mut self, key: &str, value: &Value) -> Result<(), Error> {
        let folded = fold(key);
        refuse_any(|refused| refused == folded)?;
        match (folded.as_str(), value) {
            ("payloadtype", Value::Text(name)) => {
                let name = fold(name);
                self.passcode |= name == PASSCODE;
                refuse_type(|refused| refused == name)
            }
            ("encryptedpayloadcontent", _) | ("isencrypted", Value::Bool(true)) => Err(Error::Encrypted),
            ("maxfailedattempts", value) => self.attempts(value),
            _ => Ok(()),
        }
    }

    fn attempts(&mut self, value: &Value) -> Result<(), Error> {
        let wrong = Error::WrongType { field: "maxFailedAttempts", want: "a whole number from 4" };
        let got = value.as_int().ok_or(wrong)?;
        if got < LEAST_FAILED_ATTEMPTS {
            return Err(Error::FailedAttempts { got, least: LEAST_FAILED_ATTEMPTS });
        }
        self.max_failed = Some(self.max_failed.map_or(got, |least| least.min(got)));
        Ok(())
    }

    /// A profile in data may be plain or signed. Of a signed one, as of all that is no property list, the bytes are
    /// searched; where they hold one that cannot be read, a name could be spelt with entities or cut in two.
    fn data(&mut self, data: &[u8], levels: usize) -> Result<(), Error> {
        if let Ok(inner) = plist::parse(data) {
            return self.value(&inner, levels);
        }
        // Without zeros, so that a name in UTF-16 is found as well.
        let text: Vec<u8> = data.iter().filter(|&&byte| byte != 0).map(u8::to_ascii_lowercase).collect();
        let holds = |name: &str| text.windows(name.len()).any(|window| window == name.as_bytes());
        refuse_any(holds)?;
        if holds("<plist") { Err(Error::Unreadable) } else { Ok(()) }
    }
}

fn fold(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

fn refuse_type(is: impl Fn(&str) -> bool) -> Result<(), Error> {
    match REFUSED_TYPES.iter().find(|(name, _)| is(name)) {
        Some(&(name, why)) => Err(Error::ForbiddenPayload { payload_type: name.to_owned(), why }),
        None => Ok(()),
    }
}

fn refuse_any(is: impl Fn(&str) -> bool) -> Result<(), Error> {
    refuse_type(&is)?;
    match REFUSED_KEYS.iter().find(|(key, _)| is(key)) {
        Some(&(key, why)) => Err(Error::ForbiddenKey { key, why }),
        None => Ok(()),
    }
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
            ("as a domain of a custom settings payload", {
                let domains = Dict::new().with("com.apple.MDM", Dict::new().with("Forced", Vec::<Dict>::new()));
                profile(vec![payload("com.apple.ManagedClient.preferences").with("PayloadContent", domains)])
            }),
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
        assert!(inspect(profile(vec![]).with("PayloadUUID", "")).is_err());
        assert!(inspect(profile(vec![Dict::new()])).is_err());
    }

    #[test]
    fn what_erases_or_runs_something_is_refused_wherever_it_hides() {
        for (row, inner) in [
            ("a foreign mail server", payload("com.apple.eas.account")),
            ("login scripts", payload(" com.apple.MCXLoginScripts")),
            ("a hook", payload("a").with("LoginHook", "rm")),
            ("a hook in capitals", payload("a").with("LOGOUTHOOK ", "rm")),
            ("home folders", payload("a").with("cachedaccounts.expiry.delete.disusedSeconds", 1_u32)),
            ("encrypted", payload("a").with("isEncrypted", true)),
            ("few tries", payload("a").with("MAXFAILEDATTEMPTS", 3_u32)),
        ] {
            let wrapped = payload("a").with("b", profile(vec![inner.clone()]).to_xml());
            for dict in [inner.clone(), payload("a").with("b", vec![inner]), wrapped] {
                assert!(inspect(profile(vec![dict])).is_err(), "{row}");
            }
        }
    }

    #[test]
    fn a_profile_in_data_that_cannot_be_read_is_refused() {
        let within = |data: &str| inspect(profile(vec![payload("a").with("b", data.as_bytes())]));
        let twice = "<plist><dict><key>PayloadType</key><string>a</string>\
             <key>PayloadType</key><string>com.apple.&#109;dm</string></dict></plist>";
        assert_eq!(within(twice), Err(Error::Unreadable));
        assert!(within("<settings><a/></settings>").is_ok(), "XML of another kind is not Apple's to act on");
    }

    #[test]
    fn the_depth_is_bounded_through_data_too() {
        let wrap = |inner: Dict| Dict::new().with("a", inner.to_xml());
        let wrapped =
            |times| inspect(profile(vec![payload("a").with("b", (0..times).fold(Dict::new(), |d, _| wrap(d)))]));
        assert!(wrapped(3).is_ok());
        assert_eq!(wrapped(16), Err(Error::TooDeep { limit: MAX_DEPTH }));
    }

    #[test]
    fn few_wrong_passcodes_must_not_erase() {
        let passcode = |most: i64| {
            inspect(profile(vec![payload("com.apple.mobiledevice.passwordpolicy").with("maxFailedAttempts", most)]))
        };
        assert_eq!(passcode(3), Err(Error::FailedAttempts { got: 3, least: 4 }));
        assert_eq!(passcode(4).unwrap().max_failed_attempts, Some(4));
        assert!(passcode(4).unwrap().passcode && !inspect(profile(vec![payload("a")])).unwrap().passcode);
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
