use super::super::answers::Loss;
use super::*;
use crate::policy::{Channel as PolicyChannel, Permission, Platform, PolicyFile, Setting, Target, desired, effective};

const LOCK: &str = "./Device/Vendor/MSFT/Policy/Config/Wifi/AllowInternetSharing";
const ROOT: &str = "./Device/Vendor/MSFT/RootCATrustedCertificates/Root/00AA/EncodedCertificate";
const WIFI: &str = "./Device/Vendor/MSFT/WiFi/Profile/Office%20net/WlanXml";

fn wanted() -> BTreeMap<PartId, Part> {
    let text = format!(
        "name: a\nassign: all\npasscode: {{min_length: 8}}\nwindows: {{csp: [{{path: {LOCK}, data: 0}}, {{path: '{WIFI}', data: <a/>}}]}}\n"
    );
    desired(&effective([&PolicyFile::parse(&text).unwrap()]), PolicyChannel::Omadm, &Target::of(Platform::Windows))
}

fn with_a_root() -> BTreeMap<PartId, Part> {
    let root = PolicyFile::parse(&format!(
        "name: b
assign: all
windows: {{csp: [{{path: {ROOT}, data: QUJDREVG}}]}}
"
    ));
    let target = Target::of(Platform::Windows);
    wanted().into_iter().chain(desired(&effective([&root.unwrap()]), PolicyChannel::Omadm, &target)).collect()
}

fn on_its_way(next: Next, id: &str) -> OnTheWay {
    OnTheWay { next, id: id.parse().unwrap(), hash: "ab".into() }
}

fn answer(code: u16, value: Option<&str>) -> Answer {
    let values = value.map(|value| ("./X".to_owned(), value.to_owned())).into_iter().collect();
    Answer { code: Some(code), values, lost: None }
}

/// The device broke off, after this Status or before any.
fn broken(code: Option<u16>) -> Answer {
    Answer { code, lost: Some(Loss::Refused), ..Answer::default() }
}

#[test]
fn every_typed_setting_has_the_node_of_its_value() {
    for value in Setting::ALL.into_iter().flat_map(Setting::all_values) {
        let sent = value.support(PolicyChannel::Omadm, &Target::of(Platform::Windows)).is_sent();
        let said = setting(&value).map(csp::Setting::node);
        assert_eq!(said, node_of(&PartId::Setting(value.setting())), "{value:?}");
        assert_eq!(said.is_some(), sent, "{value:?}");
    }
}

const ALL: Accepts = Accepts::DeviceAndUser;

#[test]
fn a_session_takes_the_parts_that_it_is_for() {
    let [device, user]: [PartId; 2] = ["setting:camera", "csp:./User/Vendor/MSFT/X"].map(|id| id.parse().unwrap());
    let todo = Difference { remove: vec![device.clone(), user.clone()], ..Difference::default() };
    for (accepts, want) in [
        (Accepts::Nothing, vec![]),
        (Accepts::Device, vec![&device]),
        (Accepts::User, vec![&user]),
        (Accepts::DeviceAndUser, vec![&device, &user]),
    ] {
        let parts = begin(&BTreeMap::new(), &todo, accepts);
        assert_eq!(parts.iter().map(|part| &part.id).collect::<Vec<_>>(), want, "{accepts:?}");
    }
}

#[test]
fn a_command_takes_as_much_as_a_message_holds() {
    let wanted = wanted();
    let ids: Vec<PartId> = wanted.keys().cloned().collect();
    let due = |install: &[PartId], remove: &[PartId], look: &[PartId]| Difference {
        install: install.to_vec(),
        remove: remove.to_vec(),
        look: look.to_vec(),
        ..Difference::default()
    };
    let parts = begin(&wanted, &due(&ids[..3], &["csp:./gone".parse().unwrap()], &ids[3..]), ALL);
    let text: Vec<String> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(parts.len(), 5);
    assert!(text[0].starts_with("+setting:passcode.required ") && text[3].starts_with("-csp:./gone "), "{text:?}");
    assert_eq!(text[4], format!("={} {}", ids[3], wanted[&ids[3]].hash));
    let many: Vec<PartId> = (0..100).map(|n| format!("csp:./{n}").parse().unwrap()).collect();
    assert_eq!(begin(&BTreeMap::new(), &due(&many, &many, &many), ALL).len(), MOST);
    let id = PartId::Csp(WIFI.into());
    let mut large = wanted[&id].clone();
    large.content = PartContent::WindowsCsp { path: WIFI.into(), format: CspFormat::Chr, data: "x".repeat(ROOM) };
    let wanted = BTreeMap::from([(id.clone(), large.clone()), (ids[0].clone(), large)]);
    let both = [id, ids[0].clone()];
    assert_eq!(begin(&wanted, &due(&both, &[], &[]), ALL).len(), 1, "alone, the largest fits");
}

