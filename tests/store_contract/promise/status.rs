//! Promises about the list of what is wrong.

use crate::{
    fixture::{Fixture, request},
    promise::{failed, settle, take},
};
use lanyard::{
    clock::Timestamp,
    fleet::{
        actor::Actor,
        enrol::invitation,
        life::{Channel, Contact, Ownership, Scope},
        notices::{self, News},
        settings,
        status::{self, Code, First, Known, Line, Severity, Survey, reminders},
        terms::Lasting,
        wipe::{approvals, loss, stop},
    },
    ids::{ApprovalId, DeviceId},
    store::{Checked, Tx},
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A server that knows a push certificate, which is good for long.
async fn list(fixture: &Fixture) -> Vec<Line> {
    let look = |tx: &mut Tx<'_>| {
        let known =
            Known { ends: vec![(Lasting::PushCert, tx.now().plus(DAY.saturating_mul(365)))], ..Known::default() };
        status::read(tx, &known, &Survey::default())
    };
    // Beside the writer, where nothing may be written.
    fixture.store.read(look).await.unwrap()
}

fn told(lines: &[Line]) -> Vec<(Severity, Code)> {
    lines.iter().map(|line| (line.severity, line.code)).collect()
}

async fn say(fixture: &Fixture, actor: &Actor, act: fn(&mut Tx<'_>, &Actor)) {
    let actor = actor.clone();
    let done = move |tx: &mut Tx<'_>| {
        act(tx, &actor);
        Ok(())
    };
    fixture.store.run(done).await.unwrap();
}

pub async fn nothing_is_wrong_in_a_new_store(fixture: Fixture) {
    let lines = list(&fixture).await;
    assert_eq!(told(&lines), [(Severity::Note, Code::FirstHour)], "there is something to do alone");
    assert!(lines[0].text.starts_with("make a second administrator now"), "{}", lines[0].text);
    fixture.second("ann").await;
    assert_eq!(list(&fixture).await, []);
}

pub async fn a_wipe_is_told_of_until_it_is_answered(fixture: Fixture) {
    let local = fixture.local().await;
    let device = fixture.device("phone", &[Channel::Apple]).await.id;
    let delayed = lanyard::fleet::wipe::Request { delay: Some(HOUR), ..request(Scope::Full) };
    let wipe = fixture.wipe_with(&local, device, delayed).await.unwrap();
    let lines = list(&fixture).await;
    assert_eq!(told(&lines), [(Severity::Note, Code::WipeWaits)]);
    assert_eq!((lines[0].subject.as_str(), lines[0].since), (wipe.id.to_string().as_str(), Some(wipe.created)));
    assert!(lines[0].text.contains("Sphone of nurse@example.org is in its undo window"), "{}", lines[0].text);
    say(&fixture, &local, |tx, local| drop(stop::set(tx, local, false).unwrap())).await;
    let lines = list(&fixture).await;
    assert_eq!(told(&lines), [(Severity::Error, Code::StopOn), (Severity::Note, Code::WipeWaits)]);
    assert!(lines[0].text.contains("set by local") && lines[1].text.contains("held back by the emergency stop"));
}

pub async fn a_wipe_that_takes_long_is_worse(fixture: Fixture) {
    let local = fixture.local().await;
    let (off, silent) =
        (fixture.device("off", &[Channel::Apple]).await.id, fixture.device("silent", &[Channel::Apple]).await.id);
    let waits = fixture.wipe(&local, off, Scope::Full).await.unwrap();
    let sent = fixture.wipe(&local, silent, Scope::Selective).await.unwrap();
    take(&fixture, silent, Contact::Fresh).await.unwrap();
    assert_eq!(told(&list(&fixture).await), [(Severity::Note, Code::WipeWaits); 2]);
    if !fixture.live_through(HOUR).await {
        return;
    }
    let lines = list(&fixture).await;
    assert_eq!(told(&lines), [(Severity::Warning, Code::WipeUnanswered), (Severity::Warning, Code::WipeWaits)]);
    assert_eq!([&lines[0].subject, &lines[1].subject], [&sent.id.to_string(), &waits.id.to_string()]);
    assert!(lines[0].text.starts_with("the selective wipe of Ssilent") && lines[0].text.contains("is not answered"));
}

