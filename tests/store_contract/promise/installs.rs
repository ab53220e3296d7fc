//! Installs that break off half-way and are begun again by the same invitation, by their person or by somebody who has the link too.

use super::*;
use lanyard::fleet::{enrol::under_way::Key, retention, terms::Channel::Omadm};

const ANN: &str = "ann@example.org";

async fn invited(fixture: &Fixture, channel: Channel) -> InvitationId {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| invitation::create(tx, &local, channel, ANN, Ownership::Corporate, None);
    fixture.store.run(make).await.unwrap().invitation.id
}

pub async fn asks(fixture: &Fixture, id: InvitationId, key: &'static str) -> Result<Credential> {
    fixture.store.run(move |tx| spend(tx, id, key)).await
}

/// The certificate is shown: Authenticate.
pub async fn shows(fixture: &Fixture, credential: &Credential, identity: &'static str) -> DeviceId {
    let sha256 = credential.certificate.sha256;
    fixture.store.run(move |tx| Ok(enrol::bind(tx, &sha256, &claim(identity))?.0.id)).await.unwrap()
}

/// TokenUpdate, or a first session.
pub async fn completes(fixture: &Fixture, credential: &Credential) -> Result<bool> {
    let (sha256, enrolment) = (credential.certificate.sha256, credential.enrolment);
    let complete = move |tx: &mut Tx<'_>| {
        let (standing, credential, device) = identity::judge(tx, &sha256)?;
        if standing != Standing::Good {
            return Err(Error::forbidden("refused", standing.ground()));
        }
        let device = credential.and(device).ok_or_else(|| Error::forbidden("unbound", "nobody knows it"))?;
        let mut device = keeper::load(tx, device)?;
        enrol::complete(tx, &mut device, enrolment, &sha256)
    };
    fixture.store.run(complete).await
}

pub async fn now_of(fixture: &Fixture, id: InvitationId) -> Invitation {
    fixture.store.run(move |tx| Ok(tx.get::<Invitation>(id)?.unwrap())).await.unwrap()
}

pub async fn is_revoked(fixture: &Fixture, of: &Credential) -> bool {
    let sha256 = of.certificate.sha256;
    fixture.store.run(move |tx| Ok(tx.get::<Credential>(sha256)?.unwrap().revoked.is_some())).await.unwrap()
}

async fn tidied(fixture: &Fixture) {
    fixture.store.run(admins::look_at_clock).await.unwrap();
    let (over, _) = fixture.store.read(|tx| retention::look::<Key>(tx, None)).await.unwrap();
    fixture.store.run(move |tx| retention::forget::<Key>(tx, &over)).await.unwrap();
}

pub async fn an_install_that_broke_off_is_begun_again_by_the_same_invitation(fixture: Fixture) {
    let id = invited(&fixture, Channel::Apple).await;
    // Before Authenticate, and between Authenticate and TokenUpdate.
    let first = asks(&fixture, id, "one").await.unwrap();
    let second = asks(&fixture, id, "two").await.unwrap();
    let ipad = shows(&fixture, &second, "UDID-1").await;
    let third = asks(&fixture, id, "three").await.unwrap();
    assert_eq!(shows(&fixture, &third, "UDID-1").await, ipad, "the same user's device");
    let made_ahead = now_of(&fixture, id).await.enrolment;
    assert_eq!((first.enrolment, first.profile()), (made_ahead, made_ahead));
    assert!(
        second.enrolment != made_ahead && third.enrolment != second.enrolment,
        "a certificate speaks for one enrolment"
    );
    assert_eq!((second.profile(), third.profile()), (made_ahead, made_ahead), "as the profile calls itself");
    let before = now_of(&fixture, id).await;
    assert_eq!((before.used(), before.under_way, before.is_spent()), (0, 3, false));
    assert!(completes(&fixture, &third).await.unwrap());
    let after = now_of(&fixture, id).await;
    assert_eq!((after.used(), after.under_way, after.is_spent()), (1, 0, true));
    assert!(
        is_revoked(&fixture, &first).await
            && is_revoked(&fixture, &second).await
            && !is_revoked(&fixture, &third).await
    );
    let record = fixture.again(ipad).await;
    assert_eq!(record.live().map(|e| e.id).collect::<Vec<_>>(), [third.enrolment]);
    assert_eq!(code(asks(&fixture, id, "four").await), "invitation_spent");
    assert_eq!(
        asks(&fixture, id, "three").await.unwrap().certificate.sha256,
        third.certificate.sha256,
        "the same key gets the same certificate"
    );
    assert!(!completes(&fixture, &third).await.unwrap(), "what comes twice is complete once");
    assert_eq!(now_of(&fixture, id).await.used(), 1);
}

