//! Messages as devices send them, from `fixtures/apple/wire`, against what they mean.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use lanyard_apple::{Body, checkin::CheckIn, report::Report, support::Platform};

fn fixture(name: &str) -> Vec<u8> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/apple/wire").join(format!("{name}.plist"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn checkin(name: &str) -> CheckIn {
    match Body::parse(&fixture(name)) {
        Ok(Body::CheckIn(checkin)) => checkin,
        other => panic!("{name}: {other:?}"),
    }
}

fn report(name: &str) -> Report {
    match Body::parse(&fixture(name)) {
        Ok(Body::Report(report)) => report,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_check_in_is_read_and_written() {
    for (name, message_type, channel) in [
        ("authenticate-iphone", "Authenticate", "00008110-000EXAMPLE000001"),
        ("authenticate-mdmb", "Authenticate", "1B5EE9A0-0000-4000-8000-0000000000A2"),
        ("authenticate-user-enrolment", "Authenticate", "9F3B0000-0000-4000-8000-000000000003"),
        ("token-update-iphone", "TokenUpdate", "00008110-000EXAMPLE000001"),
        (
            "token-update-mac-user",
            "TokenUpdate",
            "1B5EE9A0-0000-4000-8000-0000000000A2/7AD00000-0000-4000-8000-0000000001F5",
        ),
        ("token-update-shared-ipad", "TokenUpdate", "00008101-000EXAMPLE000004/kim@example.com"),
        ("check-out", "CheckOut", "00008110-000EXAMPLE000001"),
        ("set-bootstrap-token", "SetBootstrapToken", "1B5EE9A0-0000-4000-8000-0000000000A2"),
        ("declarative-status", "DeclarativeManagement", "00008110-000EXAMPLE000001"),
        ("get-token", "GetToken", "00008110-000EXAMPLE000001"),
    ] {
        let message = checkin(name);
        assert_eq!(message.message_type(), message_type, "{name}");
        assert_eq!(message.channel().to_string(), channel, "{name}");
        assert_eq!(CheckIn::parse(&message.encode()).as_ref(), Ok(&message), "{name}");
    }
}

#[test]
fn an_iphone_introduces_itself() {
    let CheckIn::Authenticate(message) = checkin("authenticate-iphone") else { panic!("another message") };
    assert_eq!(message.device_name.as_deref(), Some("Kim & Co’s iPhone"));
    assert_eq!(Platform::of(&[message.product_name.as_deref()]), Platform::Ios);
    let CheckIn::Authenticate(message) = checkin("authenticate-mdmb") else { panic!("another message") };
    assert_eq!((message.os_version, message.product_name), (None, None));
}

#[test]
fn reports_are_read() {
    assert_eq!(report("idle").command_uuid, None);
    let information = report("acknowledged-device-information").device_information().unwrap();
    assert_eq!(information.eas_device_identifier.as_deref(), Some("EXAMPLE0EAS0DEVICE0ID00000"));
    let security = |name| report(name).security_info().unwrap();
    assert_eq!(security("acknowledged-security-info").encrypted(), Some(true));
    assert_eq!(security("acknowledged-security-info").passcode_complies(), Some(true));
    let unmet = security("acknowledged-security-info-passcode-not-compliant");
    assert_eq!((unmet.passcode_present, unmet.passcode_complies()), (Some(true), Some(false)));
    assert_eq!(report("error-12007").error_text(), "MCMDMErrorDomain 12007: The command is not allowed.");
    assert_eq!(report("not-now").status.name(), "NotNow");
}