pub async fn a_wipe_that_came_to_nothing_is_told_of_until_another_is_asked_for(fixture: Fixture) {
    let local = fixture.local().await;
    let (refuses, leaves) =
        (fixture.device("refuses", &[Channel::Apple]).await.id, fixture.device("leaves", &[Channel::Apple]).await.id);
    let refused = fixture.wipe(&local, refuses, Scope::Full).await.unwrap();
    take(&fixture, refuses, Contact::Fresh).await.unwrap();
    let unsent = fixture.device("unsent", &[Channel::Apple]).await.id;
    let never_sent = fixture.wipe(&local, unsent, Scope::Full).await.unwrap();
    settle(&fixture, refuses, refused.id, failed()).await.unwrap();
    let lines = list(&fixture).await;
    assert_eq!(told(&lines), [(Severity::Error, Code::WipeFailed), (Severity::Note, Code::WipeWaits)]);
    assert_eq!(lines[0].subject, refused.id.to_string());
    assert!(lines[0].text.starts_with("the full wipe of Srefuses") && lines[0].text.contains("came to nothing"));
    let again = fixture.wipe(&local, refuses, Scope::Full).await.unwrap();
    assert_eq!(told(&list(&fixture).await), [(Severity::Note, Code::WipeWaits); 2], "another is asked for");
    take(&fixture, refuses, Contact::Fresh).await.unwrap();
    settle(&fixture, refuses, again.id, crate::promise::done()).await.unwrap();
    assert_eq!(told(&list(&fixture).await), [(Severity::Note, Code::WipeWaits)], "and is proved");

    let sent = fixture.wipe(&local, leaves, Scope::Full).await.unwrap();
    take(&fixture, leaves, Contact::Fresh).await.unwrap();
    for id in [leaves, unsent] {
        let leave = move |tx: &mut Tx<'_>| {
            let mut device = lanyard::fleet::keeper::by_id(tx, id)?;
            let enrolment = device.enrolments[0].id;
            crate::fixture::left(tx, &mut device, enrolment)
        };
        fixture.store.run(leave).await.unwrap();
    }
    let lines = list(&fixture).await;
    assert_eq!(told(&lines), [(Severity::Error, Code::WipeFailed); 2]);
    for (wipe, words) in
        [(sent, "this was sent, and the device left"), (never_sent, "left management before this reached it")]
    {
        let line = lines.iter().find(|line| line.subject == wipe.id.to_string()).unwrap();
        assert!(line.text.contains(words), "{}", line.text);
    }
    if fixture.live_through(DAY.saturating_mul(30)).await {
        assert_eq!(list(&fixture).await, [], "it is on record, and no news any more");
    }
}

pub async fn installs_that_are_stuck_are_told_of_with_their_invitation(fixture: Fixture) {
    let local = fixture.local().await;
    let invite = move |tx: &mut Tx<'_>| {
        Ok(invitation::create(tx, &local, Channel::Apple, "ann", Ownership::Corporate, None)?.invitation.id)
    };
    // Where no hour can be let pass it is the first.
    let wrong = async || {
        let mut lines = list(&fixture).await;
        lines.retain(|line| line.code != Code::FirstHour);
        lines
    };
    let id = fixture.store.run(invite).await.unwrap();
    let begins = |key: &'static str| {
        let spend = move |tx: &mut Tx<'_>| crate::promise::spend(tx, id, key).map(drop);
        fixture.store.run(spend)
    };
    begins("one").await.unwrap();
    begins("two").await.unwrap();
    let ours = fixture.live_through(HOUR).await;
    assert_eq!(wrong().await, [], "there is place for another");
    begins("three").await.unwrap();
    assert_eq!(wrong().await, [], "the last has just begun");
    if !fixture.live_through(HOUR).await || !ours {
        return;
    }
    let lines = wrong().await;
    assert_eq!(told(&lines), [(Severity::Warning, Code::InstallsStuck)]);
    assert_eq!(lines[0].subject, id.to_string());
    assert!(lines[0].text.starts_with("3 installs by the invitation for ann are under way"), "{}", lines[0].text);
    let local = fixture.local().await;
    let revoke = move |tx: &mut Tx<'_>| lanyard::fleet::enrol::under_way::revoke(tx, &local, id).map(drop);
    fixture.store.run(revoke).await.unwrap();
    assert_eq!(wrong().await, []);
}