pub async fn who_has_the_link_too_ends_no_install_by_less_than_completing_their_own(fixture: Fixture) {
    let id = invited(&fixture, Channel::Apple).await;
    let anns = asks(&fixture, id, "ann").await.unwrap();
    let ipad = shows(&fixture, &anns, "UDID-1").await;
    // A thief asks for many: their own give way to each other.
    for key in ["t1", "t2", "t3", "t4", "t5"] {
        asks(&fixture, id, key).await.unwrap();
    }
    assert_eq!(now_of(&fixture, id).await.under_way, 3);
    // They go as far as Authenticate, under the name of ann's device and another.
    let [thief, other] = [asks(&fixture, id, "t6").await.unwrap(), asks(&fixture, id, "t7").await.unwrap()];
    shows(&fixture, &thief, "UDID-1").await;
    shows(&fixture, &other, "UDID-2").await;
    assert!(!is_revoked(&fixture, &anns).await);
    assert_eq!(code(asks(&fixture, id, "t8").await), "invitation_busy", "none gives way that was shown");
    assert!(completes(&fixture, &anns).await.unwrap());
    assert_eq!(fixture.again(ipad).await.live().count(), 1);
    assert!(is_revoked(&fixture, &thief).await && is_revoked(&fixture, &other).await);
    assert_eq!(code(completes(&fixture, &thief).await), "refused");
    let named = fixture.store.run(|tx| lookup::device(tx, "UDID-2")).await;
    assert_eq!(code(named), "device", "a record of which nothing came is gone");
    let judged = other.certificate.sha256;
    let judged = fixture.store.run(move |tx| identity::judge(tx, &judged)).await.unwrap();
    assert_eq!(
        (judged.0, judged.2.is_none()),
        (Standing::Revoked, true),
        "and its certificate is refused in plain words"
    );
    let log = fixture.store.run(|tx| audit::list(tx, None, 1000)).await.unwrap();
    assert_eq!(
        log.iter().filter(|e| e.entry.action == "enrolment.given_up").count(),
        1,
        "hers took the place of the thief's in her own record"
    );
}

pub async fn an_install_that_fails_again_and_again_is_begun_again(fixture: Fixture) {
    for channel in [Channel::Apple, Omadm] {
        let id = invited(&fixture, channel).await;
        let mut all = Vec::new();
        for key in ["one", "two", "three", "four", "five", "six"] {
            let credential = asks(&fixture, id, key).await.unwrap();
            if channel == Omadm {
                // A PC's is bound with its issue, whether it ever gets there or not.
                shows(&fixture, &credential, "PC-1").await;
            }
            all.push(credential);
            if !fixture.pass(Duration::from_secs(1)) {
                return;
            }
        }
        let mut revoked = Vec::new();
        for credential in &all {
            revoked.push(is_revoked(&fixture, credential).await);
        }
        assert_eq!(revoked, [true, true, true, false, false, false], "the oldest gives way: {channel:?}");
        let last = &all[5];
        shows(&fixture, last, if channel == Omadm { "PC-1" } else { "UDID-1" }).await;
        assert!(completes(&fixture, last).await.unwrap());
    }
    // One that was shown gives way once it was silent for a day.
    let id = invited(&fixture, Channel::Apple).await;
    for (key, name) in [("one", "UDID-7"), ("two", "UDID-8"), ("three", "UDID-9")] {
        let credential = asks(&fixture, id, key).await.unwrap();
        shows(&fixture, &credential, name).await;
    }
    assert_eq!(code(asks(&fixture, id, "four").await), "invitation_busy");
    fixture.live_through(24 * HOUR).await;
    asks(&fixture, id, "four").await.unwrap();
}