#[test]
fn each_answer_has_its_consequence() {
    let (raw, typed) = (format!("csp:{WIFI}"), "setting:camera");
    let sent = |outcome| Some(Fate::Sent { hash: "ab".into(), outcome });
    for (row, part, answer, want) in [
        ("set", on_its_way(Next::Install, typed), answer(200, None), (Next::ReadBack, None)),
        ("no node yet", on_its_way(Next::Install, &raw), answer(404, None), (Next::Add, None)),
        ("no node yet, in other words", on_its_way(Next::Install, &raw), answer(406, None), (Next::Add, None)),
        ("made", on_its_way(Next::Add, &raw), answer(200, None), (Next::ReadBack, None)),
        ("there already", on_its_way(Next::Add, &raw), answer(418, None), (Next::ReadBack, None)),
        (
            "no such thing",
            on_its_way(Next::Install, typed),
            answer(404, None),
            (Next::Nothing, sent(Outcome::unsupported("Status 404"))),
        ),
        (
            "refused",
            on_its_way(Next::Add, &raw),
            answer(500, None),
            (Next::Nothing, sent(Outcome::failed("Status 500"))),
        ),
        ("gone", on_its_way(Next::Remove, typed), answer(404, None), (Next::Nothing, Some(Fate::Gone))),
        ("gone, in other words", on_its_way(Next::Remove, typed), answer(406, None), (Next::Nothing, Some(Fate::Gone))),
        ("gone, by its word", on_its_way(Next::Remove, typed), answer(200, None), (Next::Nothing, Some(Fate::Away))),
        (
            "stuck",
            on_its_way(Next::Remove, typed),
            answer(405, None),
            (Next::Nothing, Some(Fate::Stuck("Status 405".into()))),
        ),
        ("nothing said", on_its_way(Next::Install, typed), Answer::default(), (Next::Install, None)),
        (
            "broken off over its value",
            on_its_way(Next::ReadBack, typed),
            Answer { lost: Some(Loss::Refused), ..Answer::default() },
            (Next::Nothing, sent(Outcome::unread("the device gave no value"))),
        ),
    ] {
        assert_eq!(answered(&part, &answer, None, None, Unclear::default()), want, "{row}");
    }
}

