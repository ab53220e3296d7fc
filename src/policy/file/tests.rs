use proptest::prelude::*;

use super::super::bounds::test_profile;
use super::super::settings::{Permission, Required};
use super::*;

const WHOLE: &str = "
name: Staff phones
assign: [sales, board]
passcode:
  required: true
  min_length: 8
  alphanumeric: true
  max_failed: 6
  max_idle_minutes: 5
  expire_days: 90
  history: 3
encryption: required
camera: blocked
windows:
  csp:
    - {path: ./Vendor/MSFT/Policy/Config/Bluetooth/AllowAdvertising, format: int, data: 0}
activesync:
  AllowBluetooth: 1
  AllowHTMLEmail: false
  MaxAttachmentSize:
";

#[test]
fn a_whole_file_reads() {
    let policy = PolicyFile::parse(WHOLE).unwrap();
    assert_eq!(policy.name, "Staff phones");
    assert_eq!(policy.assign, Assign::Groups(vec!["board".into(), "sales".into()]));
    assert!(policy.assign.covers(&["sales"]) && !policy.assign.covers(&["x"]) && Assign::All.covers::<&str>(&[]));
    assert_eq!(
        policy.values(),
        [
            Value::PasscodeRequired(Required),
            Value::PasscodeMinLength(8),
            Value::PasscodeAlphanumeric(Required),
            Value::PasscodeMaxFailed(6),
            Value::PasscodeMaxIdleMinutes(5),
            Value::PasscodeExpireDays(90),
            Value::PasscodeHistory(3),
            Value::Encryption(Required),
            Value::Camera(Permission::Blocked),
        ]
    );
    let node = WindowsCsp {
        path: "./Device/Vendor/MSFT/Policy/Config/Bluetooth/AllowAdvertising".into(),
        format: CspFormat::Int,
        data: "0".into(),
    };
    assert_eq!(policy.windows_csp, [node]);
    let elements: Vec<_> = policy.activesync.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(elements, [("AllowBluetooth", "1"), ("AllowHTMLEmail", "0"), ("MaxAttachmentSize", "")]);
    assert_eq!(policy.setting_names().len(), 9 + 1 + 3);
}

#[test]
fn corpus_replays() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/policy")).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        let _ = PolicyFile::parse(&String::from_utf8_lossy(&text));
    }
}

#[test]
fn a_rule_asks_for_a_passcode_by_itself() {
    let required = |text: &str| {
        let settings = PolicyFile::parse(&format!("name: a\nassign: all\npasscode: {text}\n")).unwrap().settings;
        (settings.passcode_required.is_some(), settings.values().count())
    };
    assert_eq!(required("{min_length: 8}"), (true, 2));
    assert_eq!(required("{required: true}"), (true, 1));
    assert_eq!(required("{required: false}"), (false, 0));
    assert_eq!(required("{alphanumeric: false}"), (false, 0));
    assert_eq!(required(""), (false, 0));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let csp = |item: &str| format!("windows: {{csp: [{item}]}}");
    for (line, want) in [
        (
            "passcode: {min_lenght: 8}",
            "passcode.min_lenght: unknown key; the nearest known one is `passcode.min_length`",
        ),
        ("min_length: 8", "min_length: unknown key; the nearest known one is `passcode.min_length`"),
        ("encrypt: required", "encrypt: unknown key; the nearest known one is `encryption`"),
        ("AllowCamera: 0", "AllowCamera: unknown key; the nearest known one is `activesync.AllowCamera`"),
        (
            "activesync: {AllowBlueTooth: 0}",
            "activesync.AllowBlueTooth: unknown key; the nearest known one is `AllowBluetooth`",
        ),
        ("apple: {profile: []}", "apple.profile: unknown key; the nearest known one is `apple.profiles`"),
        (
            "apple: {profiles: [{base46: x}]}",
            "apple.profiles[0].base46: unknown key; the nearest known one is `apple.profiles[0].base64`",
        ),
        ("passcode: {max_failed: 3}", "passcode.max_failed: 3 is out of range, 4 to 16: fewer wrong tries erase"),
        ("passcode: {max_failed: 17}", "passcode.max_failed: 17 is out of range"),
        ("passcode: {min_length: 0}", "passcode.min_length: 0 is out of range, 1 to 16: leave it out"),
        ("passcode: {expire_days: 731}", "passcode.expire_days: 731"),
        ("passcode: {history: 51}", "passcode.history: 51"),
        ("passcode: {max_idle_minutes: 61}", "passcode.max_idle_minutes: 61"),
        ("passcode: {min_length: '8'}", "passcode.min_length: takes a whole number, not text"),
        ("passcode: {required: yes}", "passcode.required: takes true or false, not text"),
        ("passcode: {required: false, history: 3}", "passcode.required: false, while other passcode rules stand"),
        ("passcode: 7", "passcode: takes a mapping, not a number"),
        ("encryption: optional", "encryption: takes `required`"),
        ("camera: off", "camera: takes `allowed` or `blocked`"),
        ("camera: false", "camera: takes text"),
        ("bluetooth: 0", "bluetooth: takes text"),
        ("bluetooth: hands-free", "bluetooth: takes `allowed` or `blocked`"),
        ("apple: {profiles: [wifi.plist]}", "apple.profiles[0]: wifi.plist is a file"),
        ("apple: {profiles: [{base64: '!'}]}", "apple.profiles[0].base64: "),
        ("apple: {profiles: ['<plist/>']}", "apple.profiles[0]: the profile is no XML plist"),
        (&csp("{data: 1}"), "windows.csp[0].path: missing"),
        (&csp("{path: ./x, data: 1, format: exec}"), "windows.csp[0].format: takes int, chr"),
        (
            &csp("{path: ./Vendor/MSFT/RemoteWipe/doWipe, format: chr, data: ''}"),
            "windows.csp[0]: ./Vendor/MSFT/RemoteWipe/doWipe: RemoteWipe acts",
        ),
        (
            &csp(
                "{path: ./Vendor/MSFT/Policy/Config/DeviceLock/MaxDevicePasswordFailedAttempts, format: int, data: 1}",
            ),
            "windows.csp[0]: ",
        ),
        ("activesync: {RemoteWipe: }", "activesync.RemoteWipe: this is a command"),
        (
            "activesync: {MaxDevicePasswordFailedAttempts: 1}",
            "activesync.MaxDevicePasswordFailedAttempts: 1 is out of range",
        ),
        ("activesync: {AllowWiFi: [1]}", "activesync.AllowWiFi: lists"),
        ("activesync: [AllowWiFi]", "activesync: takes a mapping"),
        ("name: b", "not a readable policy file: "),
    ] {
        let error = PolicyFile::parse(&format!("name: a\nassign: all\n{line}\n")).unwrap_err().to_string();
        assert!(error.starts_with(want), "{line}: {error}");
    }
    for (text, want) in [
        ("", "the policy file: takes a mapping"),
        ("assign: all", "name: missing"),
        ("name: a", "assign: missing"),
        ("name: a/b\nassign: all", "name: takes 1 to 64"),
        ("name: ..\nassign: all", "name: may not begin"),
        ("name: a\nassign: sales", "assign: takes `all` or a list of groups: write `[sales]`"),
        ("name: a\nassign: [x, x]", "assign[1]: the group x stands twice"),
    ] {
        let error = PolicyFile::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(want), "{text}: {error}");
    }
}

