//! Raw configuration profiles: read, checked at every depth, and written anew, so that what was checked is what is sent
//! (a repeated key, a comment or an entity could be read otherwise by the device).

use plist::Value;

use super::super::raw::AppleProfile;
use super::{MAX_PROFILE, MIN_MAX_FAILED, RESERVED_IDENTIFIERS, Refused};

/// Levels of containers in a profile.
const MAX_DEPTH: usize = 32;
/// Opening and closing tags of containers: a bound on their depth that needs no parser.
const MAX_CONTAINER_TAGS: usize = 4_000;
/// Payloads that are, or carry, commands.
const REFUSED_TYPES: [(&str, &str); 3] = [
    ("com.apple.mdm", "it would enrol the device elsewhere or end this enrolment"),
    // [MS-ASPROV] 2.2.2.54: the server of an Exchange account may have the whole device erased.
    (
        "com.apple.eas.account",
        "its mail server could erase the device; invite the user to mail instead (`lanyard invite --channel activesync`)",
    ),
    ("com.apple.mcxloginscripts", "it runs programs"),
];
/// Keys that erase or run something, in whatever payload they stand.
const REFUSED_KEYS: [(&str, &str); 3] = [
    ("cachedaccounts.expiry.delete.disusedseconds", "it deletes home folders"),
    ("loginhook", "it runs programs"),
    ("logouthook", "it runs programs"),
];

/// Reads an unsigned profile (XML plist) and gives it in the spelling that is sent.
pub fn apple_profile(bytes: &[u8]) -> Result<AppleProfile, Refused> {
    if bytes.len() > MAX_PROFILE {
        return Refused::because(format!("the profile is larger than {MAX_PROFILE} bytes"));
    }
    if bytes.starts_with(b"bplist") {
        return Refused::because("the profile is a binary plist: convert it to XML (`plutil -convert xml1`)");
    }
    if bytes.first() == Some(&0x30) {
        return Refused::because("the profile is signed: take the unsigned one, the server signs it");
    }
    if container_tags(bytes) > MAX_CONTAINER_TAGS {
        return Refused::because("the profile has too many arrays and dictionaries");
    }
    let value =
        Value::from_reader_xml(bytes).map_err(|error| Refused(format!("the profile is no XML plist: {error}")))?;
    let identifier = check_outer(&value)?;
    let mut found = Found::default();
    walk(&value, MAX_DEPTH, &mut found)?;
    let mut canonical = Vec::new();
    value.to_writer_xml(&mut canonical).map_err(|error| Refused(format!("the profile cannot be written: {error}")))?;
    Ok(AppleProfile { identifier, bytes: canonical, max_failed: found.max_failed })
}

/// Whether a profile of that identifier may be installed or removed by a policy.
pub(super) fn check_identifier(identifier: &str) -> Result<(), Refused> {
    let folded = identifier.to_ascii_lowercase();
    let reserved = |own: &str| folded.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if RESERVED_IDENTIFIERS.into_iter().any(reserved) {
        return Refused::because(format!(
            "PayloadIdentifier {identifier}: identifiers of the server's own are not to be had"
        ));
    }
    if identifier.is_empty() || identifier.len() > 128 || !identifier.chars().all(|c| c.is_ascii_graphic()) {
        return Refused::because("PayloadIdentifier must be 1 to 128 ASCII characters without spaces");
    }
    Ok(())
}

fn container_tags(bytes: &[u8]) -> usize {
    bytes.windows(4).filter(|w| w == b"dict").count() + bytes.windows(5).filter(|w| w == b"array").count()
}

fn check_outer(value: &Value) -> Result<String, Refused> {
    let Some(outer) = value.as_dictionary() else {
        return Refused::because("the profile is not a dictionary");
    };
    let text = |key: &str| outer.get(key).and_then(Value::as_string);
    if text("PayloadType") != Some("Configuration") {
        return Refused::because("the outermost PayloadType must be Configuration");
    }
    if text("PayloadUUID").is_none_or(str::is_empty) {
        return Refused::because("the profile has no PayloadUUID");
    }
    let Some(identifier) = text("PayloadIdentifier") else {
        return Refused::because("the profile has no PayloadIdentifier");
    };
    check_identifier(identifier)?;
    let Some(payloads) = outer.get("PayloadContent").and_then(Value::as_array) else {
        return Refused::because("PayloadContent must be an array of payloads");
    };
    let typed = |payload: &Value| payload.as_dictionary()?.get("PayloadType")?.as_string().map(drop);
    if payloads.iter().any(|payload| typed(payload).is_none()) {
        return Refused::because("a payload has no PayloadType");
    }
    Ok(identifier.to_owned())
}

#[derive(Default)]
struct Found {
    max_failed: Option<i64>,
}

fn walk(value: &Value, depth: usize, found: &mut Found) -> Result<(), Refused> {
    let Some(depth) = depth.checked_sub(1) else {
        return Refused::because("the profile is nested too deeply");
    };
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| walk(item, depth, found)),
        Value::Dictionary(entries) => entries.iter().try_for_each(|(key, value)| {
            check_entry(key.trim(), value, found)?;
            walk(value, depth, found)
        }),
        _ => Ok(()),
    }
}