pub async fn what_waits_for_a_second_person_names_who_may_decide(fixture: Fixture) {
    let local = fixture.local().await;
    fixture.second("ann").await;
    let bob = fixture.second("bob").await;
    let (one, two) =
        (fixture.device("u1", &[Channel::Apple]).await.id, fixture.device("u2", &[Channel::Apple]).await.id);
    // Made by local, within the wait: he stands behind her, and is no second person to her.
    let eve = fixture.second("eve").await;
    fixture.wipe(&eve, one, Scope::Full).await.unwrap();
    let held = fixture.wipe(&eve, two, Scope::Full).await.unwrap();
    let lines = list(&fixture).await;
    assert_eq!(told(&lines), [(Severity::Warning, Code::ApprovalWaits)], "what is held is told once");
    let line = &lines[0];
    assert_eq!(line.subject, held.approval.unwrap().to_string());
    assert!(line.text.contains("asked for by eve: 2 commands are held"), "{}", line.text);
    assert!(
        line.text.ends_with("it waits for ann or bob") || line.text.ends_with("it waits for bob or ann"),
        "{}",
        line.text
    );
    assert_eq!(line.until.unwrap().since(line.since.unwrap()).as_secs().div_ceil(60), 7 * 24 * 60);
    let id: ApprovalId = held.approval.unwrap();
    fixture.store.run(move |tx| approvals::reject(tx, &bob, id)).await.unwrap();
    assert_eq!(list(&fixture).await, []);
    say(&fixture, &local, |tx, local| drop(stop::set(tx, local, false).unwrap())).await;
    say(&fixture, &local, |tx, local| drop(stop::ask_off(tx, local).unwrap())).await;
    let asked = list(&fixture).await;
    assert!(asked[1].text.contains("asked for by local: lift the emergency stop; it waits for"), "{}", asked[1].text);
}

pub async fn a_request_that_nobody_may_decide_is_an_error(fixture: Fixture) {
    let local = fixture.local().await;
    say(&fixture, &local, |tx, local| drop(stop::set(tx, local, false).unwrap())).await;
    say(&fixture, &local, |tx, local| drop(stop::ask_off(tx, local).unwrap())).await;
    let lines = list(&fixture).await;
    let stuck = [(Severity::Error, Code::StopOn), (Severity::Error, Code::ApprovalStuck)];
    assert_eq!(
        told(&lines),
        [&stuck[..], &[(Severity::Note, Code::FirstHour)]].concat(),
        "it can still be mended at once"
    );
}

pub async fn settings_notices_and_losses_are_told_of(fixture: Fixture) {
    let local = fixture.local().await;
    let hook = |tx: &mut Tx<'_>, local: &Actor| drop(settings::set(tx, local, "notify.webhook", "https://a").unwrap());
    say(&fixture, &local, hook).await;
    fixture.device("phone", &[Channel::Apple]).await;
    say(&fixture, &local, |tx, local| drop(settings::set(tx, local, "wipe.grace", "1h").unwrap())).await;
    let lines = list(&fixture).await;
    assert_eq!(told(&lines), [(Severity::Note, Code::SettingPending)]);
    assert_eq!(lines[0].subject, "wipe.grace");
    assert!(lines[0].text.contains("1h will count instead of 15m") && lines[0].until.is_some());

    let tell = |tx: &mut Tx<'_>| {
        let approval = tx.new_id();
        notices::tell(tx, News::ApprovalWaiting(approval, "why".into()))
    };
    fixture.store.run(tell).await.unwrap();
    fixture.store.run(|tx| notices::take(tx, 10)).await.unwrap();
    assert_eq!(list(&fixture).await.len(), 1, "it may be on its way");
    if fixture.pass(Duration::from_secs(120)) {
        fixture.store.run(|tx| notices::take(tx, 10)).await.unwrap();
        let lines = list(&fixture).await;
        assert_eq!(lines[0].code, Code::WebhookUnreached);
        assert!(lines[0].text.contains("1 notice"), "{}", lines[0].text);
    }

    let behind = Checked {
        ok: false,
        store: "a store".into(),
        commit: Some(3),
        expected: Some(9),
        records: 7,
        missing: 2,
        damaged: Vec::new(),
        why: None,
    };
    fixture.store.run(move |tx| loss::accept(tx, &behind, 3)).await.unwrap();
    let lines = list(&fixture).await;
    let taken = lines.iter().find(|line| line.code == Code::StoreTakenBack).unwrap();
    assert!(taken.text.contains("commit 3") && taken.since.is_some(), "{}", taken.text);
}

