use super::*;
use crate::{
    clock::Steady,
    fleet::{
        life::{Act, Asker, Channel, EnrolmentState, Event, Offer, Order, Outcome, Ownership, Platform},
        terms::EvidenceKind,
    },
    ids::DeviceId,
};
use uuid::Uuid;

const MINE: EnrolmentId = EnrolmentId(Uuid::from_u128(1));
const OLD: Fingerprint = Fingerprint([1; 32]);
const NEW: Fingerprint = Fingerprint([2; 32]);
const YEARS: i64 = 730;

/// So many days after the certificate was issued.
fn at(days: i64) -> Time {
    let ms = days * 86_400_000;
    Time { now: Timestamp(ms), steady: Steady(ms), doubted: false }
}

fn certificate(sha256: Fingerprint, from: i64) -> Certificate {
    Certificate { serial: "01".into(), sha256, not_before: at(from).now, not_after: at(from + YEARS).now }
}

fn push(magic: &str) -> Push {
    Push { token: "ab".into(), magic: magic.into(), topic: "t".into(), retired: false, told: None }
}

fn phone() -> Managed {
    let new = Enrolment::new(MINE, Channel::Apple, "UDID", EnrolmentState::Enrolled, at(0).now);
    let new = Enrolment { certificate: Some(certificate(OLD, 0)), push: Some(push("before")), ..new };
    let phone = Managed::new(DeviceId(Uuid::from_u128(9)), "ann", Ownership::Corporate, Platform::Ios, at(0));
    phone.on(Event::Begun { enrolment: Box::new(new), personal: false }, at(0)).0
}

fn number(command: u128) -> CommandId {
    CommandId(Uuid::from_u128(command))
}

/// What may happen on the way, a word each.
fn happens(phone: &mut Managed, word: &str, command: u128, days: i64) -> Vec<Effect> {
    let id = number(command);
    let answered = |outcome| Event::Answered { enrolment: MINE, command: id, outcome };
    let token =
        |magic| Event::ToldAside { enrolment: MINE, push: Some(push(magic)), noted: vec![("key", Some("k".into()))] };
    let event = match word {
        "asked" => {
            let by = Asker::System;
            let (act, reason) = (Act::Renew, String::new());
            Event::Asked(Box::new(Order {
                id,
                act,
                enrolment: MINE,
                channel: Channel::Apple,
                by,
                reason,
                delay: 0,
                expires: None,
                held: None,
            }))
        }
        "handed out" => {
            phone.happen(Event::HandedOut { enrolment: MINE, command: id }, at(days));
            Event::RenewalOffered { enrolment: MINE, command: id, challenge: format!("challenge {command}") }
        }
        "issued" => {
            let shown = Some(Shown { challenge: format!("challenge {command}"), key: "key".into() });
            Event::Renewed { enrolment: MINE, certificate: Box::new(certificate(NEW, days)), shown }
        }
        "issued by the present one" => {
            Event::Renewed { enrolment: MINE, certificate: Box::new(certificate(NEW, days)), shown: None }
        }
        // What the channel does of it: while it is set apart, and once it is not.
        "TokenUpdate" | "TokenUpdate as before" if phone.enrolment(MINE).unwrap().is_set_apart(&NEW) => {
            token(if word == "TokenUpdate" { "after" } else { "before" })
        }
        "TokenUpdate" | "TokenUpdate as before" => {
            phone.happen(Event::PushTold { enrolment: MINE, push: push("after") }, at(days));
            Event::Completed { enrolment: MINE, shown: NEW }
        }
        "acknowledged" => answered(Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() }),
        "refused" => answered(Outcome::failed_with("12", "no")),
        _ => panic!("{word}"),
    };
    phone.happen(event, at(days))
}

impl Outcome {
    fn failed_with(code: &str, text: &str) -> Self {
        Self::Failed { code: FailureCode::Protocol(code.into()), text: text.into() }
    }
}

