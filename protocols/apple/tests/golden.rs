//! What this crate builds, against golden files, and read by Python's plistlib.
//!
//! `LANYARD_BLESS=1` rewrites the files; a mismatch writes `<name>.actual` beside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    path::{Path, PathBuf},
    process::Command as Process,
};

use lanyard_apple::{
    ReturnToService, Secret,
    command::{
        ClearPasscode, Command, CommandKind, DeviceInformationQuery, DeviceLock, EraseDevice, InstallProfile,
        InstalledApplicationList, ManagedApplicationList, ObliterationBehavior, Pin, ProfileList, RemoveApplication,
        RemoveProfile, RestartDevice, Settings,
    },
    profile::{EnrolmentProfile, MailProfile, Passcode, PolicySettings, ProfileMeta, Scep, Scope, Uuid, inspect_raw},
    support::{AccessRights, Platform},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/apple/golden")
}

fn compare(name: &str, actual: &[u8]) {
    let path = folder().join(name);
    let beside = folder().join(format!("{name}.actual"));
    if std::env::var_os("LANYARD_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    if std::fs::read(&path).unwrap_or_default() == actual {
        let _ = std::fs::remove_file(beside);
        return;
    }
    std::fs::write(&beside, actual).unwrap();
    panic!("{name} differs: see {}", beside.display());
}

fn meta(part: &str) -> ProfileMeta {
    ProfileMeta {
        identifier: format!("com.example.lanyard.{part}"),
        uuid: Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001),
        display_name: format!("Example {part}"),
        description: Some("Lets Example & Co manage this device.".to_owned()),
        organisation: Some("Example & Co".to_owned()),
    }
}

fn scep() -> Scep {
    Scep {
        url: "https://enrol.example.com/scep".to_owned(),
        name: None,
        challenge: "EXAMPLE-CHALLENGE".into(),
        subject: vec![("O".to_owned(), "Example & Co".to_owned()), ("CN".to_owned(), "enrolment 1".to_owned())],
        ca_fingerprint: Some(vec![0xab; 20]),
    }
}

fn enrolment() -> EnrolmentProfile {
    EnrolmentProfile {
        meta: meta("enrolment"),
        topic: "com.apple.mgmt.External.00000000-0000-4000-8000-000000000001".to_owned(),
        server_url: "https://mdm.example.com:8443/apple/mdm".to_owned(),
        scep: scep(),
        rights: AccessRights::ALL,
        sign_message: false,
        capabilities: Vec::new(),
        scope: None,
        root: None,
    }
}

fn policy() -> PolicySettings {
    PolicySettings {
        passcode: Some(Passcode {
            required: true,
            min_length: Some(8),
            alphanumeric: true,
            max_failed: Some(10),
            max_idle_minutes: Some(5),
            expire_days: Some(365),
            history: Some(5),
            allow_simple: Some(false),
        }),
        restrictions: [("allowCamera", false)].into(),
    }
}

fn profiles() -> Vec<(&'static str, Vec<u8>)> {
    let mac = EnrolmentProfile {
        sign_message: true,
        rights: AccessRights::PERSONAL,
        capabilities: EnrolmentProfile::MAC_CAPABILITIES.to_vec(),
        scope: Some(Scope::User),
        root: Some(b"not a certificate, but bytes where one goes; long enough for a second line".to_vec()),
        ..enrolment()
    };
    let mail = MailProfile {
        meta: meta("mail"),
        host: "mail.example.com".to_owned(),
        email: "kim@example.com".to_owned(),
        username: "kim".to_owned(),
        scep: Some(scep()),
        root: None,
    };
    let policy = |platform| policy().profile(&meta("policy"), platform).unwrap().unwrap();
    vec![
        ("enrolment-iphone.mobileconfig", enrolment().encode().unwrap()),
        ("enrolment-personal-mac.mobileconfig", mac.encode().unwrap()),
        ("policy-iphone.mobileconfig", policy(Platform::Ios)),
        ("policy-mac.mobileconfig", policy(Platform::MacOs)),
        ("mail.mobileconfig", mail.encode().unwrap()),
    ]
}