#[test]
fn what_is_read_back_is_seen_or_lost_and_what_never_told_is_neither() {
    let wanted = wanted();
    let (typed, raw, other) = ("setting:passcode.min_length", format!("csp:{LOCK}"), format!("csp:{WIFI}"));
    let (enforced, taken) = (Outcome::Enforced, Outcome::Taken);
    let there = || Fate::Sent { hash: wanted[&PartId::Csp(WIFI.into())].hash.clone(), outcome: Outcome::There };
    for (row, id, before, told, want) in [
        ("as it was", typed, &enforced, answer(200, Some("8")), Some(Fate::Seen)),
        ("laxer", typed, &enforced, answer(200, Some("4")), Some(Fate::Lost)),
        ("gone", typed, &enforced, answer(404, None), Some(Fate::Lost)),
        ("gone, in other words", typed, &enforced, answer(406, None), Some(Fate::Lost)),
        ("not allowed now", typed, &enforced, answer(405, None), Some(Fate::Unread("Status 405".into()))),
        ("not to be had now", typed, &enforced, answer(500, None), Some(Fate::Unread("Status 500".into()))),
        (
            "a value beside a refusal is none",
            typed,
            &enforced,
            answer(405, Some("8")),
            Some(Fate::Unread("Status 405".into())),
        ),
        ("a network, not allowed now", &other, &enforced, answer(405, None), Some(Fate::Unread("Status 405".into()))),
        ("a network, kept in its own way", &other, &enforced, answer(200, Some("<a><b/></a>")), Some(there())),
        ("and once more", &other, &Outcome::There, answer(200, Some("<a><b/></a>")), Some(there())),
        ("and gone then", &other, &Outcome::There, answer(404, None), Some(Fate::Lost)),
        ("and not told then", &other, &Outcome::There, answer(500, None), Some(Fate::Unread("Status 500".into()))),
        ("a network that is empty", &other, &enforced, answer(200, Some("")), Some(Fate::Lost)),
        ("a network that is as it was set", &other, &Outcome::There, answer(200, Some("<a></a>")), Some(Fate::Seen)),
        ("never told", typed, &Outcome::unread("Status 404"), answer(404, None), None),
        ("tells now", typed, &Outcome::unread("Status 404"), answer(200, Some("8")), Some(Fate::Seen)),
        ("a raw policy, gone", &raw, &enforced, answer(404, None), Some(Fate::Lost)),
        ("a network, gone", &other, &enforced, answer(404, None), Some(Fate::Lost)),
        ("a network, gone, in other words", &other, &enforced, answer(406, None), Some(Fate::Lost)),
        ("write-only", &other, &taken, answer(404, None), None),
        ("broken off", typed, &enforced, broken(None), Some(Fate::Unread(NO_VALUE.into()))),
        ("the value was left out", typed, &enforced, broken(Some(200)), Some(Fate::Unread(NO_VALUE.into()))),
        ("write-only, broken off", &other, &taken, broken(None), None),
    ] {
        let part = &wanted[&id.parse().unwrap()];
        let node = node(part).unwrap();
        let at = time::OffsetDateTime::UNIX_EPOCH;
        let verified = (*before == enforced).then_some(at);
        let kept = Applied { verified, held: true, ..Applied::new(&part.hash, before.clone(), at) };
        let way = OnTheWay { hash: part.hash.clone(), ..on_its_way(Next::ReadBack, id) };
        let found = answered(&way, &told, Some((part, &node)), Some(&kept), Unclear::default());
        assert_eq!(found, (Next::Nothing, want), "{row}");
    }
    let kept = Applied::new("ab", Outcome::stuck("500"), time::OffsetDateTime::UNIX_EPOCH);
    let way = on_its_way(Next::ReadBack, typed);
    for (code, want) in [(404, Some(Fate::Gone)), (406, Some(Fate::Gone)), (200, None)] {
        assert_eq!(
            answered(&way, &answer(code, None), None, Some(&kept), Unclear::default()).1,
            want,
            "asked for no more, {code}"
        );
    }
}

#[test]
fn what_reads_its_value_after_it_was_said_to_be_gone_stays() {
    const NODE: &str = "./Device/Vendor/MSFT/BitLocker/AllowWarningForOtherDiskEncryption";
    let other = &format!("csp:{NODE}")[..];
    let root = "csp:./Device/Vendor/MSFT/RootCATrustedCertificates/Root/AB/EncodedCertificate";
    let encryption = "setting:encryption";
    let policy = PolicyFile::parse(&format!(
        "name: b
assign: all
windows: {{csp: [{{path: {NODE}, data: 0}}]}}
"
    ))
    .unwrap();
    let set = desired(&effective([&policy]), PolicyChannel::Omadm, &Target::of(Platform::Windows));
    let hash = set[&PartId::Csp(NODE.into())].hash.clone();
    let (gone, stays) = (Some(Fate::Gone), Some(Fate::Stays));
    for (row, id, told, want) in [
        ("not there", "setting:camera", answer(404, None), gone.clone()),
        ("a policy with a value", "setting:camera", answer(200, Some("0")), stays.clone()),
        ("a policy with another", "setting:camera", answer(200, Some("1")), stays.clone()),
        ("a policy with none", "setting:camera", answer(200, Some("")), gone.clone()),
        ("a node as it was set", other, answer(200, Some(" 0 ")), stays.clone()),
        ("a node with a value of its own", other, answer(200, Some("1")), gone.clone()),
        ("a certificate's folder", root, answer(200, None), stays.clone()),
        ("BitLocker, still asked for", encryption, answer(200, Some("1")), stays),
        ("BitLocker, not any more", encryption, answer(200, Some("0")), gone.clone()),
        ("not to be read", other, answer(500, None), gone.clone()),
        ("broken off", other, broken(None), gone),
        ("not answered", other, Answer::default(), None),
    ] {
        let kept = Applied::new(&hash, Outcome::Away, time::OffsetDateTime::UNIX_EPOCH);
        let found = answered(&on_its_way(Next::ReadBack, id), &told, None, Some(&kept), Unclear::default());
        let next = if want.is_some() { Next::Nothing } else { Next::ReadBack };
        assert_eq!(found, (next, want), "{row}");
    }
}

#[test]
fn what_is_wanted_in_any_form_is_never_taken_away() {
    let node = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength";
    let wanted = wanted();
    for (id, goes) in [(format!("csp:{node}"), false), (format!("csp:{LOCK}"), false), ("setting:camera".into(), true)]
    {
        let mut part = on_its_way(Next::Remove, &id);
        let op = prepare_part(&wanted, &mut part, None, "x".into()).unwrap();
        assert_eq!(op.is_some(), goes, "{id}");
    }
}