/// What is revoked, and after how many seconds.
fn revoked(effects: &[Effect]) -> Vec<(Fingerprint, u64)> {
    let of = |effect: &Effect| match effect {
        Effect::Revoke(sha256, after) => Some((*sha256, after.as_secs())),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

#[test]
fn the_pin_is_swapped_once_both_have_come_and_the_former_counts_until_then() {
    let (way, token, done) = (["asked", "handed out", "issued"], "TokenUpdate", "acknowledged");
    let swapped = vec![(OLD, 600)];
    for (row, then, pin, renewed, apart, magic, gone) in [
        ("nothing yet", vec![], OLD, Some(NEW), true, "before", vec![]),
        ("TokenUpdate alone", vec![token], OLD, Some(NEW), true, "before", vec![]),
        ("twice", vec![token, token], OLD, Some(NEW), true, "before", vec![]),
        ("acknowledged alone", vec![done], OLD, Some(NEW), false, "before", vec![]),
        ("TokenUpdate first", vec![token, done], NEW, None, false, "after", swapped.clone()),
        ("acknowledged first", vec![done, token], NEW, None, false, "after", swapped.clone()),
        ("acknowledged again", vec![done, token, done, token], NEW, None, false, "after", swapped.clone()),
        // Its secret shows that it is the device; the command is still to be answered.
        ("the same push magic", vec!["TokenUpdate as before"], OLD, Some(NEW), false, "before", vec![]),
        ("refused", vec!["refused"], OLD, None, false, "before", vec![(NEW, 0)]),
        ("refused after TokenUpdate", vec![token, "refused"], OLD, None, false, "before", vec![(NEW, 0)]),
    ] {
        let (mut phone, mut gone_now) = (phone(), Vec::new());
        for word in way.into_iter().chain(then) {
            gone_now.extend(revoked(&happens(&mut phone, word, 7, 600)));
        }
        let mine = phone.enrolment(MINE).unwrap();
        assert_eq!(mine.certificate.as_ref().unwrap().sha256, pin, "{row}");
        assert_eq!(mine.renewed.as_ref().map(|c| c.sha256), renewed, "{row}");
        assert_eq!(mine.is_set_apart(&NEW), apart, "{row}");
        assert_eq!(mine.push.as_ref().unwrap().magic, magic, "{row}");
        // What was told aside counts with it.
        let kept = ["TokenUpdate first", "the same push magic"].contains(&row);
        assert_eq!(mine.channel_state.contains_key("key"), kept, "{row}");
        assert_eq!(gone_now, gone, "{row}");
        assert_eq!(mine.renewal.is_none(), pin == NEW, "{row}");
    }
}

#[test]
fn what_the_present_certificate_signed_for_is_the_pin_with_its_first_use() {
    let mut phone = phone();
    assert_eq!(revoked(&happens(&mut phone, "issued by the present one", 7, 600)), []);
    assert_eq!(revoked(&happens(&mut phone, "TokenUpdate", 7, 600)), [(OLD, 0)]);
    assert_eq!(phone.enrolment(MINE).unwrap().certificate.as_ref().unwrap().sha256, NEW);
}

#[test]
fn a_renewal_is_due_early_and_never_by_a_clock_that_is_doubted() {
    let year = |days| {
        let mut certificate = certificate(OLD, 0);
        certificate.not_after = at(days).now;
        let new = Enrolment::new(MINE, Channel::Apple, "UDID", EnrolmentState::Enrolled, at(0).now);
        Enrolment { certificate: Some(certificate), ..new }
    };
    let by_password = Enrolment { certificate: None, ..year(YEARS) };
    let doubted = Time { doubted: true, ..at(600) };
    for (row, mine, time, due) in [
        ("new", year(YEARS), at(1), false),
        ("half a year and a day before the end", year(YEARS), at(549), false),
        ("half a year before the end", year(YEARS), at(550), true),
        ("of a short one a third", year(90), at(59), false),
        ("of a short one, later", year(90), at(60), true),
        ("a doubted clock", year(YEARS), doubted, false),
        ("at its end", year(YEARS), at(YEARS), false),
        ("none", by_password, at(600), false),
    ] {
        assert_eq!(mine.renewal_is_due(time), due, "{row}");
    }
}

#[test]
fn what_was_in_vain_is_tried_again_after_pauses_that_grow_and_near_the_end_within_the_hour() {
    let (mut phone, hour) = (phone(), 3_600_000);
    let mut pauses = Vec::new();
    for (number, day) in [600, 601, 602, 603, 604, 724].into_iter().enumerate() {
        assert!(phone.enrolment(MINE).unwrap().renewal_is_due(at(day)), "{day}");
        let command = 7 + number as u128;
        for word in ["asked", "handed out", if number == 2 { "acknowledged" } else { "refused" }] {
            happens(&mut phone, word, command, day);
        }
        let renewal = phone.enrolment(MINE).unwrap().renewal.clone().unwrap();
        pauses.push((renewal.again().unwrap().0 - at(day).steady.0) / (hour / 60));
        let why = if number == 2 { "it was acknowledged, and no certificate was asked for" } else { "no" };
        assert_eq!(renewal.refused(), Some((number as u32 + 1, why)));
        assert!(!phone.enrolment(MINE).unwrap().renewal_is_due(at(day)), "not at each poll");
    }
    assert_eq!(pauses, [1, 10, 60, 360, 1440, 60]);
    phone.happen(Event::LookAgain, at(724));
    assert!(phone.enrolment(MINE).unwrap().renewal_is_due(at(724)), "who asks for a sync does not wait");
}

#[test]
fn a_challenge_is_good_for_one_key_for_an_hour_and_until_the_next() {
    let shown = |command: u128, key: &str| Shown { challenge: format!("challenge {command}"), key: key.into() };
    let mut phone = phone();
    happens(&mut phone, "asked", 7, 600);
    happens(&mut phone, "handed out", 7, 600);
    let offer = |phone: &Managed, shown: &Shown, seconds| {
        let now = at(600).steady.plus(Duration::from_secs(seconds));
        phone.enrolment(MINE).unwrap().renewal.as_ref().unwrap().offer(shown, now)
    };
    assert_eq!(offer(&phone, &shown(7, "key"), 3599), Offer::Open);
    assert_eq!(offer(&phone, &shown(7, "key"), 3600), Offer::Over);
    assert_eq!(offer(&phone, &shown(8, "key"), 0), Offer::Wrong);
    happens(&mut phone, "issued", 7, 600);
    assert_eq!(offer(&phone, &shown(7, "key"), 9999), Offer::Same(NEW));
    assert_eq!(offer(&phone, &shown(7, "another"), 0), Offer::Spent);
    phone.happen(
        Event::RenewalOffered { enrolment: MINE, command: number(7), challenge: "challenge 8".into() },
        at(600),
    );
    assert_eq!(offer(&phone, &shown(7, "key"), 0), Offer::Wrong);
    assert_eq!(offer(&phone, &shown(8, "another"), 0), Offer::Open);
}

#[test]
fn a_device_that_never_answers_may_say_it_later_and_what_it_surely_has_is_not_taken_from_it() {
    let mut silent = phone();
    for word in ["asked", "handed out", "issued", "TokenUpdate", "handed out", "handed out"] {
        happens(&mut silent, word, 7, 600);
    }
    silent.happen(Event::Unanswered { enrolment: MINE, give_up: Duration::ZERO }, at(620));
    let mine = silent.enrolment(MINE).unwrap();
    assert_eq!((silent.command(number(7)).unwrap().state, mine.renewed.is_some()), (State::Failed, true));
    assert_eq!(revoked(&happens(&mut silent, "acknowledged", 7, 621)), [(OLD, 600)], "evidence beats every end");

    // It acknowledged, its TokenUpdate was lost, and the next renewal comes two years later.
    let mut lost = phone();
    for word in ["asked", "handed out", "issued", "acknowledged"] {
        happens(&mut lost, word, 7, 600);
    }
    let mine = lost.enrolment(MINE).unwrap();
    assert!(!mine.renewal_is_due(at(601)) && mine.renewal_is_due(at(600 + 551)), "by what it has");
    happens(&mut lost, "asked", 8, 1200);
    happens(&mut lost, "handed out", 8, 1200);
    let (third, shown) = (Fingerprint([3; 32]), Some(Shown { challenge: "challenge 8".into(), key: "key".into() }));
    let event = Event::Renewed { enrolment: MINE, certificate: Box::new(certificate(third, 1200)), shown };
    assert_eq!(revoked(&lost.happen(event, at(1200))), [(OLD, 600)]);
    let mine = lost.enrolment(MINE).unwrap();
    let pinned = mine.certificate.as_ref().map(|c| c.sha256);
    assert_eq!((pinned, mine.renewed.as_ref().map(|c| c.sha256)), (Some(NEW), Some(third)));
    assert!(mine.is_set_apart(&third) && !mine.is_set_apart(&NEW));
}
