//! What an operator reads of each event, and that the page for operators names the same.

use super::*;
use crate::fleet::terms::Standing;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const DEVICE: DeviceId = DeviceId(Uuid::from_u128(0xd));
const OTHER: DeviceId = DeviceId(Uuid::from_u128(0xdd));
const ENROLMENT: EnrolmentId = EnrolmentId(Uuid::from_u128(0xe));
const HEIR: EnrolmentId = EnrolmentId(Uuid::from_u128(0xee));
const COMMAND: CommandId = CommandId(Uuid::from_u128(0xc));
const APPROVAL: ApprovalId = ApprovalId(Uuid::from_u128(0xa));
const INVITATION: InvitationId = InvitationId(Uuid::from_u128(0x1));
const INSTANCE: Uuid = Uuid::from_u128(0xc0);
const TOKEN: TokenId = TokenId(Uuid::from_u128(0x7));

const D: &str = "00000000-0000-0000-0000-00000000000d";
const E: &str = "00000000-0000-0000-0000-00000000000e";
const C: &str = "00000000-0000-0000-0000-00000000000c";
const A: &str = "00000000-0000-0000-0000-00000000000a";
const OF_ENROLMENT: &str = "enrolment 00000000-0000-0000-0000-00000000000e";

/// An event with its action, subject, outcome and detail, and under which it is found: a device (`d`), an enrolment (`e`) or both.
type Row = (Event, &'static str, &'static str, &'static str, &'static str, &'static str);

fn asked_for(action: Action, pass: Pass) -> Event {
    Event::CommandAsked { command: COMMAND, device: DEVICE, action, pass, reason: "lost".into() }
}

fn of_commands() -> Vec<Row> {
    let (command, device, enrolment) = (COMMAND, DEVICE, ENROLMENT);
    let cancelled = |why| Event::CommandCancelled { command, device, why };
    let (sent, repeated) = (
        Event::CommandSent { command, device, action: Action::Lock, enrolment },
        Event::CommandRepeated { command, device, action: Action::Restart, enrolment },
    );
    let handed = Event::WipeHandedOver { command, device, to: HEIR, channel: Channel::Omadm, from: enrolment };
    let from_to = "from 00000000-0000-0000-0000-00000000000e to 00000000-0000-0000-0000-0000000000ee";
    let (about, mail) = (Unasked::Command(command), Unasked::MailWipe);
    let again = "the client answered status 2; it is told again";
    let declined = |command| Event::WipeDeclined { command, device };
    let no_login = "a wipe's acknowledgement without a login";
    vec![
        (asked_for(Action::Wipe, Pass::Free), "wipe.asked", C, "ok", "lost", "d"),
        (asked_for(Action::Wipe, Pass::Held), "wipe.asked", C, "held", "lost", "d"),
        (asked_for(Action::Lock, Pass::Free), "lock.asked", C, "ok", "lost", "d"),
        (asked_for(Action::ClearPasscode, Pass::Free), "clear_passcode.asked", C, "ok", "lost", "d"),
        (asked_for(Action::Restart, Pass::Free), "restart.asked", C, "ok", "lost", "d"),
        (asked_for(Action::Refresh, Pass::Free), "sync.asked", C, "ok", "lost", "d"),
        (asked_for(Action::Policy, Pass::Free), "policy.asked", C, "ok", "lost", "d"),
        (asked_for(Action::Rename, Pass::Free), "rename.asked", C, "ok", "lost", "d"),
        (asked_for(Action::Renew, Pass::Free), "renew.asked", C, "ok", "lost", "d"),
        (sent, "command.sent", C, "lock", OF_ENROLMENT, "d"),
        (repeated, "command.repeated", C, "restart", OF_ENROLMENT, "d"),
        (cancelled(Cancelled::ByHand), "command.cancelled", C, "ok", "", "d"),
        (cancelled(Cancelled::EmergencyStop), "command.cancelled", C, "ok", "emergency stop", "d"),
        (cancelled(Cancelled::ReplacedByFullWipe), "command.cancelled", C, "ok", "replaced by a full wipe", "d"),
        (cancelled(Cancelled::FullWipeUnderWay), "command.cancelled", C, "ok", "a full wipe is under way", "d"),
        (cancelled(Cancelled::AtMailServer), "command.cancelled", C, "ok", "at the mail server that ordered it", "d"),
        (
            Event::WipeToldUpstream { command, device, erases: false },
            "wipe.told_upstream",
            C,
            "ok",
            "the device's own acknowledgement, status 2",
            "d",
        ),
        (Event::CommandReleased { command, device }, "command.released", C, "ok", "its undo window ended", "d"),
        (Event::CommandExpired { command, device }, "command.expired", C, "ok", "", "d"),
        (
            Event::WipeContradicted { command, device, enrolment },
            "wipe.contradicted",
            C,
            "ok",
            "heard by enrolment 00000000-0000-0000-0000-00000000000e",
            "d",
        ),
        (Event::WipeEnded { command, device, end: State::Presumed }, "wipe.ended", C, "presumed", "", "d"),
        (handed, "wipe.handed_over", C, "omadm", from_to, "d"),
        (declined(Some(command)), "wipe.declined", C, "pending", again, "d"),
        (declined(None), "wipe.declined", "", "pending", again, "d"),
        (Event::AnswerUnasked { enrolment, answer: about }, "answer.unasked", C, "ignored", OF_ENROLMENT, "e"),
        (
            Event::AnswerUnasked { enrolment, answer: mail },
            "answer.unasked",
            E,
            "ignored",
            "a wipe's acknowledgement",
            "e",
        ),
        (Event::AnswerUnproved { enrolment, device }, "answer.unproved", E, "ignored", no_login, "d"),
    ]
}

fn of_enrolments() -> Vec<Row> {
    let (device, enrolment, reason) = (DEVICE, ENROLMENT, || "left us".to_string());
    let invited = "invitation 00000000-0000-0000-0000-000000000001";
    let issued = Event::CertificateIssued { enrolment, invitation: INVITATION };
    let revoked = |device| Event::CertificateRevoked { enrolment, device };
    let unknown = Event::CertificateUnknown { sha256: Fingerprint([0xab; 32]) };
    let sha256 = "abababababababababababababababababababababababababababababababab";
    let older = "a certificate of our CA that the store does not know: is the store an older copy? (docs/backup.md)";
    let complete = |proof| Event::EnrolmentComplete { enrolment, device, proof };
    let reported = "device 00000000-0000-0000-0000-00000000000d, reported by a connector";
    let instance = "instance 00000000-0000-0000-0000-0000000000c0";
    let drift = "Exchange treats it otherwise than was decided here; it is set right";
    let by_password = "device 00000000-0000-0000-0000-00000000000d, by password";
    let refused = |device, ground| Event::EnrolmentRefused { enrolment, device, ground };
    let another = "it speaks for another device, or on another channel";
    let joined = Event::EnrolmentJoined { enrolment, device, former: OTHER };
    let joins = "device 00000000-0000-0000-0000-0000000000dd joins 00000000-0000-0000-0000-00000000000d";
    let same_name = "another user's device goes by the same name; nothing was joined";
    vec![
        (issued, "certificate.issued", E, "ok", invited, "e"),
        (Event::CertificateRenewed { enrolment, device }, "certificate.renewed", E, "ok", "", "d"),
        (revoked(Some(device)), "certificate.revoked", E, "ok", "", "d"),
        (revoked(None), "certificate.revoked", E, "ok", "", ""),
        (unknown, "certificate.unknown", sha256, "refused", older, ""),
        (Event::EnrolmentBegun { enrolment, device }, "enrolment.begun", E, "ok", "", "d"),
        (complete(Proof::Certificate), "enrolment.complete", E, "ok", "", "d"),
        (complete(Proof::Password("quarantined")), "enrolment.complete", E, "quarantined", by_password, "d"),
        (complete(Proof::Reported("enrolled")), "enrolment.complete", E, "enrolled", reported, "d"),
        (
            Event::ConnectorInvited { org: "contoso".into(), invitation: INSTANCE },
            "connector.invited",
            "contoso",
            "ok",
            "invitation 00000000-0000-0000-0000-0000000000c0",
            "",
        ),
        (
            Event::ConnectorEnrolled { org: "contoso".into(), instance: INSTANCE },
            "connector.enrolled",
            "contoso",
            "ok",
            instance,
            "",
        ),
        (
            Event::ConnectorLeads { org: "contoso".into(), instance: INSTANCE },
            "connector.led",
            "contoso",
            "ok",
            instance,
            "",
        ),
        (Event::ConnectorRemoved { org: "contoso".into() }, "connector.removed", "contoso", "ok", "", ""),
        (Event::ExchangeDrift(Drifted::Client { enrolment, device }), "exchange.drift", E, "noted", drift, "de"),
        (
            Event::ExchangeDrift(Drifted::Organisation {
                org: "contoso".into(),
                what: "default: allow becomes block".into(),
            }),
            "exchange.drift",
            "contoso",
            "noted",
            "otherwise than was set here: default: allow becomes block; it is set right",
            "",
        ),
        (
            Event::ExchangeAccessSet { org: "contoso".into(), access: Some("quarantine; 2 rules".into()) },
            "exchange.access",
            "contoso",
            "ok",
            "quarantine; 2 rules",
            "",
        ),
        (
            Event::ExchangeAccessSet { org: "contoso".into(), access: None },
            "exchange.access",
            "contoso",
            "ok",
            "left as it is from now on",
            "",
        ),
        (refused(Some(device), Ground::SpeaksForAnother), "enrolment.refused", E, "refused", another, "de"),
        (
            refused(None, Standing::Expired.into()),
            "enrolment.refused",
            E,
            "refused",
            "the certificate has expired",
            "e",
        ),
        (
            Event::EnrolmentLeft { enrolment, device, kind: EvidenceKind::Checkout },
            "enrolment.left",
            E,
            "ok",
            "checkout",
            "d",
        ),
        (Event::EnrolmentRevoked { enrolment, device, reason: reason() }, "enrolment.revoked", E, "ok", "left us", "d"),
        (joined, "enrolment.joined", E, "ok", joins, "d"),
        (Event::EnrolmentAllowed { enrolment, device, reason: reason() }, "enrolment.allowed", E, "ok", "left us", "d"),
        (Event::EnrolmentBlocked { enrolment, device, reason: reason() }, "enrolment.blocked", E, "ok", "left us", "d"),
        (
            Event::EnrolmentClaimed { enrolment, device },
            "enrolment.claimed",
            E,
            "noted",
            "its user signed in with the code of its notice; it still waits",
            "de",
        ),
        (
            Event::EnrolmentQuarantined { enrolment, device, reason: String::new() },
            "enrolment.quarantined",
            E,
            "ok",
            "",
            "d",
        ),
        (
            Event::EnrolmentGivenUp { enrolment, device, why: "too late" },
            "enrolment.given_up",
            E,
            "ok",
            "too late",
            "d",
        ),
        (
            Event::EnrolmentSucceeded { enrolment, device, by: OTHER },
            "enrolment.succeeded",
            E,
            "ok",
            "device 00000000-0000-0000-0000-0000000000dd goes by the same name and is heard, and this one has been silent for a day",
            "d",
        ),
        (Event::DeviceNameTaken { enrolment }, "device.name_taken", E, "noted", same_name, "e"),
        (Event::PushRetired { enrolment, device }, "push.retired", E, "ok", "", "d"),
    ]
}

fn of_people() -> Vec<Row> {
    let (group, device) = (|| "sales".to_string(), DEVICE);
    let (admin, name) = (|| "ann".to_string(), || "Ann".to_string());
    let setting = |counts| Event::SettingSet { key: "wipe.delay".into(), value: "1h".into(), counts };
    let rules = |counts| Event::MailRulesSet { rules: "default block; os >=17.2: allow".into(), counts };
    let decided = |decision| Event::ApprovalDecided { approval: APPROVAL, decision };
    let token = "00000000-0000-0000-0000-000000000007";
    let took_its_place = "device 00000000-0000-0000-0000-00000000000d took its place";
    let invitation = "00000000-0000-0000-0000-000000000001";
    let asked = Event::ApprovalAsked { approval: APPROVAL, detail: "too many".into() };
    let applied = Event::PolicyApplied { policy: "base".into(), diff: "camera: blocked".into() };
    vec![
        (Event::GroupMade { group: group() }, "group.made", "sales", "ok", "", ""),
        (Event::GroupDeleted { group: group() }, "group.deleted", "sales", "ok", "", ""),
        (Event::DeviceRemoved { device, newer: None }, "device.removed", D, "ok", "", "d"),
        (Event::DeviceRemoved { device, newer: Some(device) }, "device.removed", D, "ok", took_its_place, "d"),
        (Event::DeviceBack { device }, "device.back", D, "ok", "", "d"),
        (Event::DeviceOwned { device, ownership: "personal" }, "device.ownership", D, "ok", "personal", "d"),
        (Event::DeviceGiven { device, user: name() }, "device.user", D, "ok", "Ann", "d"),
        (Event::GroupAdded { group: group(), device }, "group.added", D, "ok", "sales", "d"),
        (Event::GroupRemoved { group: group(), device }, "group.removed", D, "ok", "sales", "d"),
        (applied, "policy.applied", "base", "ok", "camera: blocked", ""),
        (Event::PolicyDeleted { policy: "base".into() }, "policy.deleted", "base", "ok", "", ""),
        (Event::InvitationRevoked { invitation: INVITATION }, "invitation.revoked", invitation, "ok", "", ""),
        (
            Event::InvitationMade { invitation: INVITATION, whom: Invited::User(name()) },
            "invitation.made",
            invitation,
            "ok",
            "Ann",
            "",
        ),
        (
            Event::InvitationMade { invitation: INVITATION, whom: Invited::Many(500, Some(group())) },
            "invitation.made",
            invitation,
            "ok",
            "for 500 devices of nobody in particular, group sales",
            "",
        ),
        (Event::AdminMade { admin: admin(), name: name() }, "admin.made", "ann", "ok", "Ann", ""),
        (Event::AdminRemoved { admin: admin(), name: name() }, "admin.removed", "ann", "ok", "Ann", ""),
        (Event::TokenMade { token: TOKEN, admin: admin() }, "token.made", token, "ok", "ann", ""),
        (Event::TokenRevoked { token: TOKEN }, "token.revoked", token, "ok", "", ""),
        (setting(Counts::Now), "setting.set", "wipe.delay", "ok", "1h", ""),
        (setting(Counts::Later), "setting.set", "wipe.delay", "pending", "1h", ""),
        (rules(Counts::Now), "mail_rules.set", "mail", "ok", "default block; os >=17.2: allow", ""),
        (rules(Counts::Later), "mail_rules.set", "mail", "pending", "default block; os >=17.2: allow", ""),
        (Event::StopSet, "stop.on", "stop", "ok", "", ""),
        (Event::StopLifted, "stop.off", "stop", "ok", "", ""),
        (asked, "approval.asked", A, "waiting", "too many", ""),
        (decided(Decision::Approved), "approval.decided", A, "approved", "", ""),
        (decided(Decision::Rejected), "approval.decided", A, "rejected", "", ""),
        (decided(Decision::Expired), "approval.decided", A, "expired", "", ""),
    ]
}

fn of_the_server() -> Vec<Row> {
    let jumped = |jump| Event::ClockJumped { jump };
    let moved = "the clock shows 7200 s less than before; waits count what has passed, not this";
    let doubted = "the clock shows 90000 s more than before; nothing expires and nothing is issued for an hour, or until \
                   `lanyard clock accept`";
    let believed = "the clock shows 90000 s more than before; it has lasted for an hour";
    let named = vec!["device/1".to_string(), "command/2".to_string()];
    let loss =
        |expected| Loss { commit: 7, expected, records: 100, missing: 3, unreadable: 2, named: named.clone(), held: 4 };
    let lost =
        "taken as of commit 7, of 9; 100 records, 3 missing, 2 unreadable device/1 command/2; 4 commands are held";
    let who_knows = "taken as of commit 7, of unknown; 100 records, 3 missing, 2 unreadable device/1 command/2; 4 commands are held";
    let stranger =
        |address: Option<&str>| Event::StrangerRefused { address: address.map(|a| a.parse().unwrap()), count: 12 };
    let head = |node: &str, seq| Head { node: node.into(), seq, hash: "ff".into() };
    let checkpoint = Event::Checkpoint { node: "a".into(), heads: vec![head("a", 1), head("b", 2)] };
    let push = Event::PushCertificateSet { topic: "com.apple.mgmt.x".into(), sha256: "00ff".into() };
    let accepted = Event::ClockAccepted { wall: Timestamp(0) };
    vec![
        (jumped(Jump::Moved(-7_200_999)), "clock.jump", "clock", "believed", moved, ""),
        (jumped(Jump::Doubted(90_000_000)), "clock.jump", "clock", "doubted", doubted, ""),
        (jumped(Jump::Believed(90_000_000)), "clock.jump", "clock", "believed", believed, ""),
        (accepted, "clock.accepted", "clock", "ok", "1970-01-01T00:00:00Z", ""),
        (push, "push_cert.set", "com.apple.mgmt.x", "ok", "00ff", ""),
        (Event::StoreLossAccepted { loss: loss(Some(9)) }, "store.loss_accepted", "store", "ok", lost, ""),
        (Event::StoreLossAccepted { loss: loss(None) }, "store.loss_accepted", "store", "ok", who_knows, ""),
        (stranger(Some("192.0.2.1")), "stranger.refused", "192.0.2.1", "refused", "12", ""),
        (stranger(None), "stranger.refused", "others", "refused", "12", ""),
        (checkpoint, "checkpoint", "a", "ok", "a 1 ff; b 2 ff", ""),
    ]
}

fn all() -> Vec<Row> {
    [of_commands(), of_enrolments(), of_people(), of_the_server()].concat()
}

fn name(event: &Event) -> String {
    format!("{event:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

#[test]
fn each_is_worded_as_it_always_was() {
    for (event, action, subject, outcome, detail, found_by) in all() {
        let row = format!("{event:?}");
        let words = event.words();
        let by = [words.device.map(|_| 'd'), words.enrolment.map(|_| 'e')].into_iter().flatten().collect::<String>();
        let read = (words.action, words.subject.as_str(), words.outcome, words.detail.as_str(), by.as_str());
        assert_eq!(read, (action, subject, outcome, detail, found_by), "{row}");
        assert!(words.device.is_none_or(|device| device == DEVICE), "{row}");
        assert!(words.enrolment.is_none_or(|enrolment| enrolment == ENROLMENT), "{row}");
    }
}

#[test]
fn no_event_is_missing_above() {
    let (_, of_enum) = include_str!("../event.rs").split_once("pub enum Event {").unwrap();
    let (of_enum, _) = of_enum.split_once("\n}").unwrap();
    let named =
        |line: &str| line.strip_prefix("    ").filter(|l| l.starts_with(char::is_uppercase)).map(str::to_string);
    let variant = |line: String| line.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
    let variants: BTreeSet<String> = of_enum.lines().filter_map(named).map(variant).collect();
    assert_eq!(all().iter().map(|row| name(&row.0)).collect::<BTreeSet<_>>(), variants);
}

#[test]
fn an_action_means_one_thing() {
    let mut of = BTreeMap::new();
    for (event, action, ..) in all() {
        let event = name(&event);
        let before = of.entry(action).or_insert_with(|| event.clone());
        assert_eq!(*before, event, "{action}");
    }
}

#[test]
fn who_did_it_is_told_in_one_word() {
    for (by, text) in
        [(By::Admin("ann".into()), "ann"), (By::Device, "device"), (By::System, "system"), (By::Stranger, "stranger")]
    {
        assert_eq!(by.into_text(), text);
    }
}

#[test]
fn the_documentation_lists_every_action_and_no_other() {
    let page = include_str!("../../../../docs/operations.md");
    let (_, section) = page.split_once("\n## The audit log\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let listed: Vec<&str> = cells.flat_map(|cell| cell.split(", ")).map(|action| action.trim_matches('`')).collect();
    let actions: BTreeSet<&str> = all().iter().map(|row| row.1).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), actions);
    assert_eq!(listed.len(), actions.len(), "one is listed twice");
    assert_eq!(ACTIONS.into_iter().collect::<BTreeSet<_>>(), actions);
}
