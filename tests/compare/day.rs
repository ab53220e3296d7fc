//! The day: who enrols, what administrators do by the verbs, and what the devices make of it, always in the same order. Nothing is
//! asserted here: how each step went is noted, and compared.
//!
//! Strangers are left out (wrong codes, revoked tokens): the audit log tells of them by the minute, and minutes are not the day's.

use crate::house::House;
use lanyard_sim::{AppleDevice, MailClient, WindowsDevice, apple, http::Settings, mail, windows};
use serde_json::Value;

const PASSWORD: &str = "mail-password-of-a-user";
const BASELINE: &str = "\
name: baseline
assign: all
passcode:
  required: true
  min_length: 6
  max_failed: 10
camera: blocked
";
/// Who may read mail.
const RULES: &str = "\
default: quarantine
rules:
- when: {user: 'android2@*', ownership: corporate}
  then: block
- when: {certificate: yes}
  then: allow
- when: {family: android, os: '>=12'}
  then: allow
";

/// What a group gets besides, with a raw part and one that no PC has.
const SALES: &str = "\
name: sales
assign: [sales]
passcode:
  min_length: 8
encryption: required
windows:
  csp:
    - path: ./Device/Vendor/MSFT/Policy/Config/Experience/AllowCortana
      data: 0
activesync:
  AllowBluetooth: 1
";

/// Everybody who plays.
struct Cast {
    /// Supervised, with a mail app.
    phone: AppleDevice,
    phone_mail: MailClient,
    /// Its user's own.
    own: AppleDevice,
    mac: AppleDevice,
    pc: WindowsDevice,
    second_pc: WindowsDevice,
    third_pc: WindowsDevice,
    /// Comes with its password alone.
    android: MailClient,
    second_android: MailClient,
    /// Ids on the server, by the names above.
    ids: Vec<(&'static str, String)>,
}

impl Cast {
    fn id(&self, name: &str) -> &str {
        self.ids.iter().find(|(known, _)| *known == name).map_or("nobody", |(_, id)| id)
    }
}

/// Lives through it.
pub(crate) async fn live(house: &mut House) {
    let alice = morning(house).await;
    let mut cast = enrol(house).await;
    policies(house, &mut cast).await;
    acts(house, &mut cast).await;
    access(house, &mut cast).await;
    taken_back(house, &cast).await;
    breaker(house, &mut cast, &alice).await;
    stop(house, &mut cast, &alice).await;
    wipes(house, &mut cast).await;
    evening(house, &mut cast, &alice).await;
}

/// An empty server is looked at, set up, and gets two more administrators: alice's token.
async fn morning(house: &mut House) -> String {
    for list in ["devices", "commands", "approvals", "policy", "group", "admins", "token", "settings"] {
        house.read(&[list, "list"]).await;
    }
    house.read(&["stop", "status"]).await;
    house.read(&["apple", "push-cert", "show"]).await;
    let identity = house.apns.push_certificate().unwrap();
    let pem = [identity.chain_pem().unwrap(), identity.key_pem().unwrap()].concat();
    let file = house.file("push.pem", &pem);
    house.verb(&["apple", "push-cert", "set", &file]).await;
    let empty = house.file("empty.pem", b"nothing");
    house.verb(&["apple", "push-cert", "set", &empty]).await;
    let url = house.apns.url();
    for (key, value) in [
        ("apple.push_url", url.as_str()),
        ("windows.poll", "30m"),
        ("windows.poll", "often"),
        ("wipe.full.per_admin", "2"),
        ("keep.commands", "30d"),
        ("wipe.fill.per_admin", "2"),
        ("eas.unknown", "quarantine"),
    ] {
        house.verb(&["settings", "set", key, value]).await;
    }
    house.verb(&["clock", "accept"]).await;
    house.verb(&["admins", "add", "alice"]).await;
    house.verb(&["admins", "add", "bob"]).await;
    house.verb(&["admins", "add", "bob"]).await;
    let alice = house.verb(&["token", "create", "--admin", "alice"]).await;
    let bob = house.verb(&["token", "create", "--admin", "bob"]).await;
    house.verb_of(Some(text(&bob, "token")), &["devices", "list"]).await;
    house.verb(&["token", "revoke", text(&bob, "id")]).await;
    house.verb(&["invite", "--channel", "apple", "--user", "nobody@example.org", "--expires", "1h"]).await;
    let leaked = house.verb(&["invite", "--channel", "apple", "--user", "leaked@example.org"]).await;
    house.verb(&["invitations", "revoke", text(&leaked, "id")]).await;
    house.verb(&["connector", "invite", "--org", "contoso", "--kind", "online"]).await;
    house.verb(&["connector", "invite", "--org", "contoso", "--kind", "onprem"]).await;
    house.verb(&["connector", "invite", "--org", "sold", "--kind", "onprem"]).await;
    house.verb(&["connector", "access", "contoso", "--release"]).await;
    house.verb(&["connector", "remove", "sold"]).await;
    house.verb(&["group", "create", "school"]).await;
    for channel in ["apple", "windows", "activesync"] {
        house.verb(&["invite", "--channel", channel, "--uses", "500", "--group", "school"]).await;
    }
    house.verb(&["invite", "--channel", "apple", "--uses", "2", "--group", "nowhere"]).await;
    house.verb(&["invitations", "list"]).await;
    text(&alice, "token").to_owned()
}

fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document.get(field).and_then(Value::as_str).unwrap_or_default()
}

