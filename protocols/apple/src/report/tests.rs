//! Reports there and back, and how little of one may be wrong before the whole is.

use proptest::prelude::*;

use super::*;
use crate::sender::tests::any_channel;

fn acknowledged() -> Report {
    Report::simple(Channel::of_udid("D1"), Status::Acknowledged, Some("C1"))
}

fn through(report: Report) -> Report {
    Report::parse(&report.encode()).unwrap()
}

#[test]
fn only_a_poll_goes_without_a_command() {
    assert!(Report::parse(&Report::simple(Channel::of_udid("D1"), Status::Idle, None).encode()).is_ok());
    for status in [Status::Acknowledged, Status::Error, Status::CommandFormatError, Status::NotNow] {
        let bytes = Report::simple(Channel::of_udid("D1"), status, None).encode();
        assert_eq!(Report::parse(&bytes), Err(Error::Missing { field: "CommandUUID" }), "{status:?}");
    }
    let odd = acknowledged().with("Status", "Perhaps").encode();
    assert_eq!(Report::parse(&odd), Err(Error::UnknownStatus("Perhaps".into())));
}

#[test]
fn a_strange_chain_does_not_cost_the_result() {
    let link = Dict::new().with("ErrorCode", 12007_i64).with("ErrorDomain", "MCMDMErrorDomain");
    let link = link.with("USEnglishDescription", "Not allowed").with("LocalizedDescription", "Nicht erlaubt");
    let chain: Vec<Value> = vec![link.into(), "odd".into(), Dict::new().with("ErrorCode", "odd").into()];
    let report = through(Report::simple(Channel::of_udid("D1"), Status::Error, Some("C1")).with("ErrorChain", chain));
    assert_eq!(report.error_text(), "MCMDMErrorDomain 12007: Not allowed; error");
    assert_eq!(through(acknowledged().with("ErrorChain", "odd")).errors, []);
    let long = vec![Dict::new(); 1000];
    assert_eq!(through(acknowledged().with("ErrorChain", long)).errors.len(), MAX_CHAIN);
}

#[test]
fn an_item_of_settings_may_be_refused_though_the_command_is_acknowledged() {
    let link = Dict::new().with("ErrorCode", 12026_i64).with("ErrorDomain", "MCMDMErrorDomain");
    let set = Dict::new().with("Status", "Acknowledged");
    let refused = Dict::new().with("Status", "Error").with("ErrorChain", vec![link]);
    let silent = Dict::new().with("Status", "Error");
    let of = |said: Value| through(acknowledged().with("Settings", said)).refused_setting();
    for (row, said, want) in [
        ("set", vec![set.clone()].into(), None),
        ("set, as the schema has it", set.clone().into(), None),
        ("no item", Value::Array(Vec::new()), None),
        ("strange", "odd".into(), None),
        ("refused", vec![refused.clone()].into(), Some("MCMDMErrorDomain 12026")),
        ("refused, as the schema has it", refused.clone().into(), Some("MCMDMErrorDomain 12026")),
        ("the second", vec![set, refused].into(), Some("MCMDMErrorDomain 12026")),
        ("refused without a word", vec![silent].into(), Some("")),
    ] {
        let found = of(said);
        assert!(found.as_ref().is_none_or(|found| found.status == Status::Error), "{row}");
        assert_eq!(found.map(|found| found.error_text()).as_deref(), want, "{row}");
    }
    assert_eq!(acknowledged().refused_setting(), None);
}

#[test]
fn device_information_is_read() {
    let sim = Dict::new().with("IMEI", "35 6");
    let answers = Dict::new()
        .with("EASDeviceIdentifier", "EAS1")
        .with("SerialNumber", "S1")
        .with("IsSupervised", false)
        .with("OSVersion", 26_i64)
        .with("ServiceSubscriptions", vec![sim]);
    let info = through(acknowledged().with("QueryResponses", answers)).device_information().unwrap();
    assert_eq!(info.eas_device_identifier.as_deref(), Some("EAS1"));
    assert_eq!(info.imei.as_deref(), Some("35 6"));
    assert_eq!(info.is_supervised, Some(false));
    assert_eq!(info.os_version, None, "of another type: as if absent");
    assert_eq!(acknowledged().device_information(), None);
}

#[test]
fn encryption_is_what_the_platform_calls_it() {
    let info = |dict: Dict| through(acknowledged().with("SecurityInfo", dict)).security_info().unwrap();
    let caps = |caps: i64| Dict::new().with("HardwareEncryptionCaps", caps);
    for (row, dict, want) in [
        ("FileVault on", Dict::new().with("FDE_Enabled", true), Some(true)),
        ("FileVault off", Dict::new().with("FDE_Enabled", false), Some(false)),
        ("iPhone with passcode", caps(3).with("PasscodePresent", true), Some(true)),
        ("iPhone without", caps(3).with("PasscodePresent", false), Some(false)),
        ("user enrolment", caps(3), None),
        ("old hardware", caps(1).with("PasscodePresent", true), Some(false)),
        ("no word", Dict::new(), None),
    ] {
        assert_eq!(info(dict).encrypted(), want, "{row}");
    }
}