#[test]
fn bluetooth_is_0_or_2_and_met_by_what_is_stricter() {
    for (permission, number, in_force, met) in [
        (Permission::Blocked, 0, "0", true),
        (Permission::Blocked, 0, "2", false),
        (Permission::Allowed, 2, "2", true),
        (Permission::Allowed, 2, "0", true),
    ] {
        let said = setting(&Value::Bluetooth(permission)).unwrap();
        assert_eq!((said.value(), said.is_met_by(in_force)), (number, met), "{permission:?} {in_force}");
    }
}

#[test]
fn what_was_set_is_in_force_when_it_reads_back() {
    let wanted = with_a_root();
    let of = |id: &str, value: Option<&str>| {
        let part = &wanted[&id.parse().unwrap()];
        let code = if value.is_some() { 200 } else { 404 };
        just_set(read(part, &node(part).unwrap(), code, value))
    };
    let (raw, other, root) = (format!("csp:{LOCK}"), format!("csp:{WIFI}"), format!("csp:{ROOT}"));
    let long = "QUJD".repeat(20);
    for (id, value, want) in [
        ("setting:passcode.min_length", Some("8"), Outcome::Enforced),
        ("setting:passcode.min_length", Some("12"), Outcome::Enforced),
        ("setting:passcode.min_length", Some("4"), Outcome::partly("in force is 4")),
        ("setting:passcode.min_length", None, Outcome::unread("Status 404")),
        (&raw, Some(" 0 "), Outcome::Enforced),
        (&raw, Some("1"), Outcome::partly("in force is 1")),
        (&raw, None, Outcome::unread("Status 404")),
        (&other, Some("<a />"), Outcome::Enforced),
        (&other, None, Outcome::Taken),
        (&other, Some(""), Outcome::partly("in force is nothing")),
        (&other, Some("<a><keyMaterial>sealed</keyMaterial></a>"), Outcome::There),
        (&other, Some("sealed"), Outcome::partly("in force is sealed")),
        (&root, Some("QUJD\r\nREVG"), Outcome::Enforced),
        (&root, Some("QUJDREVH"), Outcome::partly("in force is QUJDREVH")),
        (&root, Some(""), Outcome::partly("in force is nothing")),
        (&root, Some(&long), Outcome::partly("in force is another value")),
        (&root, None, Outcome::Taken),
    ] {
        assert_eq!(of(id, value), want, "{id} {value:?}");
    }
}

#[test]
fn the_rules_of_passwords_go_in_one_atomic_and_in_their_order() {
    let lock = |name: &str, data: &str| {
        let node = format!("./Device/Vendor/MSFT/Policy/Config/DeviceLock/{name}");
        (csp::password_rule(&node).unwrap(), Op::replace(name, node, Format::Int, data))
    };
    let sent = |rules: Vec<(usize, Op)>| -> Vec<Vec<String>> {
        let groups = together(CommandId::NONE, rules);
        let names = groups.map(|group| match group {
            Due::Group { kind: GroupKind::Atomic, ops, .. } => ops.into_iter().map(|op| op.id).collect(),
            other => panic!("{other:?}"),
        });
        names.collect()
    };
    let length = || lock("MinDevicePasswordLength", "8");
    let history = || lock("DevicePasswordHistory", "3");
    let (on, off) = (lock("DevicePasswordEnabled", "0"), lock("DevicePasswordEnabled", "1"));
    let want = ["DevicePasswordEnabled", "DevicePasswordHistory", "MinDevicePasswordLength"];
    assert_eq!(sent(vec![length(), on, history()]), [want.map(str::to_owned).to_vec()]);
    assert_eq!(sent(vec![length()]), [["MinDevicePasswordLength".to_owned()]], "one alone too");
    assert_eq!(
        sent(vec![length(), off]),
        [["DevicePasswordEnabled"], ["MinDevicePasswordLength"]].map(|g| g.map(str::to_owned).to_vec())
    );
    assert_eq!(sent(vec![]), Vec::<Vec<String>>::new());
    assert_eq!(csp::password_rule("./Device/Vendor/MSFT/Policy/Config/DeviceLock/ScreenTimeoutWhileLocked"), None);
}