pub async fn a_survey_counts_the_devices_whose_certificates_end(fixture: Fixture) {
    let look = |fixture: &Fixture| {
        let store = fixture.store.clone();
        async move { store.read(status::survey).await.unwrap() }
    };
    assert_eq!(look(&fixture).await, Survey::default());
    // They last for two years.
    let first = fixture.device("first", &[Channel::Apple]).await;
    fixture.device("mail", &[Channel::Activesync]).await;
    let survey = look(&fixture).await;
    assert!(survey.apple && survey.ended.0 == 0 && survey.ending.0 == 0);
    if !fixture.live_through(DAY).await {
        return;
    }
    fixture.device("later", &[Channel::Omadm]).await;
    for (row, days, ended, ending) in [
        ("31 days before", 698, 0, 0),
        ("30 days before", 1, 0, 2),
        ("a day later", 1, 0, 3),
        ("at their end", 29, 2, 1),
    ] {
        fixture.pass(DAY.saturating_mul(days));
        let accept = |tx: &mut Tx<'_>| {
            let belief = lanyard::store::Belief::begin(tx.moment());
            Ok(tx.put(&belief)?)
        };
        fixture.store.run(accept).await.unwrap();
        let survey = look(&fixture).await;
        assert_eq!((survey.ended.0, survey.ending.0), (ended, ending), "{row}");
        let earliest = survey.ended.1.or(survey.ending.1);
        let want = (ended + ending > 0).then_some(first.id);
        assert_eq!(earliest.map(|first| first.device), want, "{row}");
    }
}

pub async fn a_mail_clients_certificate_is_told_of_before_it_ends(fixture: Fixture) {
    let local = fixture.local().await;
    let mail = fixture.device("mail", &[Channel::Activesync]).await.id;
    let hook = |tx: &mut Tx<'_>, local: &Actor| drop(settings::set(tx, local, "notify.webhook", "https://a").unwrap());
    say(&fixture, &local, hook).await;
    for (row, days, told) in
        [("early", 690, 0), ("30 days before", 11, 1), ("a day later", 1, 0), ("7 days before", 22, 1)]
    {
        if !fixture.pass(DAY.saturating_mul(days)) {
            return;
        }
        fixture.store.run(|tx| Ok(tx.put(&lanyard::store::Belief::begin(tx.moment()))?)).await.unwrap();
        let survey = fixture.store.read(status::survey).await.unwrap();
        let lines = fixture.store.read({
            let survey = survey.clone();
            move |tx| status::read(tx, &Known::default(), &survey)
        });
        let lines = lines.await.unwrap();
        let named = lines.iter().any(|line| line.code == Code::DeviceCertEnds && line.subject == mail.to_string());
        assert_eq!(named, row != "early", "{row}");
        let first: Vec<First> = survey.ending.1.into_iter().collect();
        let subjects = reminded(&fixture, &[], &first).await;
        assert_eq!(subjects.len(), told, "{row}");
        assert!(subjects.iter().all(|(subject, _)| *subject == mail.to_string()), "{row}");
    }
}

pub async fn an_invitation_without_a_push_certificate_is_told_of(fixture: Fixture) {
    let local = fixture.local().await;
    fixture.second("ann").await;
    let look = |tx: &mut Tx<'_>| status::read(tx, &Known::default(), &Survey::default());
    let invite = move |tx: &mut Tx<'_>| {
        for (channel, user) in [(Channel::Omadm, "ann"), (Channel::Apple, "bob"), (Channel::Apple, "eve")] {
            invitation::create(tx, &local, channel, user, Ownership::Corporate, None)?;
        }
        Ok(())
    };
    assert_eq!(fixture.store.read(look).await.unwrap(), []);
    fixture.store.run(invite).await.unwrap();
    let lines = fixture.store.read(look).await.unwrap();
    assert_eq!(told(&lines), [(Severity::Error, Code::PushCertMissing), (Severity::Warning, Code::InvitationUnpushed)]);
    assert!(lines[1].text.starts_with("2 invitations"), "{}", lines[1].text);
    assert_eq!(list(&fixture).await, [], "with one there is nothing to say");
}

