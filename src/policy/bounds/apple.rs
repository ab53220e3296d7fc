//! Raw configuration profiles: what the server wants of them beside Apple's own rules, which
//! [`inspect_raw`](lanyard_apple::profile::inspect_raw) holds. What was checked is written anew, so that it is what is
//! sent (a repeated key, a comment or an entity could be read otherwise by the device).

use lanyard_apple::{
    Error,
    profile::{EXCHANGE_ACCOUNT, inspect_raw},
};

use super::super::raw::AppleProfile;
use super::{MAX_PROFILE, RESERVED_IDENTIFIERS, Refused};

/// Opening and closing tags of containers: nobody's settings have as many.
const MAX_CONTAINER_TAGS: usize = 4_000;

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
    let profile = inspect_raw(bytes).map_err(refused)?;
    check_identifier(&profile.identifier)?;
    let (bytes, max_failed, passcode) = (profile.encode(), profile.max_failed_attempts, profile.passcode);
    Ok(AppleProfile { identifier: profile.identifier, bytes, max_failed, passcode })
}

/// In words for the administrator, with the way out where there is one.
fn refused(error: Error) -> Refused {
    Refused(match &error {
        Error::Xml { .. } => format!("the profile is no XML plist: {error}"),
        Error::TooDeep { .. } => format!("the profile is nested too deeply: {error}"),
        Error::ForbiddenPayload { payload_type, .. } if payload_type == EXCHANGE_ACCOUNT => {
            format!("{error}; invite the user to mail instead (`lanyard invite --channel activesync`)")
        }
        _ => error.to_string(),
    })
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

#[cfg(test)]
pub(in crate::policy) mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
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
            (
                "mdm in data",
                "com.example.m",
                "x",
                format!("<key>a</key><data>{}</data>", STANDARD.encode(profile("com.example.in", "com.apple.mdm", ""))),
                "com.apple.mdm is refused",
            ),
            (
                "mdm as a domain",
                "com.example.m",
                "com.apple.ManagedClient.preferences",
                "<key>PayloadContent</key><dict><key>com.apple.mdm</key><dict/></dict>".into(),
                "com.apple.mdm is refused",
            ),
            (
                "declarations",
                "com.example.m",
                "com.apple.declarations",
                String::new(),
                "com.apple.declarations is refused",
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