#[test]
fn what_is_undone_for_another_is_nobodys_refusal() {
    let (length, history) = ("setting:passcode.min_length", "setting:passcode.history");
    let parts = [on_its_way(Next::Install, length), on_its_way(Next::Install, history)];
    for (row, codes, want) in [
        ("one was refused for itself", [216, 405], true),
        ("and the other says what the Atomic says", [507, 405], true),
        ("nobody says for what", [216, 215], false),
        ("the Atomic alone says so", [507, 507], false),
        ("each says the same", [500, 500], false),
        ("one alone", [200, 500], true),
        ("all is set", [200, 200], false),
        ("set for good, though it should be undone", [516, 200], false),
    ] {
        let answers = codes.into_iter().enumerate().map(|(index, code)| (index, answer(code, None))).collect();
        assert_eq!(one_was_refused_for_itself(&parts, &answers), want, "{row}");
        let unclear = !want && codes.into_iter().all(|code| !(200..300).contains(&code) || matches!(code, 215 | 216));
        assert_eq!(nobody_is_to_blame(&parts, &answers), unclear && !codes.contains(&516), "{row}");
    }
    let clear = Unclear::default();
    let (_, fate) = answered(&parts[0], &answer(215, None), None, None, clear);
    assert_eq!(fate, Some(Fate::Sent { hash: "ab".into(), outcome: Outcome::failed("Status 215") }));
    assert_eq!(answered(&parts[0], &answer(516, None), None, None, clear), (Next::ReadBack, None));
    let raw = on_its_way(Next::Install, "csp:./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength");
    assert_eq!(
        answered(&raw, &answer(404, None), None, None, clear).0,
        Next::Nothing,
        "a rule of passwords is never added"
    );
    let unclear = Unclear { rules: true, values: false };
    for (code, want) in [(507, Next::Alone), (500, Next::Alone), (516, Next::ReadBack), (200, Next::ReadBack)] {
        assert_eq!(
            answered(&parts[0], &answer(code, None), None, None, unclear).0,
            want,
            "one by one they tell, {code}"
        );
    }
    let camera = on_its_way(Next::Install, "setting:camera");
    assert_eq!(answered(&camera, &answer(500, None), None, None, unclear).0, Next::Nothing, "it was in no Atomic");
    let alone = on_its_way(Next::Alone, length);
    assert_eq!(answered(&alone, &answer(200, None), None, None, unclear).0, Next::ReadBack);
    let refused = (Next::Nothing, Some(Fate::Sent { hash: "ab".into(), outcome: Outcome::failed("Status 500") }));
    assert_eq!(answered(&alone, &answer(500, None), None, None, unclear), refused);
}

#[test]
fn over_which_of_several_values_it_broke_off_each_alone_tells() {
    let parts = ["setting:camera", "setting:bluetooth"].map(|id| on_its_way(Next::ReadBack, id));
    let answers = |all: [Answer; 2]| all.into_iter().enumerate().collect::<BTreeMap<_, _>>();
    for (row, all, want) in [
        ("both are open", [broken(None), broken(None)], true),
        ("of one the value came", [answer(200, Some("0")), broken(None)], false),
        ("of both but a Status", [broken(Some(200)), broken(Some(200))], true),
        ("one was refused", [answer(404, None), broken(Some(200))], false),
    ] {
        assert_eq!(several_broke_off(&parts, &answers(all)), want, "{row}");
    }
    let done = [on_its_way(Next::Nothing, "setting:camera"), parts[1].clone()];
    assert!(!several_broke_off(&done, &answers([broken(None), broken(None)])), "one of them is done with");
    let at = time::OffsetDateTime::UNIX_EPOCH;
    let kept = Applied { held: true, ..Applied::new("ab", Outcome::Enforced, at) };
    let several = Unclear { rules: false, values: true };
    assert_eq!(answered(&parts[0], &broken(None), None, Some(&kept), several), (Next::ReadApart, None));
    let unread = Applied { unread: Some(NO_VALUE.into()), ..kept.clone() };
    let other = Applied { unread: Some("Status 500".into()), ..kept.clone() };
    let in_doubt = Applied::new("ab", Outcome::unread(NO_VALUE), at);
    for (row, next, kept, want) in [
        ("as ever", Next::ReadBack, &kept, false),
        ("which of several is to tell", Next::ReadApart, &kept, true),
        ("it broke off over it before", Next::ReadBack, &unread, true),
        ("and when it was set", Next::ReadBack, &in_doubt, true),
        ("it only did not tell", Next::ReadBack, &other, false),
    ] {
        assert_eq!(breaks_off(&on_its_way(next, "setting:camera"), Some(kept)), want, "{row}");
    }
}