async fn invite(house: &mut House, channel: &str, user: &str, ownership: &str) -> Value {
    house.verb(&["invite", "--channel", channel, "--user", user, "--ownership", ownership]).await
}

/// The server's id of whom it knows by this name.
async fn id_of(house: &mut House, name: &str) -> String {
    text(&house.verb(&["devices", "show", name]).await, "id").to_owned()
}

async fn enrol(house: &mut House) -> Cast {
    let (phone, phone_mail) = phone_with_mail(house).await;
    let own = apple_device(house, "own phone", facts(apple::Kind::IPhone, 2), "personal").await;
    let mac = apple_device(house, "mac", facts(apple::Kind::Mac, 3), "corporate").await;
    let (pc, second_pc, third_pc) = (pc(house, 1).await, pc(house, 2).await, pc(house, 3).await);
    let (android, second_android) = (android(house, 1).await, android(house, 2).await);
    let names = [
        ("phone", phone.udid().to_owned()),
        ("own phone", own.udid().to_owned()),
        ("mac", mac.udid().to_owned()),
        ("pc", pc.device_id().to_owned()),
        ("second pc", second_pc.device_id().to_owned()),
        ("third pc", third_pc.device_id().to_owned()),
        ("android", android.facts.device_id.clone()),
        ("second android", second_android.facts.device_id.clone()),
    ];
    let mut ids = Vec::new();
    for (name, identity) in names {
        ids.push((name, id_of(house, &identity).await));
    }
    Cast { phone, phone_mail, own, mac, pc, second_pc, third_pc, android, second_android, ids }
}

/// Nobody's facts are left to chance: they stand in the answers.
fn facts(kind: apple::Kind, number: u32) -> apple::Facts {
    apple::Facts {
        udid: match kind {
            apple::Kind::Mac => format!("5A3B0000-0000-4000-8000-0000000000{number:02}"),
            _ => format!("00008140-00000000000000{number:02}"),
        },
        serial: format!("SM00000000{number:02}"),
        name: format!("device {number}"),
        imei: None,
        ..apple::Facts::random(kind)
    }
}

async fn apple_device(house: &mut House, name: &str, facts: apple::Facts, ownership: &str) -> AppleDevice {
    let invitation = invite(house, "apple", &format!("{}@example.org", name.replace(' ', ".")), ownership).await;
    let mut device = AppleDevice::new(facts, &house.world, Settings::default()).unwrap();
    // Who is not registered is given up by the server. Nobody waits for a push: devices poll when the day says so.
    drop(house.apns.register(device.push()));
    let went = device.continue_enrolment(text(&invitation, "url")).await;
    house.note(name, "enrols", &went);
    poll(house, name, &mut device).await;
    device
}

async fn phone_with_mail(house: &mut House) -> (AppleDevice, MailClient) {
    const EAS: &str = "APPL0000000000000000000000000001";
    const USER: &str = "phone@example.org";
    let facts = apple::Facts { eas_id: Some(EAS.into()), supervised: true, ..facts(apple::Kind::IPhone, 1) };
    let phone = apple_device(house, "phone", facts, "corporate").await;
    house.mail.set_user(USER, PASSWORD);
    house.mail.deliver(USER, "hello");
    let invitation = invite(house, "activesync", USER, "corporate").await;
    let mail = mail::Facts::iphone(EAS, USER, PASSWORD);
    let mut client = MailClient::new(mail, &house.world, Settings::default()).unwrap();
    let got = client.obtain_identity(text(&invitation, "url"), text(&invitation, "code")).await.map(drop);
    house.note("phone's mail", "gets its certificate", &got);
    check_mail(house, "phone's mail", &mut client).await;
    (phone, client)
}