fn commands() -> Vec<(&'static str, Command)> {
    let pin = || Some(Pin::parse("123456").unwrap());
    let back = ReturnToService {
        enabled: true,
        wifi_profile: Some(Secret::new(b"wifi".to_vec())),
        mdm_profile: Some(Secret::new(b"mdm".to_vec())),
        ..Default::default()
    };
    vec![
        ("device-information", Command::DeviceInformation(DeviceInformationQuery::all())),
        ("security-info", Command::SecurityInfo),
        ("profile-list", Command::ProfileList(ProfileList { managed_only: true })),
        ("install-profile", Command::InstallProfile(InstallProfile { payload: Secret::new(b"a profile".to_vec()) })),
        ("remove-profile", Command::RemoveProfile(RemoveProfile { identifier: "com.example.lanyard.policy".into() })),
        (
            "device-lock-mac",
            Command::DeviceLock(DeviceLock {
                message: Some("Lost <please call>".into()),
                phone_number: Some("+49 30 000000".into()),
                pin: pin(),
            }),
        ),
        ("device-lock-iphone", Command::DeviceLock(DeviceLock::default())),
        ("clear-passcode", Command::ClearPasscode(ClearPasscode { unlock_token: Secret::new(b"token".to_vec()) })),
        (
            "erase-device-mac",
            Command::EraseDevice(EraseDevice {
                pin: pin(),
                obliteration_behavior: Some(ObliterationBehavior::Default),
                ..Default::default()
            }),
        ),
        (
            "erase-device-mac-or-not",
            Command::EraseDevice(EraseDevice {
                pin: pin(),
                obliteration_behavior: Some(ObliterationBehavior::DoNotObliterate),
                ..Default::default()
            }),
        ),
        (
            "erase-device-iphone-that-returns",
            Command::EraseDevice(EraseDevice {
                preserve_data_plan: true,
                return_to_service: Some(ReturnToService { enabled: true, ..Default::default() }),
                ..Default::default()
            }),
        ),
        (
            "erase-device-iphone",
            Command::EraseDevice(EraseDevice {
                preserve_data_plan: true,
                disallow_proximity_setup: true,
                return_to_service: Some(back),
                ..Default::default()
            }),
        ),
        ("restart-device", Command::RestartDevice(RestartDevice { notify_user: true })),
        ("shut-down-device", Command::ShutDownDevice),
        (
            "installed-application-list",
            Command::InstalledApplicationList(InstalledApplicationList {
                identifiers: Vec::new(),
                managed_apps_only: true,
                items: vec!["Identifier".into(), "Version".into()],
            }),
        ),
        (
            "managed-application-list",
            Command::ManagedApplicationList(ManagedApplicationList { identifiers: vec!["com.example.app".into()] }),
        ),
        ("remove-application", Command::RemoveApplication(RemoveApplication { identifier: "com.example.app".into() })),
        ("device-configured", Command::DeviceConfigured),
        ("settings-device-name", Command::Settings(Settings::DeviceName("Ward 3 & 4".into()))),
    ]
}

#[test]
fn profiles_are_as_they_were() {
    for (name, bytes) in profiles() {
        compare(name, &bytes);
    }
}

#[test]
fn commands_are_as_they_were() {
    let commands = commands();
    for kind in CommandKind::ALL {
        assert!(commands.iter().any(|(_, command)| command.kind() == kind), "no golden file for {kind:?}");
    }
    for (name, command) in commands {
        compare(&format!("{name}.plist"), &command.encode("01890000-0000-7000-8000-000000000001"));
    }
}

#[test]
fn our_enrolment_and_mail_profiles_are_no_raw_parts_of_a_policy() {
    for (name, bytes) in profiles() {
        assert_eq!(inspect_raw(&bytes).is_ok(), name.starts_with("policy"), "{name}");
    }
}

#[test]
fn what_devices_refuse_is_not_built() {
    let wrong = |change: &dyn Fn(&mut EnrolmentProfile)| {
        let mut profile = enrolment();
        change(&mut profile);
        profile.encode().is_err()
    };
    assert!(wrong(&|profile| profile.server_url = "http://mdm.example.com".into()));
    assert!(wrong(&|profile| profile.topic = "com.example".into()));
    assert!(wrong(&|profile| profile.meta.identifier = "a b".into()));
    assert!(wrong(&|profile| profile.scep.url = "ftp://scep".into()));
}