/// What the webhook hears of these ends.
async fn reminded(fixture: &Fixture, ends: &[(Lasting, Timestamp)], ending: &[First]) -> Vec<(String, String)> {
    let known = Known { ends: ends.to_vec(), ..Known::default() };
    let survey = Survey { ending: (ending.len(), ending.first().cloned()), ..Survey::default() };
    fixture.store.run(move |tx| reminders::tell(tx, &known, &survey)).await.unwrap();
    let told = |tx: &mut Tx<'_>| {
        let (_, notices) = notices::take(tx, 100)?.unwrap_or_default();
        notices.iter().try_for_each(|notice| notices::done(tx, notice))?;
        Ok(notices)
    };
    let notices = fixture.store.run(told).await.unwrap();
    assert!(notices.iter().all(|notice| notice.event == "expiry.soon"), "{notices:?}");
    notices.into_iter().map(|notice| (notice.subject, notice.detail)).collect()
}

pub async fn what_ends_is_told_of_at_thirty_seven_and_one_days(fixture: Fixture) {
    let local = fixture.local().await;
    let now = fixture.store.run(|tx| Ok(tx.now())).await.unwrap();
    let days = |days| now.plus(DAY.saturating_mul(days));
    let (far, near) = ((Lasting::CaRoot, days(40)), (Lasting::ServerCert, days(20)));
    assert!(reminded(&fixture, &[near], &[]).await.is_empty(), "nobody listens");
    let hook = |tx: &mut Tx<'_>, local: &Actor| drop(settings::set(tx, local, "notify.webhook", "https://a").unwrap());
    say(&fixture, &local, hook).await;

    // What nobody heard is told to who listens now.
    let told = reminded(&fixture, &[far, near], &[]).await;
    let [(subject, detail)] = told.as_slice() else { panic!("{told:?}") };
    assert!(subject == "server_cert" && detail.contains("ends within 20 days"), "{told:?}");
    assert!(reminded(&fixture, &[far, near], &[]).await.is_empty(), "once each");
    // Another node has another certificate: each is told of, and they do not take turns.
    let others = (Lasting::ServerCert, days(6));
    assert!(reminded(&fixture, &[others], &[]).await[0].1.contains("within 6 days"));
    assert!(reminded(&fixture, &[near], &[]).await.is_empty());
    assert!(reminded(&fixture, &[others], &[]).await.is_empty());
    // Of devices the first is told of, without its user.
    let device = DeviceId(uuid::Uuid::from_u128(7));
    let ending = vec![First { until: days(3), device, user: "ann@example.org".into() }; 3];
    let told = reminded(&fixture, &[], &ending).await;
    let [(subject, detail)] = told.as_slice() else { panic!("{told:?}") };
    assert!(*subject == device.to_string() && detail.contains("2 more"), "{told:?}");
    assert!(detail.contains("within 3 days") && !detail.contains("ann"), "{told:?}");
    // What ended long ago is no news.
    let past = Timestamp(now.0 - i64::try_from(DAY.as_millis()).unwrap() * 31);
    assert!(reminded(&fixture, &[(Lasting::PushCert, past)], &[]).await.is_empty());

    if !fixture.pass(DAY.saturating_mul(10)) {
        return;
    }
    assert_eq!(reminded(&fixture, &[far, near], &[]).await[0].0, "ca_root", "ten days later");
    for (pass, want) in [(2, 0), (1, 1), (5, 0), (1, 1), (1, 0), (3, 0), (40, 0)] {
        fixture.pass(DAY.saturating_mul(pass));
        let told = reminded(&fixture, &[near], &[]).await;
        assert_eq!(told.len(), want, "{pass} more: {told:?}");
    }
}
