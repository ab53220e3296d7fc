//! Promises about certificates that the server asks a device to get anew.

use super::*;
use lanyard::fleet::enrol::renewal;

const KEY: &str = "the digest of a key";

fn issued(tx: &mut Tx<'_>) -> Certificate {
    let (sha256, serial) = (Fingerprint(tx.random()), lanyard::ids::hex(&tx.random::<16>()));
    let not_after = tx.now().plus(Duration::from_secs(63_072_000));
    Certificate { serial, sha256, not_before: tx.now(), not_after }
}

/// A phone that was asked for a renewal, and the challenge that went out with it.
async fn asked(fixture: &Fixture) -> (Device, CommandId, String) {
    let phone = fixture.device("phone", &[Channel::Apple]).await;
    fixture.credential(&phone).await;
    let id = phone.id;
    let ask = move |tx: &mut Tx<'_>| {
        let mut phone = keeper::by_id(tx, id)?;
        let enrolment = phone.enrolments[0].id;
        queue::ask_by_system(tx, &mut phone, enrolment, Act::Renew)?;
        let command = queue::take_next(tx, &mut phone, enrolment, Contact::Fresh)?.unwrap();
        Ok((command.id, renewal::challenge(tx, &mut phone, &command)?))
    };
    let (command, challenge) = fixture.store.run(ask).await.unwrap();
    (phone, command, challenge)
}

async fn spend(fixture: &Fixture, challenge: &str, key: &'static str) -> Result<Credential> {
    let challenge = challenge.to_string();
    let spend = move |tx: &mut Tx<'_>| {
        renewal::asked(tx, &challenge, key)?;
        let certificate = issued(tx);
        renewal::spend(tx, &challenge, key, certificate, "00".into())
    };
    fixture.store.run(spend).await
}

fn refused(answer: Result<Credential>) -> &'static str {
    match answer {
        Err(Error::Forbidden { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

async fn standing(fixture: &Fixture, shown: Fingerprint) -> Standing {
    fixture.store.run(move |tx| Ok(identity::judge(tx, &shown)?.0)).await.unwrap()
}

/// The phone speaks under its new certificate, or about its command.
async fn says(fixture: &Fixture, phone: DeviceId, event: impl Fn(EnrolmentId) -> life::Event + Send + 'static) {
    let say = move |tx: &mut Tx<'_>| {
        let mut phone = keeper::by_id(tx, phone)?;
        let enrolment = phone.enrolments[0].id;
        keeper::happen(tx, &mut phone, event(enrolment)).map(drop)
    };
    fixture.store.once(say).await.unwrap();
}

fn done(command: CommandId) -> impl Fn(EnrolmentId) -> life::Event {
    move |enrolment| {
        let outcome = Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() };
        life::Event::Answered { enrolment, command, outcome }
    }
}

fn failed(command: CommandId) -> impl Fn(EnrolmentId) -> life::Event {
    move |enrolment| {
        let outcome = Outcome::Failed { code: FailureCode::Protocol("12".into()), text: "no".into() };
        life::Event::Answered { enrolment, command, outcome }
    }
}

pub async fn a_challenge_gives_one_key_one_certificate_for_the_enrolment_that_it_went_to(fixture: Fixture) {
    let (phone, command, challenge) = asked(&fixture).await;
    let old = phone.enrolments[0].certificate.as_ref().unwrap().sha256;
    for wrong in ["renew-", "renew-x-y", &challenge[..challenge.len() - 1], &challenge.to_uppercase()] {
        assert_eq!(refused(spend(&fixture, wrong, KEY).await), "wrong_challenge", "{wrong}");
    }
    let first = spend(&fixture, &challenge, KEY).await.unwrap();
    assert_eq!((first.enrolment, first.device), (phone.enrolments[0].id, Some(phone.id)));
    let again = spend(&fixture, &challenge, KEY).await.unwrap();
    assert_eq!(again.certificate.sha256, first.certificate.sha256, "the same key gets the same");
    assert_eq!(refused(spend(&fixture, &challenge, "another key").await), "challenge_spent");
    // Both are good, and the present one is the pin.
    let new = first.certificate.sha256;
    assert_eq!([standing(&fixture, old).await, standing(&fixture, new).await], [Standing::Good; 2]);
    let mine = fixture.again(phone.id).await.enrolments[0].clone();
    assert!(mine.certificate.as_ref().unwrap().sha256 == old && mine.is_set_apart(&new));

    says(&fixture, phone.id, done(command)).await;
    assert_eq!(fixture.again(phone.id).await.enrolments[0].certificate.as_ref().unwrap().sha256, old);
    says(&fixture, phone.id, move |enrolment| life::Event::Completed { enrolment, shown: new }).await;
    let mine = fixture.again(phone.id).await.enrolments[0].clone();
    assert!(mine.certificate.as_ref().unwrap().sha256 == new && mine.renewed.is_none() && mine.renewal.is_none());
    assert_eq!(standing(&fixture, old).await, Standing::Good, "an answer may be on its way");
    if fixture.pass(Duration::from_secs(601)) {
        assert_eq!([standing(&fixture, old).await, standing(&fixture, new).await], [Standing::Revoked, Standing::Good]);
    }
    assert_eq!(refused(spend(&fixture, &challenge, KEY).await), "wrong_challenge", "it is done");
}

pub async fn what_a_refused_renewal_gave_is_revoked_and_the_present_certificate_stays(fixture: Fixture) {
    let (phone, command, challenge) = asked(&fixture).await;
    let stolen = spend(&fixture, &challenge, "a thief's key").await.unwrap().certificate.sha256;
    says(&fixture, phone.id, failed(command)).await;
    let old = phone.enrolments[0].certificate.as_ref().unwrap().sha256;
    assert_eq!([standing(&fixture, old).await, standing(&fixture, stolen).await], [Standing::Good, Standing::Revoked]);
    let mine = fixture.again(phone.id).await.enrolments[0].clone();
    assert_eq!(mine.renewal.as_ref().unwrap().refused(), Some((1, "no")));
    assert_eq!(refused(spend(&fixture, &challenge, "a thief's key").await), "wrong_challenge");
}

pub async fn what_is_set_apart_gets_no_other_certificate_by_its_own_signature(fixture: Fixture) {
    let (phone, command, challenge) = asked(&fixture).await;
    let new = spend(&fixture, &challenge, KEY).await.unwrap().certificate.sha256;
    let renew = |tx: &mut Tx<'_>, old: Fingerprint| {
        let certificate = issued(tx);
        enrol::renew(tx, &old, certificate, "00".into())
    };
    assert_eq!(refused(fixture.store.run(move |tx| renew(tx, new)).await), "not_good");
    let mine = fixture.again(phone.id).await.enrolments[0].clone();
    assert!(mine.is_set_apart(&new), "it is as it was");
    // Once the device has acknowledged it may, as any that shows its own.
    says(&fixture, phone.id, done(command)).await;
    assert!(fixture.store.run(move |tx| renew(tx, new)).await.is_ok());
}