async fn pc(house: &mut House, number: u32) -> WindowsDevice {
    let name = format!("pc {number}");
    let user = format!("pc{number}@example.org");
    let invitation = invite(house, "windows", &user, "corporate").await;
    let facts = windows::Facts {
        device_id: format!("{number:032X}"),
        hw_dev_id: format!("{number:064X}"),
        name: format!("PC-{number}"),
        serial: format!("SNPC{number}"),
        ..windows::Facts::random()
    };
    let mut pc = WindowsDevice::new(facts, &house.world, Settings::default()).unwrap();
    let went = pc.continue_enrolment(&user, text(&invitation, "code")).await;
    house.note(&name, "enrols", &went);
    sync(house, &name, &mut pc).await;
    pc
}

async fn android(house: &mut House, number: u32) -> MailClient {
    let (name, user) = (format!("android {number}"), format!("android{number}@example.org"));
    house.mail.set_user(&user, PASSWORD);
    house.mail.deliver(&user, "hello");
    let facts = mail::Facts { device_id: format!("SEC1{number:028}"), ..mail::Facts::android(&user, PASSWORD) };
    let mut client = MailClient::new(facts, &house.world, Settings::default()).unwrap();
    check_mail(house, &name, &mut client).await;
    house.verb(&["devices", "allow", &client.facts.device_id, "--reason", "known to us"]).await;
    check_mail(house, &name, &mut client).await;
    client
}

/// Twice: a device that has just learnt something is asked for more.
async fn poll(house: &mut House, name: &str, device: &mut AppleDevice) {
    for _ in 0..2 {
        let went = device.poll().await;
        house.note(name, "polls", &went);
    }
}

async fn sync(house: &mut House, name: &str, pc: &mut WindowsDevice) {
    for _ in 0..2 {
        sync_once(house, name, pc).await;
    }
}

async fn sync_once(house: &mut House, name: &str, pc: &mut WindowsDevice) {
    let went = pc.sync().await;
    house.note(name, "holds a session", &went);
}

async fn check_mail(house: &mut House, name: &str, client: &mut MailClient) {
    let went = client.check_mail().await;
    house.note(name, "checks for mail", &went);
}

async fn all_report(house: &mut House, cast: &mut Cast) {
    poll(house, "phone", &mut cast.phone).await;
    poll(house, "own phone", &mut cast.own).await;
    poll(house, "mac", &mut cast.mac).await;
    sync(house, "pc 1", &mut cast.pc).await;
    sync(house, "pc 2", &mut cast.second_pc).await;
    check_mail(house, "phone's mail", &mut cast.phone_mail).await;
    check_mail(house, "android 1", &mut cast.android).await;
    check_mail(house, "android 2", &mut cast.second_android).await;
}

/// Groups, and what holds for whom. The third PC says nothing before the evening: with it everything is pending.
async fn policies(house: &mut House, cast: &mut Cast) {
    for name in ["sales", "empty", "sales"] {
        house.verb(&["group", "create", name]).await;
    }
    for name in ["phone", "own phone", "mac", "pc", "android", "third pc"] {
        house.verb(&["group", "add", "sales", cast.id(name)]).await;
    }
    house.verb(&["group", "remove", "sales", cast.id("own phone")]).await;
    house.verb(&["group", "add", "nobody", cast.id("mac")]).await;
    house.read(&["group", "show", "sales"]).await;
    house.verb(&["group", "delete", "empty"]).await;
    let (baseline, sales) =
        (house.file("baseline.yaml", BASELINE.as_bytes()), house.file("sales.yaml", SALES.as_bytes()));
    let wrong = house.file("wrong.yaml", BASELINE.replace("min_length", "min_lenght").as_bytes());
    house.read(&["policy", "apply", &baseline]).await;
    house.verb(&["policy", "apply", &wrong]).await;
    house.verb(&["policy", "apply", &baseline, "--yes"]).await;
    house.verb(&["policy", "apply", &sales, "--yes"]).await;
    house.read(&["policy", "coverage", "baseline"]).await;
    cast.second_android.conduct.ignores_policy = true;
    cast.own.conduct.ignores_policy = true;
    all_report(house, cast).await;
    house.read(&["policy", "coverage", "baseline"]).await;
    house.read(&["policy", "coverage", "sales"]).await;
    let looser = house.file("looser.yaml", BASELINE.replace("camera: blocked\n", "").as_bytes());
    house.read(&["policy", "apply", &looser]).await;
    house.verb(&["policy", "apply", &looser, "--yes"]).await;
    let third = house.file("third.yaml", b"name: third\nassign: []\ncamera: blocked\n");
    house.verb(&["policy", "apply", &third, "--yes"]).await;
    house.run_plainly(&["policy", "delete", "third"]).await;
    house.verb(&["policy", "delete", "third", "--yes"]).await;
    all_report(house, cast).await;
}

