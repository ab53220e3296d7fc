use super::*;
use serde_json::json;
use time::macros::datetime;

fn row(value: Json) -> Row {
    let Json::Object(row) = value else { panic!("an object") };
    row
}

const GUID: &str = "5ba29aa5-7ad4-4b45-a3e9-e5f0a2a6c8d1";
const DN: &str = "CN=iPhone§ApplF9,CN=ExchangeActiveSyncDevices,CN=Ann,OU=Users,DC=example,DC=org";

fn a_device() -> Json {
    json!({
        "Guid": GUID, "DeviceId": "ApplF9", "DeviceType": "iPhone", "DistinguishedName": DN, "ClientType": "EAS",
        "ClientVersion": "16.1", "DeviceAccessState": "Quarantined", "FirstSyncTime": "2026-11-30T10:20:30.1234567Z",
    })
}

fn a_mailbox(allowed: Json, blocked: Json) -> Mailbox {
    mailbox(&row(json!({
        "Guid": "0c5bf9bb-6fd5-4d5b-8bd4-4f6dc1b8c1a2", "PrimarySmtpAddress": "ann@example.org",
        "DistinguishedName": "CN=Ann,OU=Users,DC=example,DC=org",
        "ActiveSyncAllowedDeviceIDs": allowed, "ActiveSyncBlockedDeviceIDs": blocked,
    })))
    .unwrap()
}

#[test]
fn a_device_is_tied_to_the_mailbox_under_which_it_lies_and_to_no_other() {
    let device = device(&row(a_device())).unwrap();
    let own = a_mailbox(json!([]), json!(null));
    let told = device.clone().of(&own, None).unwrap();
    assert_eq!((told.address.as_str(), told.key.mailbox), ("ann@example.org", own.guid));
    assert_eq!((told.access, told.listed), (Access::Quarantined, Some(Listed::Neither)));
    assert_eq!(told.first_sync, Some(datetime!(2026-11-30 10:20:30.1234567 UTC)));
    let other = Mailbox { name: "cn=bob,ou=users,dc=example,dc=org".into(), ..own };
    assert_eq!(device.of(&other, None), None);
}

#[test]
fn what_names_nobody_is_no_device() {
    for (what, name, value) in [
        ("no Guid", "Guid", json!(null)),
        ("a Guid of zeros", "Guid", json!("00000000-0000-0000-0000-000000000000")),
        ("no DeviceId", "DeviceId", json!("")),
        ("a DeviceId with a line's end", "DeviceId", json!("a\nb")),
        ("under no mailbox", "DistinguishedName", json!("CN=iPhone§ApplF9,CN=Ann,DC=example")),
    ] {
        let mut told = row(a_device());
        told.insert(name.into(), value);
        assert_eq!(device(&told), None, "{what}");
    }
    let nested = json!({ "Guid": GUID });
    let mut told = row(a_device());
    told.insert("Guid".into(), nested);
    assert!(device(&told).is_some(), "as an object");
}

#[test]
fn the_blocked_list_goes_before_the_allowed_one_and_letter_case_does_not_count() {
    for (what, allowed, blocked, want) in [
        ("neither", json!(null), json!([]), Listed::Neither),
        ("one alone", json!("APPLF9"), json!(null), Listed::Allowed),
        ("both", json!(["x", "ApplF9"]), json!(["applf9"]), Listed::Blocked),
    ] {
        assert_eq!(a_mailbox(allowed, blocked).listed("ApplF9"), want, "{what}");
    }
}

#[test]
fn a_mailbox_is_under_a_policy_of_its_own_or_under_the_default() {
    let named = |name: &str| Some(Assigned::Named(name.into()));
    for (what, policy, defaulted, want) in [
        ("its own", json!("nurses"), json!(false), named("nurses")),
        ("by its path", json!("example.org/Mobile/nurses"), json!("False"), named("nurses")),
        ("the default", json!("Default"), json!(true), Some(Assigned::Default)),
        ("the default, on premises", json!("Default"), json!("True"), Some(Assigned::Default)),
        ("not told whether", json!("Default"), json!(null), named("Default")),
        ("nothing told", json!(null), json!(null), None),
    ] {
        let told = row(json!({ "ActiveSyncMailboxPolicy": policy, "ActiveSyncMailboxPolicyIsDefaulted": defaulted }));
        assert_eq!(assigned(&told), want, "{what}");
    }
}

#[test]
fn times_are_read_in_each_of_their_forms() {
    let want = Some(datetime!(2026-11-30 10:20:30 UTC));
    for (form, value, want) in [
        ("RFC 3339", json!("2026-11-30T10:20:30Z"), want),
        ("with an offset", json!("2026-11-30T11:20:30+01:00"), want),
        ("without a zone", json!("2026-11-30T10:20:30"), want),
        ("of PowerShell 5.1", json!("/Date(1796034030000)/"), want),
        ("nothing", json!(null), None),
        ("no time", json!("yesterday"), None),
        ("a number far away", json!("/Date(99999999999999999)/"), None),
    ] {
        let got = moment(&row(json!({ "T": value })), "T");
        assert_eq!(got, want, "{form}");
    }
}

#[test]
fn the_two_kinds_of_wipes_have_times_of_their_own() {
    let told = statistics(&row(json!({
        "Guid": GUID, "DeviceID": "ApplF9", "Status": "DeviceWipePending", "DeviceWipeRequestTime": "2026-11-30T10:00:00Z",
        "AccountOnlyDeviceWipeAckTime": "2026-11-29T10:00:00Z",
    })))
    .unwrap();
    assert_eq!((told.wipe.requested, told.wipe.acked), (Some(datetime!(2026-11-30 10:00 UTC)), None));
    assert_eq!(told.account_wipe.acked, Some(datetime!(2026-11-29 10:00 UTC)));
    let whole = device(&row(a_device())).unwrap().of(&a_mailbox(json!([]), json!([])), Some(&told)).unwrap();
    assert_eq!((whole.wipe, whole.status.as_deref()), (Some(told.wipe), Some("DeviceWipePending")));
    let anothers = Statistics { guid: Uuid::from_u128(7), ..told };
    assert_eq!(device(&row(a_device())).unwrap().of(&a_mailbox(json!([]), json!([])), Some(&anothers)), None);
}

#[test]
fn outlook_never_takes_a_wipe_of_the_account_by_that_name() {
    for (device_type, client, version, outlook, takes) in [
        ("iPhone", "EAS", Some("16.1"), false, true),
        ("iPhone", "EAS", Some("16.0"), false, false),
        ("iPhone", "EAS", Some("14.1"), false, false),
        ("iPhone", "EAS", None, false, false),
        ("Outlook", "REST", Some("161"), true, false),
        ("Outlook", "EAS", Some("16.1"), true, false),
        ("iPhone", "Outlook", Some("16.1"), true, false),
    ] {
        let mut told = row(a_device());
        told.insert("DeviceType".into(), json!(device_type));
        told.insert("ClientType".into(), json!(client));
        told.insert("ClientVersion".into(), json!(version));
        let told = device(&told).unwrap().of(&a_mailbox(json!([]), json!([])), None).unwrap();
        assert_eq!(
            (told.is_outlook(), told.takes_account_wipe()),
            (outlook, takes),
            "{device_type} {client} {version:?}"
        );
    }
}