#[test]
fn profiles_and_nodes_stand_once() {
    let profile = test_profile("com.example.a", "x", "");
    let packed = STANDARD.encode(&profile);
    let text = |second: &str| format!("name: a\nassign: all\napple: {{profiles: ['{profile}', {second}]}}\n");
    let twice = PolicyFile::parse(&text(&format!("{{base64: {packed}}}"))).unwrap_err();
    assert_eq!(twice.place(), Some("apple.profiles[1]"));
    let one =
        PolicyFile::parse(&format!("name: a\nassign: all\napple: {{profiles: [{{base64: {packed}}}]}}\n")).unwrap();
    assert_eq!(one.apple_profiles, PolicyFile::parse(&text("").replace(", ]", "]")).unwrap().apple_profiles);
    let twice = "name: a\nassign: all\nwindows:\n  csp:\n\
        \x20   - {path: ./Vendor/MSFT/Policy/Config/Camera/AllowCamera, data: 0}\n\
        \x20   - {path: ./Device/Vendor/MSFT/policy/config/camera/allowcamera, data: 1}\n";
    assert_eq!(PolicyFile::parse(twice).unwrap_err().place(), Some("windows.csp[1]"));
}

#[test]
fn sizes_are_limited() {
    let groups = vec!["g"; MAX_GROUPS + 1].join(",");
    let error = PolicyFile::parse(&format!("name: a\nassign: [{groups}]\n")).unwrap_err();
    assert!(matches!(error, PolicyError::TooLarge { limit: MAX_GROUPS, .. }), "{error}");
    let long = "x".repeat(500_000);
    let error = PolicyFile::parse(&format!("name: a\nassign: all\n{long}: 1\n")).unwrap_err().to_string();
    assert!(error.len() < 300, "messages stay short");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,120}", key in "[a-z_.A-Z]{0,20}", value in "[\\[\\]{}a-z0-9:, '-]{0,40}") {
        let _ = PolicyFile::parse(&text);
        let _ = PolicyFile::parse(&format!("name: a\nassign: all\n{key}: {value}\n"));
        let _ = PolicyFile::parse(&format!("name: a\nassign: all\npasscode: {{{key}: {value}}}\n"));
        let _ = PolicyFile::parse(&format!("name: a\nassign: all\nwindows: {{csp: {value}}}\n"));
    }
}

#[test]
fn a_kept_text_loses_what_is_refused_today_and_no_more() {
    let packed = STANDARD.encode(test_profile("com.example.m", "com.apple.eas.account", ""));
    let text = format!(
        "name: a\nassign: all\ncamera: blocked\napple: {{profiles: [{{base64: {packed}}}]}}\n\
         windows: {{csp: [{{path: ./Vendor/MSFT/Policy/Config/Update/UpdateServiceUrl, data: x}},\
         {{path: ./Vendor/MSFT/Policy/Config/Camera/AllowCamera, data: 0}}]}}\n\
         activesync: {{AllowBluetooth: 2, MaxDevicePasswordFailedAttempts: 1}}\n"
    );
    assert!(PolicyFile::parse(&text).is_err());
    let (file, left_out) = PolicyFile::parse_kept(&text).unwrap();
    let places: Vec<String> = left_out.iter().map(|why| why.to_string()).collect();
    assert_eq!(left_out.len(), 3, "{places:?}");
    assert_eq!((file.apple_profiles.len(), file.windows_csp.len(), file.activesync.len()), (0, 1, 1));
    assert_eq!(file.settings.camera, Some(Permission::Blocked));
    assert!(PolicyFile::parse_kept("name: a\nassign: some\n").is_err(), "else it must be whole");
}