/// What does not need a second person.
async fn acts(house: &mut House, cast: &mut Cast) {
    for name in ["phone", "mac", "pc", "android"] {
        house.verb(&["devices", "sync", cast.id(name)]).await;
        house.verb(&["restart", cast.id(name)]).await;
        house.verb(&["clear-passcode", cast.id(name)]).await;
        house.verb(&["devices", "rename", cast.id(name), &format!(" {name} of ward 3 ")]).await;
    }
    for name in ["", "two\nlines", &"n".repeat(64)] {
        house.verb(&["devices", "rename", cast.id("mac"), name]).await;
    }
    house.verb(&["devices", "rename", cast.id("own phone"), "not supervised"]).await;
    house.verb(&["devices", "set", cast.id("own phone"), "--user", "eve@example.org"]).await;
    house.verb(&["devices", "set", cast.id("own phone"), "--ownership", "personal"]).await;
    house.verb(&["devices", "remove", cast.id("own phone")]).await;
    house.verb(&["restart", cast.id("own phone")]).await;
    house.run_plainly(&["lock", cast.id("phone"), "--reason", "left in a train"]).await;
    house.verb(&["lock", cast.id("mac"), "--pin", "123456"]).await;
    house.verb(&["lock", cast.id("phone"), "--message", "Please call us", "--phone", "+44 20 7946 0000"]).await;
    house.verb(&["lock", cast.id("android"), "--message", "Please call us"]).await;
    house.verb(&["lock", cast.id("android")]).await;
    house.verb(&["lock", cast.id("pc")]).await;
    house.verb(&["lock", cast.id("mac"), "--pin", "12"]).await;
    cast.phone.conduct.not_now = 1;
    cast.mac.conduct.fail.insert("RestartDevice".into());
    all_report(house, cast).await;
    all_report(house, cast).await;
    house.verb(&["devices", "sync", cast.id("third pc")]).await;
    house.read(&["commands", "list"]).await;
}

async fn access(house: &mut House, cast: &mut Cast) {
    for act in ["block", "quarantine", "allow"] {
        house.verb(&["devices", act, cast.id("android"), "--reason", "a trial"]).await;
        check_mail(house, "android 1", &mut cast.android).await;
    }
    house.verb(&["devices", "block", cast.id("mac")]).await;
    house.verb(&["devices", "block", "--where", "type=no such client", "--yes"]).await;
    house.verb(&["devices", "allow", "--where", "agent=*"]).await;
    let rules = house.file("rules.yaml", RULES.as_bytes());
    let wrong = house.file("wrong-rules.yaml", RULES.replace("ownership", "owner").as_bytes());
    house.verb(&["mail", "rules", "apply", &wrong]).await;
    house.read(&["mail", "rules", "apply", &rules]).await;
    house.verb(&["mail", "rules", "apply", &rules, "--yes"]).await;
    check_mail(house, "android 2", &mut cast.second_android).await;
    let all = house.file("all-mail.yaml", b"default: quarantine\nrules:\n- {when: {user: '*@*'}, then: allow}\n");
    house.verb(&["mail", "rules", "apply", &all, "--yes"]).await;
    check_mail(house, "android 2", &mut cast.second_android).await;
    house.run_plainly(&["devices", "revoke", cast.id("second pc"), "--reason", "lent"]).await;
    sync(house, "pc 2", &mut cast.second_pc).await;
    house.verb(&["devices", "show", cast.id("second pc")]).await;
}

