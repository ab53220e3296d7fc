//! The table by examples, and against Apple's own where a copy is there.

use std::path::PathBuf;

use super::*;

fn target(platform: Platform, version: &str) -> Target {
    Target::device(platform, OsVersion::parse(version), AccessRights::ALL)
}

#[test]
fn a_personal_device_cannot_be_erased() {
    let personal = Target { rights: AccessRights::PERSONAL, ..target(Platform::Ios, "26.0") };
    assert_eq!(AccessRights::PERSONAL.bits(), 8183);
    assert_eq!(supports(&personal, CommandKind::EraseDevice), Support::No(Reason::Right(Right::Erase)));
    assert_eq!(supports(&personal, CommandKind::RemoveProfile), Support::Yes);
}

#[test]
fn each_ground_is_named() {
    let iphone = target(Platform::Ios, "26.0");
    let mac = target(Platform::MacOs, "15.0");
    let byod = Target { user_enrolment: true, ..iphone };
    let mac_user = Target { user_channel: true, ..mac };
    let supervised = Target { supervised: Some(true), ..iphone };
    let unknown = Target { os_version: None, ..iphone };
    use {CommandKind as C, Reason as R, Support as S};
    for (row, target, command, want) in [
        ("no passcode on a Mac", mac, C::ClearPasscode, S::No(R::Platform)),
        ("unknown machine", target(Platform::Other, "1"), C::DeviceLock, S::No(R::Platform)),
        ("old", target(Platform::Ios, "10.2"), C::RestartDevice, S::No(R::OsTooOld(OsVersion::new(10, 3, 0)))),
        ("supervision unknown", iphone, C::RestartDevice, S::No(R::NotSupervised)),
        ("supervised", supervised, C::RestartDevice, S::Yes),
        ("a Mac needs none", mac, C::RestartDevice, S::Yes),
        ("no erase in user enrolment", byod, C::EraseDevice, S::No(R::UserEnrolment)),
        ("lock in user enrolment", byod, C::DeviceLock, S::Yes),
        ("user channel", mac_user, C::EraseDevice, S::No(R::UserChannel)),
        ("profiles over it", mac_user, C::InstallProfile, S::Yes),
        ("version unknown", unknown, C::EraseDevice, S::Yes),
        ("deactivates", target(Platform::MacOs, "11.4"), C::DeviceLock, S::No(R::Harmful)),
        ("no longer", target(Platform::MacOs, "11.5"), C::DeviceLock, S::Yes),
    ] {
        assert_eq!(supports(&target, command), want, "{row}");
    }
    let ios_27 = target(Platform::Ios, "27.0");
    let gone = S::No(R::Gone(OsVersion::new(27, 0, 0)));
    assert_eq!(supports_item(&Target { supervised: Some(true), ..ios_27 }, "AvailableOSUpdates"), gone);
    assert_eq!(supports_item(&supervised, "Settings.DeviceName"), S::Yes);
    assert_eq!(supports_item(&iphone, "Settings.DeviceName"), S::No(R::NotSupervised), "one item takes it");
    assert_eq!(
        supports(&target(Platform::Ios, "4.3"), C::ManagedApplicationList),
        S::No(R::OsTooOld(OsVersion::new(5, 0, 0)))
    );
}

#[test]
fn rights_that_devices_refuse_are_refused() {
    for bad in [0, 2, 128, 8192, 6] {
        assert!(AccessRights::new(bad).is_err(), "{bad}");
    }
    for good in [1, 3, 192, 8191, 8183] {
        assert_eq!(AccessRights::new(good).unwrap().bits(), good);
    }
}

#[test]
fn every_command_has_a_row() {
    for kind in CommandKind::ALL {
        assert!(COMMANDS.iter().any(|row| row.command == kind.request_type()), "{kind:?}");
    }
}

/// `LANYARD_SHARED_DATA`, or the folder beside the repository.
fn availability() -> Option<String> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("LANYARD_SHARED_DATA").map_or(beside, PathBuf::from);
    std::fs::read_to_string(data.join("apple-availability/availability.tsv")).ok()
}

#[test]
fn the_table_agrees_with_apples_schema() {
    let Some(tsv) = availability() else {
        println!("skipped: no copy of Apple's availability data");
        return;
    };
    let rows: Vec<Vec<&str>> = tsv.lines().map(|line| line.split('\t').collect()).collect();
    let theirs = |command: &str, os: &str| rows.iter().find(|row| row[..4] == ["command", command, "top", os]);
    for row in COMMANDS.iter().filter(|row| CommandKind::ALL.iter().any(|kind| kind.request_type() == row.command)) {
        for (column, os) in ["iOS", "macOS", "tvOS", "visionOS", "watchOS"].into_iter().enumerate() {
            let at = format!("{:?} on {os}", row.command);
            let Some(want) = theirs(row.command, os) else {
                assert_eq!(row.on[column].there(), None, "{at}");
                continue;
            };
            let there = row.on[column].there().unwrap();
            assert_eq!(Some(there.since), OsVersion::parse(want[4]), "{at}");
            assert_eq!(there.removed, OsVersion::parse(want[6]), "{at}: removed");
            assert_eq!(want[6], "", "{at}: removed");
            let right = match want[7] {
                "AllowInspection" => Some(Right::InspectProfiles),
                "AllowInstallationRemoval" => Some(Right::InstallProfiles),
                "AllowPasscodeRemovalAndLock" => Some(Right::LockAndPasscode),
                "AllowDeviceErase" => Some(Right::Erase),
                "AllowQueryApplications" => Some(Right::QueryApplications),
                "AllowQuerySecurity" => Some(Right::QuerySecurity),
                "AllowAppInstallation" => Some(Right::ManageApplications),
                "AllowSettings" => Some(Right::ChangeSettings),
                "None" | "Special Case" => None,
                other => panic!("{at}: a right called {other}"),
            };
            assert_eq!(row.right, right, "{at}");
            assert_eq!(there.supervised, want[10] == "yes", "{at}: supervision");
            let users = if os == "macOS" { row.user_enrolment.1 } else { row.user_enrolment.0 };
            if ["iOS", "macOS", "visionOS"].contains(&os) {
                assert_eq!(users, want[12] == "allowed", "{at}: user enrolment");
            }
            if os == "macOS" {
                assert_eq!(row.mac_user, want[9] == "yes", "{at}: user channel");
            }
        }
    }
}