#[test]
fn a_policy_has_what_the_platform_has_payloads_for() {
    let types = |settings: &PolicySettings, platform| {
        let Some(bytes) = settings.profile(&meta("policy"), platform).unwrap() else { return Vec::new() };
        let text = String::from_utf8(bytes).unwrap();
        let found = ["passwordpolicy", "requireAlphanumeric", "applicationaccess"].into_iter();
        found.filter(|word| text.contains(word)).collect()
    };
    let all = vec!["passwordpolicy", "requireAlphanumeric", "applicationaccess"];
    assert_eq!(types(&policy(), Platform::Ios), all);
    assert_eq!(types(&policy(), Platform::MacOs), all);
    assert_eq!(types(&policy(), Platform::WatchOs), ["passwordpolicy"], "digits only, and no restriction");
    assert_eq!(types(&policy(), Platform::TvOs), ["applicationaccess"]);
    assert!(types(&policy(), Platform::Other).is_empty());
    assert!(types(&PolicySettings::default(), Platform::Ios).is_empty());
    let mut strict = policy();
    strict.passcode.as_mut().unwrap().max_failed = Some(3);
    assert!(strict.profile(&meta("policy"), Platform::Ios).is_err(), "three wrong tries must not erase");
}

#[test]
fn what_devices_cannot_count_to_is_asked_for_as_strictly_as_they_can() {
    let mut lax = policy();
    let passcode = lax.passcode.as_mut().unwrap();
    (passcode.max_failed, passcode.max_idle_minutes) = (Some(16), Some(100));
    for (platform, idle) in [(Platform::Ios, 15), (Platform::MacOs, 60)] {
        let text = String::from_utf8(lax.profile(&meta("policy"), platform).unwrap().unwrap()).unwrap();
        for (key, number) in [("maxFailedAttempts", 11), ("maxInactivity", idle)] {
            let (_, behind) = text.split_once(&format!("<key>{key}</key>")).unwrap();
            assert!(behind.trim_start().starts_with(&format!("<integer>{number}</integer>")), "{platform:?}: {key}");
        }
    }
}

/// Another reader, and the rules that devices hold profiles to.
const CHECK: &str = r#"
import plistlib, re, sys
UUID = re.compile(r'^[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}$')
for path in sys.argv[1:]:
    p = plistlib.load(open(path, 'rb'))
    if path.endswith('.plist'):
        assert set(p) == {'Command', 'CommandUUID'} and p['Command']['RequestType'], path
        continue
    assert p['PayloadType'] == 'Configuration' and p['PayloadVersion'] == 1, path
    parts = [p] + p['PayloadContent']
    for part in parts:
        assert UUID.match(part['PayloadUUID']) and part['PayloadVersion'] == 1, path
        assert part is p or part['PayloadIdentifier'].startswith(p['PayloadIdentifier'] + '.'), path
    assert len({part['PayloadUUID'] for part in parts}) == len(parts), path
    assert len({part['PayloadIdentifier'] for part in parts}) == len(parts), path
    by_type = {part['PayloadType']: part for part in parts}
    scep = by_type.get('com.apple.security.scep')
    if scep:
        inner = scep['PayloadContent']
        assert inner['Key Type'] == 'RSA' and inner['Keysize'] == 2048 and inner['Key Usage'] == 5, path
        assert isinstance(inner['CAFingerprint'], bytes), path
        assert all(len(rdn) == 1 and len(rdn[0]) == 2 for rdn in inner['Subject']), path
    mdm = by_type.get('com.apple.mdm')
    if mdm:
        assert mdm['IdentityCertificateUUID'] == scep['PayloadUUID'], path
        assert mdm['ServerURL'] == mdm['CheckInURL'] and mdm['CheckOutWhenRemoved'] is True, path
        assert mdm['AccessRights'] in (8191, 8183), path
    eas = by_type.get('com.apple.eas.account')
    if eas:
        assert eas['PayloadCertificateUUID'] == scep['PayloadUUID'] and eas['SSL'] is True, path
print('read', len(sys.argv) - 1)
"#;

#[test]
fn python_reads_them_all() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path: &PathBuf| path.extension() != Some(Path::new("actual").as_os_str()));
    assert!(files.len() > 20);
    let Ok(output) = Process::new("python3").arg("-c").arg(CHECK).args(&files).output() else {
        println!("skipped: no python3");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