/// Wipes that come to nothing.
async fn taken_back(house: &mut House, cast: &Cast) {
    house.run_plainly(&["wipe", cast.id("pc"), "--scope", "full", "--reason", "no terminal"]).await;
    house.run_plainly(&["wipe", cast.id("own phone"), "--scope", "full", "--reason", "not ours"]).await;
    house.verb(&["wipe", cast.id("own phone"), "--scope", "full", "--reason", "not ours", "--yes"]).await;
    house.verb(&["wipe", cast.id("pc"), "--scope", "full", "--reason", "", "--yes"]).await;
    house.verb(&["wipe", cast.id("pc"), "--scope", "full", "--reason", "r", "--pin", "123456", "--yes"]).await;
    for how in [["--preserve-data-plan"].as_slice(), &["--return-to-service"], &["--obliteration", "Default"]] {
        let full = ["--scope", "full", "--reason", "r", "--yes"];
        house.verb(&[&["wipe", cast.id("pc")], full.as_slice(), how].concat()).await;
        house
            .verb(&[&["wipe", cast.id("phone"), "--scope", "selective", "--reason", "r", "--yes"], how].concat())
            .await;
    }
    for mail in ["allow", "block"] {
        let words = ["--scope", "selective", "--reason", "a mistake", "--yes", "--delay", "10m"];
        let id = cast.id("second android").to_owned();
        house.verb(&[&["wipe", &id], words.as_slice()].concat()).await;
        let asked = house.verb(&[&["wipe", &id], words.as_slice()].concat()).await;
        house.verb(&["devices", "show", &id]).await;
        house.verb(&["commands", "cancel", text(&asked, "id"), "--mail", mail]).await;
        house.verb(&["commands", "cancel", text(&asked, "id")]).await;
        house.verb(&["devices", "show", &id]).await;
    }
    house.verb(&["devices", "allow", cast.id("second android")]).await;
}

/// Over alice's limit: held, approved by another, rejected.
async fn breaker(house: &mut House, cast: &mut Cast, alice: &str) {
    let how = ["--obliteration", "DoNotObliterate", "--yes"];
    let mac = ["wipe", cast.id("mac"), "--scope", "full", "--reason", "lost", "--pin", "654321"];
    let mac = [mac.as_slice(), &how].concat();
    house.verb_of(Some(alice), &mac).await;
    house.verb(&["devices", "show", cast.id("mac")]).await;
    let full = ["--scope", "full", "--reason", "a list gone wrong", "--yes"];
    let mut approval = String::new();
    for name in ["android", "pc", "third pc"] {
        let asked = house.verb_of(Some(alice), &[&["wipe", cast.id(name)], full.as_slice()].concat()).await;
        approval = text(&asked, "approval").to_owned();
    }
    house.verb(&["devices", "list"]).await;
    house.read(&["approvals", "show", &approval]).await;
    house.verb_of(Some(alice), &["approvals", "show", &approval]).await;
    house.verb_of(Some(alice), &["approvals", "approve", &approval]).await;
    house.verb(&["approvals", "show", &approval]).await;
    house.verb(&["approvals", "approve", &approval]).await;
    house.verb(&["approvals", "wait", &approval]).await;
    let timed = ["--wait", "--timeout", "1s"];
    house.verb(&[&["wipe", cast.id("third pc")], full.as_slice(), timed.as_slice()].concat()).await;
    poll(house, "mac", &mut cast.mac).await;
    check_mail(house, "android 1", &mut cast.android).await;
    sync(house, "pc 1", &mut cast.pc).await;
    for name in ["mac", "android", "pc"] {
        house.verb(&["devices", "show", cast.id(name)]).await;
    }
    let asked = house.verb_of(Some(alice), &[&["wipe", cast.id("second android")], full.as_slice()].concat()).await;
    house.verb(&["approvals", "reject", text(&asked, "approval")]).await;
    house.verb(&["approvals", "reject", text(&asked, "approval")]).await;
    house.verb(&["commands", "show", text(&asked, "id")]).await;
}