pub async fn what_is_under_way_outlives_its_invitation_and_has_seven_days(fixture: Fixture) {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        let one = invitation::create(tx, &local, Channel::Apple, ANN, Ownership::Corporate, Some(HOUR))?;
        let two = invitation::create(tx, &local, Channel::Apple, ANN, Ownership::Corporate, Some(HOUR))?;
        Ok([one.invitation.id, two.invitation.id])
    };
    let [one, two] = fixture.store.run(make).await.unwrap();
    let (quick, slow) = (asks(&fixture, one, "quick").await.unwrap(), asks(&fixture, two, "slow").await.unwrap());
    shows(&fixture, &quick, "UDID-1").await;
    shows(&fixture, &slow, "UDID-2").await;
    let idle = asks(&fixture, two, "idle").await.unwrap();
    if !fixture.live_through(2 * HOUR).await {
        return;
    }
    tidied(&fixture).await;
    assert_eq!(code(asks(&fixture, one, "another").await), "invitation_expired", "nothing new");
    let again = asks(&fixture, one, "quick").await.unwrap();
    assert_eq!(again.certificate.sha256, quick.certificate.sha256, "the same key gets the same certificate");
    assert!(completes(&fixture, &quick).await.unwrap());
    fixture.live_through(7 * 24 * HOUR).await;
    tidied(&fixture).await;
    assert!(
        is_revoked(&fixture, &slow).await && is_revoked(&fixture, &idle).await && !is_revoked(&fixture, &quick).await
    );
    assert_eq!(code(completes(&fixture, &slow).await), "refused");
    assert_eq!(now_of(&fixture, two).await.under_way, 0);
    assert_eq!(code(fixture.store.run(|tx| lookup::device(tx, "UDID-2")).await), "device");
    assert_eq!(fixture.store.run(|tx| Ok(tx.all::<Key>("")?.len())).await.unwrap(), 0);
}

pub async fn a_revoked_invitation_ends_what_is_under_way_by_it(fixture: Fixture) {
    let id = invited(&fixture, Channel::Apple).await;
    let (shown, idle) = (asks(&fixture, id, "one").await.unwrap(), asks(&fixture, id, "two").await.unwrap());
    shows(&fixture, &shown, "UDID-1").await;
    let local = fixture.local().await;
    let revoked = fixture.store.run(move |tx| under_way::revoke(tx, &local, id)).await.unwrap();
    assert!(revoked.revoked && revoked.under_way == 0);
    assert!(is_revoked(&fixture, &shown).await && is_revoked(&fixture, &idle).await);
    assert_eq!(code(completes(&fixture, &shown).await), "refused");
    assert_eq!(code(fixture.store.run(|tx| lookup::device(tx, "UDID-1")).await), "device");
}

pub async fn a_wipe_asked_for_of_an_install_that_is_given_up_stays_owed_to_it(fixture: Fixture) {
    let id = invited(&fixture, Channel::Apple).await;
    let (lost, whole) = (asks(&fixture, id, "lost").await.unwrap(), asks(&fixture, id, "whole").await.unwrap());
    let lost_device = shows(&fixture, &lost, "UDID-1").await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, lost_device, Scope::Full).await.unwrap().id;
    let whole_device = shows(&fixture, &whole, "UDID-2").await;
    // The same user's: but another name, so another record.
    assert_ne!(lost_device, whole_device);
    assert!(completes(&fixture, &whole).await.unwrap());
    assert!(!fixture.command(wipe).await.state.is_final());
    assert_eq!(fixture.again(lost_device).await.enrolments[0].state, EnrolmentState::Former);
    assert!(!is_revoked(&fixture, &lost).await, "it is heard for its wipe");
    let given = take(&fixture, lost_device, Contact::Fresh).await.map(|c| c.id);
    assert_eq!(given, Some(wipe));
    // Cancelled, there is nothing that it would be heard for.
    let cancel = move |tx: &mut Tx<'_>| wipe::cancel(tx, &local, wipe, true).map(|c| c.state);
    let _ = fixture.store.run(cancel).await;
    settle(&fixture, lost_device, wipe, failed()).await;
    assert_eq!(fixture.again(lost_device).await.enrolments[0].state, EnrolmentState::Revoked, "nothing makes it whole");
}