pub async fn a_challenge_ends_with_its_hour_its_command_and_its_enrolment(fixture: Fixture) {
    let (phone, command, challenge) = asked(&fixture).await;
    let local = fixture.local().await;
    if fixture.pass(Duration::from_secs(3600)) {
        assert_eq!(refused(spend(&fixture, &challenge, KEY).await), "challenge_expired");
    }
    // The same command goes out again, with another one.
    let id = phone.id;
    let again = move |tx: &mut Tx<'_>| {
        let mut phone = keeper::by_id(tx, id)?;
        let command = queue::find(tx, command)?;
        renewal::challenge(tx, &mut phone, &command)
    };
    let second = fixture.store.run(again).await.unwrap();
    assert_eq!(refused(spend(&fixture, &challenge, KEY).await), "wrong_challenge");
    let new = spend(&fixture, &second, KEY).await.unwrap().certificate.sha256;
    let revoke = move |tx: &mut Tx<'_>| enrol::revoke(tx, &local.id, id, None, "lost").map(drop);
    fixture.store.run(revoke).await.unwrap();
    assert_eq!(standing(&fixture, new).await, Standing::Revoked, "both of them");
    assert_eq!(refused(spend(&fixture, &second, KEY).await), "wrong_challenge");
}

pub async fn a_proved_wipe_ends_both_certificates_of_an_enrolment_that_is_renewed(fixture: Fixture) {
    let (phone, _, challenge) = asked(&fixture).await;
    let local = fixture.local().await;
    let new = spend(&fixture, &challenge, KEY).await.unwrap().certificate.sha256;
    let old = phone.enrolments[0].certificate.as_ref().unwrap().sha256;
    let wipe = fixture.wipe(&local, phone.id, Scope::Full).await.unwrap().id;
    assert_eq!(refused(spend(&fixture, &challenge, "another key").await), "wrong_challenge", "nothing else is served");
    assert_eq!(take(&fixture, phone.id, Contact::Fresh).await.map(|command| command.id), Some(wipe));
    says(&fixture, phone.id, done(wipe)).await;
    assert_eq!([standing(&fixture, old).await, standing(&fixture, new).await], [Standing::Ended; 2]);
    assert_eq!(fixture.command(wipe).await.state, State::Confirmed);
}