/// The emergency stop, twice: with what waits behind it, and with all of that cancelled.
async fn stop(house: &mut House, cast: &mut Cast, alice: &str) {
    house.verb(&["stop", "on"]).await;
    house.run_plainly(&["lock", cast.id("phone")]).await;
    let words = ["--scope", "selective", "--reason", "leaves us", "--yes"];
    house.run_plainly(&[&["wipe", cast.id("own phone")], words.as_slice()].concat()).await;
    poll(house, "phone", &mut cast.phone).await;
    poll(house, "own phone", &mut cast.own).await;
    let off = house.verb(&["stop", "off"]).await;
    house.verb(&["approvals", "show", text(&off, "id")]).await;
    house.verb(&["approvals", "approve", text(&off, "id")]).await;
    house.verb_of(Some(alice), &["approvals", "show", text(&off, "id")]).await;
    house.verb_of(Some(alice), &["approvals", "approve", text(&off, "id")]).await;
    house.read(&["stop", "status"]).await;
    poll(house, "phone", &mut cast.phone).await;
    house.verb(&["lock", cast.id("phone")]).await;
    house.verb(&["stop", "on", "--cancel-all"]).await;
    house.read(&["stop", "status"]).await;
    let off = house.verb_of(Some(alice), &["stop", "off"]).await;
    house.verb(&["approvals", "show", text(&off, "id")]).await;
    house.verb(&["approvals", "approve", text(&off, "id")]).await;
}

/// Wipes on every channel that come to their end.
async fn wipes(house: &mut House, cast: &mut Cast) {
    let words = ["--scope", "selective", "--reason", "leaves us", "--yes"];
    house.verb(&[&["wipe", cast.id("own phone")], words.as_slice()].concat()).await;
    poll(house, "own phone", &mut cast.own).await;
    let undo = ["--delay", "5s", "--expires", "1d"];
    let asked = house.verb(&[&["wipe", cast.id("second android")], words.as_slice(), &undo].concat()).await;
    house.until_it_goes(text(&asked, "id")).await;
    check_mail(house, "android 2", &mut cast.second_android).await;
    house.verb(&["devices", "show", cast.id("second android")]).await;
    // Told to leave it breaks off without a word, and says goodbye the next time.
    let asked = house.verb(&[&["wipe", cast.id("third pc")], words.as_slice()].concat()).await;
    for _ in 0..2 {
        sync_once(house, "pc 3", &mut cast.third_pc).await;
        house.verb(&["commands", "show", text(&asked, "id")]).await;
    }
    cast.phone.conduct.fail.insert("EraseDevice".into());
    let full = ["--scope", "full", "--reason", "stolen", "--yes"];
    house.verb(&[&["wipe", cast.id("phone")], full.as_slice()].concat()).await;
    check_mail(house, "phone's mail", &mut cast.phone_mail).await;
    poll(house, "phone", &mut cast.phone).await;
    house.verb(&["devices", "show", cast.id("phone")]).await;
    cast.phone.conduct.fail.clear();
    house.verb(&[&["wipe", cast.id("phone")], full.as_slice()].concat()).await;
    poll(house, "phone", &mut cast.phone).await;
    check_mail(house, "phone's mail", &mut cast.phone_mail).await;
}

/// Who comes back, who goes by themselves, and an administrator who leaves.
async fn evening(house: &mut House, cast: &mut Cast, alice: &str) {
    house.verb(&["devices", "allow", cast.id("mac")]).await;
    cast.mac.reset().unwrap();
    drop(house.apns.register(cast.mac.push()));
    let invitation = invite(house, "apple", "mac@example.org", "corporate").await;
    let went = cast.mac.continue_enrolment(text(&invitation, "url")).await;
    house.note("mac", "enrols again", &went);
    poll(house, "mac", &mut cast.mac).await;
    let invitation = invite(house, "windows", "pc2@example.org", "corporate").await;
    cast.second_pc.reset().unwrap();
    let went = cast.second_pc.continue_enrolment("pc2@example.org", text(&invitation, "code")).await;
    house.note("pc 2", "enrols again", &went);
    sync(house, "pc 2", &mut cast.second_pc).await;
    let went = cast.second_pc.unenrol_by_user().await;
    house.note("pc 2", "leaves", &went);
    let removal = house.verb(&["admins", "remove", "bob"]).await;
    house.verb_of(Some(alice), &["approvals", "show", text(&removal, "id")]).await;
    house.verb_of(Some(alice), &["approvals", "approve", text(&removal, "id")]).await;
    house.verb(&["admins", "remove", "local"]).await;
    let acts: Vec<String> = house
        .world
        .ledger
        .acts()
        .iter()
        .map(|a| format!("{} {} {:?} {}", a.device, a.kind, a.effect, a.outcome))
        .collect();
    house.note::<_, ()>("the devices", "did all this", &Ok(acts));
}
