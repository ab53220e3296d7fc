//! Every command there and back.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{Secret, return_to_service::ReturnToService};

#[test]
fn a_pin_is_six_digits() {
    assert_eq!(Pin::parse("012345").unwrap().expose(), "012345");
    for bad in ["", "12345", "1234567", "12345a", "１２３４５６", "12 456"] {
        assert!(Pin::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_command_with_secrets_does_not_print_them() {
    let lock = Command::DeviceLock(DeviceLock { pin: Some(Pin::parse("987654").unwrap()), ..Default::default() });
    assert!(!format!("{lock:?}").contains("987654"));
}

#[test]
fn an_unknown_request_is_an_error_of_its_own() {
    let bytes =
        Dict::new().with("CommandUUID", "C1").with("Command", Dict::new().with("RequestType", "Dance")).to_xml();
    assert_eq!(Command::parse(&bytes), Err(Error::UnknownRequestType("Dance".into())));
}

#[test]
fn settings_hold_one_item_that_is_known() {
    let read = |items: Vec<Dict>| {
        let command = Dict::new().with("RequestType", "Settings").with("Settings", items);
        Command::parse(&Dict::new().with("CommandUUID", "C1").with("Command", command).to_xml())
    };
    let name = || Dict::new().with("Item", "DeviceName").with("DeviceName", "Ward 3");
    assert_eq!(read(vec![name()]), Ok(("C1".into(), Command::Settings(Settings::DeviceName("Ward 3".into())))));
    let one = Err(Error::BadValue { field: "Settings", why: "not a list of one item" });
    assert_eq!(read(vec![]), one);
    assert_eq!(read(vec![name(), name()]), one);
    let other = Dict::new().with("Item", "Wallpaper");
    assert_eq!(read(vec![other]), Err(Error::UnknownRequestType("Settings.Wallpaper".into())));
}

#[test]
fn an_error_under_the_default_behaviour_proves_nothing() {
    let erase = |behavior| EraseDevice { obliteration_behavior: behavior, ..Default::default() };
    assert!(erase(None).may_erase_after_error());
    assert!(erase(Some(ObliterationBehavior::Default)).may_erase_after_error());
    assert!(!erase(Some(ObliterationBehavior::DoNotObliterate)).may_erase_after_error());
}

fn bytes() -> impl Strategy<Value = Secret<Vec<u8>>> {
    vec(any::<u8>(), 0..60).prop_map(Secret::new)
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec("[ -~]{0,20}", 0..4)
}

fn any_command() -> impl Strategy<Value = Command> {
    let pin = || option::of("[0-9]{6}".prop_map(|pin| Pin::parse(&pin).unwrap()));
    let behavior = option::of(prop_oneof![
        Just(ObliterationBehavior::Default),
        Just(ObliterationBehavior::DoNotObliterate),
        Just(ObliterationBehavior::ObliterateWithWarning),
        Just(ObliterationBehavior::Always)
    ]);
    let back = (any::<(bool, bool)>(), option::of(bytes()), option::of(bytes()), option::of(bytes())).prop_map(
        |((enabled, retry), wifi_profile, mdm_profile, token)| ReturnToService {
            enabled,
            wifi_profile,
            mdm_profile,
            bootstrap_token: token,
            should_retry_enrolment: retry,
        },
    );
    let erase = (pin(), any::<(bool, bool)>(), behavior, option::of(back)).prop_map(
        |(pin, (preserve_data_plan, disallow_proximity_setup), obliteration_behavior, return_to_service)| {
            Command::EraseDevice(EraseDevice {
                pin,
                preserve_data_plan,
                disallow_proximity_setup,
                obliteration_behavior,
                return_to_service,
            })
        },
    );
    let lock = (option::of("\\PC{0,20}"), option::of("[0-9+]{0,9}"), pin())
        .prop_map(|(message, phone_number, pin)| Command::DeviceLock(DeviceLock { message, phone_number, pin }));
    let apps = (texts(), any::<bool>(), texts()).prop_map(|(identifiers, managed_apps_only, items)| {
        Command::InstalledApplicationList(InstalledApplicationList { identifiers, managed_apps_only, items })
    });
    prop_oneof![
        erase,
        lock,
        apps,
        texts().prop_map(|queries| Command::DeviceInformation(DeviceInformationQuery { queries })),
        bytes().prop_map(|payload| Command::InstallProfile(InstallProfile { payload })),
        "[a-z.]{1,20}".prop_map(|identifier| Command::RemoveProfile(RemoveProfile { identifier })),
        "[a-z.]{1,20}".prop_map(|identifier| Command::RemoveApplication(RemoveApplication { identifier })),
        bytes().prop_map(|token| Command::ClearPasscode(ClearPasscode { unlock_token: token })),
        texts().prop_map(|identifiers| Command::ManagedApplicationList(ManagedApplicationList { identifiers })),
        any::<bool>().prop_map(|notify_user| Command::RestartDevice(RestartDevice { notify_user })),
        any::<bool>().prop_map(|managed_only| Command::ProfileList(ProfileList { managed_only })),
        "\\PC{1,63}".prop_map(|name| Command::Settings(Settings::DeviceName(name))),
        Just(Command::SecurityInfo),
        Just(Command::ShutDownDevice),
        Just(Command::DeviceConfigured),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(command in any_command(), uuid in "[0-9a-f-]{36}") {
        prop_assert_eq!(Command::parse(&command.encode(&uuid)), Ok((uuid, command)));
    }

    #[test]
    fn no_property_list_panics(value in crate::plist::tests::any_value(), kind in 0..CommandKind::ALL.len()) {
        let mut command = value.as_dict().cloned().unwrap_or_default();
        command.set("RequestType", CommandKind::ALL[kind].request_type());
        let _ = Command::parse(&Dict::new().with("CommandUUID", "C1").with("Command", command).to_xml());
    }
}