#[test]
fn a_passcode_complies_where_the_device_says_so() {
    let info = |dict: Dict| through(acknowledged().with("SecurityInfo", dict)).security_info().unwrap();
    let (all, profiles) = ("PasscodeCompliant", "PasscodeCompliantWithProfiles");
    for (row, dict, want) in [
        ("yes", Dict::new().with(all, true).with(profiles, true), Some(true)),
        ("a mail account asks for more", Dict::new().with(all, false).with(profiles, true), Some(true)),
        ("no", Dict::new().with(all, false).with(profiles, false), Some(false)),
        ("user enrolment", Dict::new().with(all, false), Some(false)),
        ("user enrolment, yes", Dict::new().with(all, true), Some(true)),
        ("a Mac", Dict::new().with("FDE_Enabled", true), None),
        ("of another type: as if absent", Dict::new().with(profiles, "yes"), None),
    ] {
        assert_eq!(info(dict).passcode_complies(), want, "{row}");
    }
}

#[test]
fn lists_are_read() {
    let payload = Dict::new().with("PayloadType", "com.apple.mdm");
    let profile = Dict::new().with("PayloadIdentifier", "a.b").with("PayloadContent", vec![payload]);
    let report = through(acknowledged().with("ProfileList", vec![profile, Dict::new()]));
    let list = report.profile_list().unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].payload_types, ["com.apple.mdm"]);

    let app = Dict::new().with("Identifier", "a.b").with("Version", "7");
    let report = through(acknowledged().with("InstalledApplicationList", vec![app]));
    assert_eq!(report.installed_applications().unwrap()[0].version.as_deref(), Some("7"));

    let app = Dict::new().with("Status", "Managed").with("ManagementFlags", 1_i64);
    let report = through(acknowledged().with("ManagedApplicationList", Dict::new().with("a.b", app)));
    assert_eq!(report.managed_applications().unwrap()[0].management_flags, 1);
    assert_eq!(report.message_result(), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(channel in any_channel(), uuid in "[0-9A-F-]{1,36}", busy: bool) {
        let status = if busy { Status::NotNow } else { Status::Acknowledged };
        let report = Report::simple(channel, status, Some(&uuid)).with("MessageResult", "Success");
        prop_assert_eq!(Report::parse(&report.clone().encode()), Ok(report));
    }

    #[test]
    fn no_answer_panics(value in crate::plist::tests::any_value()) {
        let mut report = acknowledged();
        for key in ["QueryResponses", "SecurityInfo", "ProfileList", "ManagedApplicationList", "ErrorChain", "Settings"] {
            report = report.with(key, value.clone());
        }
        let report = through(report);
        let _ = (report.device_information(), report.security_info().map(|info| info.encrypted()));
        let _ = (report.profile_list(), report.installed_applications(), report.managed_applications());
        let _ = report.refused_setting();
    }
}

#[test]
fn one_spoilt_value_does_not_spoil_a_report() {
    let report = |rest: &[u8]| {
        let head = b"<plist version=\"1.0\"><dict><key>UDID</key><string>D1</string><key>Status</key><string>Acknowledged</string><key>CommandUUID</key><string>C1</string>";
        [&head[..], rest, b"</dict></plist>"].concat()
    };
    for (row, rest) in [
        ("NUL", &b"<key>QueryResponses</key><dict><key>DeviceName</key><string>a&#0;b</string></dict>"[..]),
        ("broken UTF-8", b"<key>QueryResponses</key><dict><key>DeviceName</key><string>a\xffb</string></dict>"),
        ("a key twice", b"<key>QueryResponses</key><dict><key>DeviceName</key><string>a\xef\xbf\xbdb</string><key>DeviceName</key><string>c</string></dict>"),
        ("a fractional date", b"<key>D</key><date>2026-11-25T04:05:06.789Z</date><key>QueryResponses</key><dict><key>DeviceName</key><string>a\xef\xbf\xbdb</string></dict>"),
    ] {
        let Ok(crate::Body::Report(read)) = crate::Body::parse(&report(rest)) else { panic!("{row}") };
        assert_eq!((read.status, read.command_uuid.as_deref()), (Status::Acknowledged, Some("C1")), "{row}");
        assert_eq!(read.device_information().unwrap().device_name.as_deref(), Some("a\u{fffd}b"), "{row}");
        assert!(read.spoilt.is_some(), "{row}");
    }
    for (row, rest) in [
        ("two devices", &b"<key>UDID</key><string>D2</string>"[..]),
        ("two commands", b"<key>CommandUUID</key><string>C2</string>"),
        ("two ends", b"<key>Status</key><string>Error</string>"),
        ("a check-in", b"<key>MessageType</key><string>CheckOut</string><key>D</key><date>x</date>"),
        ("no whole message", b"<key>D</key><dict>"),
    ] {
        assert!(crate::Body::parse(&report(rest)).is_err(), "{row}");
    }
    assert!(
        crate::plist::parse(&report(b"<key>D</key><date>x</date>")).is_err(),
        "what is to be checked is read strictly"
    );
}