fn check_entry(key: &str, value: &Value, found: &mut Found) -> Result<(), Refused> {
    let folded = key.to_ascii_lowercase();
    if let Some((_, why)) = REFUSED_KEYS.iter().find(|(refused, _)| *refused == folded) {
        return Refused::because(format!("{key} is refused: {why}"));
    }
    match (folded.as_str(), value) {
        ("payloadtype", Value::String(name)) => {
            let name = name.trim().to_ascii_lowercase();
            match REFUSED_TYPES.iter().find(|(refused, _)| *refused == name) {
                Some((name, why)) => Refused::because(format!("the payload {name} is refused: {why}")),
                None => Ok(()),
            }
        }
        ("encryptedpayloadcontent", _) | ("isencrypted", Value::Boolean(true)) => {
            Refused::because("the profile is encrypted: what cannot be read cannot be checked")
        }
        ("maxfailedattempts", value) => match value.as_signed_integer() {
            Some(tries) if tries >= MIN_MAX_FAILED => {
                found.max_failed = Some(found.max_failed.map_or(tries, |known| known.min(tries)));
                Ok(())
            }
            _ => Refused::because(format!("{key} must be a whole number from 4: so many wrong tries erase the device")),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(in crate::policy) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A profile with one payload of that type and further keys in it.
    pub(in crate::policy) fn profile(identifier: &str, payload_type: &str, keys: &str) -> String {
        format!(
            "<plist version=\"1.0\"><dict>\
             <key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer>\
             <key>PayloadIdentifier</key><string>{identifier}</string><key>PayloadUUID</key><string>U</string>\
             <key>PayloadContent</key><array><dict><key>PayloadType</key><string>{payload_type}</string>{keys}</dict></array>\
             </dict></plist>"
        )
    }

    #[test]
    fn settings_pass_and_commands_do_not() {
        let tries = |n: &str| format!("<key>maxFailedAttempts</key>{n}");
        for (row, identifier, kind, keys, words) in [
            ("plain", "com.example.wifi", "com.apple.wifi.managed", String::new(), ""),
            (
                "enough tries",
                "com.example.p",
                "com.apple.mobiledevice.passwordpolicy",
                tries("<integer>4</integer>"),
                "",
            ),
            (
                "too few",
                "com.example.p",
                "com.apple.mobiledevice.passwordpolicy",
                tries("<integer>3</integer>"),
                "from 4",
            ),
            (
                "as text",
                "com.example.p",
                "com.apple.mobiledevice.passwordpolicy",
                tries("<string>3</string>"),
                "from 4",
            ),
            ("mdm", "com.example.m", "com.apple.mdm", String::new(), "com.apple.mdm is refused"),
            ("mdm with blanks", "com.example.m", " COM.apple.mdm ", String::new(), "com.apple.mdm is refused"),
            (
                "mdm within",
                "com.example.m",
                "x",
                "<key>a</key><array><dict><key>PayloadType</key><string>com.apple.mdm</string></dict></array>".into(),
                "com.apple.mdm is refused",
            ),
            ("foreign mail", "com.example.m", "com.apple.eas.account", String::new(), "could erase the device"),
            ("mail by IMAP", "com.example.m", "com.apple.mail.managed", String::new(), ""),
            ("scripts", "com.example.m", "com.apple.mcxloginscripts", String::new(), "runs programs"),
            ("hook", "com.example.m", "x", "<key>LoginHook</key><string>rm</string>".into(), "runs programs"),
            ("encrypted", "com.example.m", "x", "<key>IsEncrypted</key><true/>".into(), "encrypted"),
            ("ours", "org.lanyard.enrolment", "x", String::new(), "the server's own"),
            ("ours in capitals", "Lanyard", "x", String::new(), "the server's own"),
            ("not ours", "lanyards.example", "x", String::new(), ""),
            ("blank", "a b", "x", String::new(), "without spaces"),
        ] {
            match (apple_profile(profile(identifier, kind, &keys).as_bytes()), words) {
                (Ok(found), "") => assert_eq!(found.identifier, identifier, "{row}"),
                (Err(Refused(why)), words) => assert!(!words.is_empty() && why.contains(words), "{row}: {why}"),
                (Ok(_), _) => panic!("{row}: passed"),
            }
        }
    }

    #[test]
    fn a_repeated_key_is_gone_from_what_is_sent() {
        let text =
            profile("com.example.a", "com.apple.mdm", "<key>PayloadType</key><string>com.apple.wifi.managed</string>");
        match apple_profile(text.as_bytes()) {
            Err(_) => {}
            Ok(found) => assert!(!String::from_utf8(found.bytes).unwrap().contains("com.apple.mdm")),
        }
    }

    #[test]
    fn what_is_sent_reads_the_same() {
        let first = apple_profile(profile("com.example.a", "com.apple.wifi.managed", "").as_bytes()).unwrap();
        assert_eq!(apple_profile(&first.bytes).unwrap(), first);
    }

    #[test]
    fn other_forms_are_refused_in_words() {
        let deep = |n: usize| {
            let nest = format!("<key>a</key>{}{}", "<array>".repeat(n), "</array>".repeat(n));
            profile("com.example.a", "x", &nest)
        };
        for (row, bytes, words) in [
            ("binary", b"bplist00xx".to_vec(), "binary"),
            ("signed", vec![0x30, 0x82, 1, 1], "signed"),
            ("empty", Vec::new(), "no XML plist"),
            ("cut", b"<plist><dict>".to_vec(), "no XML plist"),
            ("an array", b"<plist><array></array></plist>".to_vec(), "not a dictionary"),
            ("deep", deep(1_900).into_bytes(), "too deeply"),
            ("deeper", deep(3_000).into_bytes(), "too many"),
            ("large", vec![b' '; MAX_PROFILE + 1], "larger"),
        ] {
            let Err(Refused(why)) = apple_profile(&bytes) else { panic!("{row}: passed") };
            assert!(why.contains(words), "{row}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), keys in "[<>/a-z&;! \\[\\]-]{0,60}") {
            let _ = apple_profile(&bytes);
            let _ = apple_profile(profile("com.example.a", "x", &keys).as_bytes());
        }
    }
}
