//! What stands between an administrator's word and a device, and who counts.

use super::*;
use lanyard::fleet::life::{Erasing, Obliteration};

pub async fn a_personal_device_is_never_fully_wiped(fixture: Fixture) {
    let make = |tx: &mut Tx<'_>| device(tx, "own", &[Channel::Apple], Ownership::Personal);
    let own = fixture.store.run(make).await.unwrap();
    let local = fixture.local().await;
    assert_eq!(code(fixture.wipe(&local, own.id, Scope::Full).await), "personal");
    assert_eq!(fixture.wipe(&local, own.id, Scope::Selective).await.unwrap().state, State::Queued);
}

pub async fn a_wipe_needs_a_reason(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let mut request = request(Scope::Full);
    request.reason = "  ".into();
    assert_eq!(code(fixture.wipe_with(&local, device.id, request).await), "reason");
}

pub async fn how_to_erase_is_said_to_what_can_do_it(fixture: Fixture) {
    let local = fixture.local().await;
    let platforms = [Platform::Ios, Platform::Ipados, Platform::Macos, Platform::Tvos, Platform::Windows];
    let mut rows = Vec::new();
    for (number, platform) in platforms.into_iter().enumerate() {
        let channel = if platform == Platform::Windows { Channel::Omadm } else { Channel::Apple };
        let device = fixture.device(&format!("u{number}"), &[channel]).await;
        let id = device.id;
        let told = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, id)?;
            let claim = life::Claim { platform: Some(platform), ..life::Claim::default() };
            crate::fixture::happen(tx, &mut device, life::Event::Told(Box::new(claim)))
        };
        fixture.store.run(told).await.unwrap();
        rows.push((platform, id));
    }
    let data_plan = Erasing { preserve_data_plan: true, ..Erasing::default() };
    let service = Erasing { return_to_service: true, ..Erasing::default() };
    let obliteration = Erasing { obliteration: Some(Obliteration::DoNotObliterate), ..Erasing::default() };
    let phones = [Platform::Ios, Platform::Ipados];
    for (platform, device) in rows {
        for how in [data_plan, service, obliteration] {
            let selective = wipe::Request { how, ..request(Scope::Selective) };
            assert_eq!(code(fixture.wipe_with(&local, device, selective).await), "unsupported", "{platform:?} {how:?}");
        }
        let (good, bad) = match platform {
            Platform::Macos => (vec![obliteration], vec![data_plan, service]),
            platform if phones.contains(&platform) => (vec![data_plan, service], vec![obliteration]),
            _ => (vec![], vec![data_plan, service, obliteration]),
        };
        for how in bad {
            let full = wipe::Request { how, ..request(Scope::Full) };
            assert_eq!(code(fixture.wipe_with(&local, device, full).await), "unsupported", "{platform:?} {how:?}");
        }
        for how in good {
            let full = wipe::Request { how, ..request(Scope::Full) };
            let asked = fixture.wipe_with(&local, device, full).await.unwrap();
            assert_eq!(asked.act, life::Act::Wipe { scope: Scope::Full, pin: None, how }, "{platform:?}");
            let id = asked.id;
            let local = local.clone();
            fixture.store.run(move |tx| wipe::cancel(tx, &local, id, true)).await.unwrap();
        }
    }
}

async fn fleet(fixture: &Fixture, count: usize) -> Vec<Device> {
    let make = move |tx: &mut Tx<'_>| {
        (0..count).map(|i| device(tx, &format!("f{i}"), &[Channel::Apple], Ownership::Corporate)).collect()
    };
    fixture.store.run(make).await.unwrap()
}

pub async fn the_limits_hold_and_one_approval_holds_the_rest(fixture: Fixture) {
    let (ann, bob) = (fixture.second("ann").await, fixture.second("bob").await);
    let fleet = fleet(&fixture, 40).await;
    let mut commands = Vec::new();
    for device in &fleet[..15] {
        commands.push(fixture.wipe(&ann, device.id, Scope::Full).await.unwrap());
    }
    assert!(commands[..10].iter().all(|c| c.state == State::Queued && c.approval.is_none()));
    assert!(commands[10..].iter().all(|c| c.state == State::Held && c.approval == commands[10].approval));
    for device in &fleet[15..30] {
        commands.push(fixture.wipe(&bob, device.id, Scope::Full).await.unwrap());
    }
    let queued = commands.iter().filter(|c| c.state == State::Queued).count();
    assert_eq!(queued, 20, "ten for each administrator, twenty for the tenant");
    let local = fixture.local().await;
    assert_eq!(fixture.wipe(&local, fleet[30].id, Scope::Full).await.unwrap().state, State::Held);
    assert_eq!(
        fixture.wipe(&local, fleet[31].id, Scope::Selective).await.unwrap().state,
        State::Queued,
        "counted apart"
    );

    let (id, decider) = (commands[10].approval.unwrap(), bob.clone());
    let approved: Approval =
        fixture.store.run(move |tx| crate::fixture::reads_and_approves(tx, &decider, id)).await.unwrap();
    assert_eq!(approved.commands.len(), 5);
    assert_eq!(fixture.command(commands[14].id).await.state, State::Queued);
    let id = commands.last().unwrap().approval.unwrap();
    fixture.store.run(move |tx| approvals::reject(tx, &bob, id)).await.unwrap();
    assert_eq!(
        fixture.command(commands.last().unwrap().id).await.state,
        State::Cancelled,
        "who asked can take it back"
    );

    if fixture.live_through(HOUR + Duration::from_secs(1)).await {
        assert_eq!(
            fixture.wipe(&ann, fleet[35].id, Scope::Full).await.unwrap().state,
            State::Queued,
            "the hour has room again"
        );
    }
}

pub async fn a_newcomer_counts_for_nothing(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let eve = fixture.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    let held = fixture.wipe(&eve, device.id, Scope::Full).await.unwrap();
    assert_eq!(held.state, State::Held);
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.map(|c| c.id), None);
    let other = fixture.second("other").await;
    let id = held.approval.unwrap();
    assert_eq!(code(fixture.store.run(move |tx| approvals::approve(tx, &other, id)).await), "newcomer");
    let local = fixture.local().await;
    let refused = fixture.store.run(move |tx| approvals::approve(tx, &local, id)).await;
    assert_eq!(code(refused), "own_newcomer", "whom one made lately is no second person");
}

pub async fn a_newcomer_ends_their_own_tokens_alone(fixture: Fixture) {
    let ann = fixture.second("ann").await;
    fixture.device("u1", &[Channel::Apple]).await;
    let eve = fixture.second("eve").await;
    let tokens = fixture.store.run(admins::list_tokens).await.unwrap();
    let of = |name: &str| tokens.iter().find(|token| token.admin == name).unwrap().id;
    let end = |actor: &Actor, id| {
        let actor = actor.clone();
        fixture.store.run(move |tx| admins::revoke_token(tx, &actor, id))
    };
    assert_eq!(code(end(&eve, of("ann")).await), "newcomer");
    end(&eve, of("eve")).await.unwrap();
    end(&ann, of("ann")).await.unwrap();
    let left = fixture.store.run(admins::list_tokens).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

pub async fn a_loosened_limit_waits(fixture: Fixture) {
    fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let set = |value: &'static str| {
        let local = local.clone();
        fixture.store.run(move |tx| settings::set(tx, &local, "wipe.full.per_admin", value))
    };
    let looser = set("500").await.unwrap();
    assert_eq!((looser.value.as_str(), looser.pending.as_deref()), ("10", Some("500")));
    let tighter = set("3").await.unwrap();
    assert_eq!((tighter.value.as_str(), tighter.pending), ("3", None));
    set("50").await.unwrap();
    if fixture.live_through(25 * HOUR).await {
        let now = fixture.store.run(|tx| settings::show(tx, "wipe.full.per_admin")).await.unwrap();
        assert_eq!((now.value.as_str(), now.pending), ("50", None));
    }
}

pub async fn nobody_approves_their_own_request(fixture: Fixture) {
    let ann = fixture.second("ann").await;
    fixture.device("u1", &[Channel::Apple]).await;
    let asker = ann.clone();
    let asked = move |tx: &mut Tx<'_>| {
        stop::set(tx, &asker, false)?;
        stop::ask_off(tx, &asker)
    };
    let id = fixture.store.run(asked).await.unwrap().id;
    assert_eq!(code(fixture.store.run(move |tx| approvals::approve(tx, &ann, id)).await), "own_request");
    let local = fixture.local().await;
    fixture.store.run(move |tx| crate::fixture::reads_and_approves(tx, &local, id)).await.unwrap();
    assert!(!fixture.store.run(stop::is_on).await.unwrap());
}

pub async fn who_has_no_token_is_no_second_person(fixture: Fixture) {
    let ann = fixture.second("ann").await;
    let may = async || {
        let found = fixture.store.run(|tx| {
            let people = admins::with_token(tx)?;
            Ok(approvals::may_decide(&people, tx.now(), "nobody", &std::collections::BTreeSet::new()))
        });
        found.await.unwrap().into_iter().map(|person| person.name).collect::<Vec<_>>()
    };
    let both = may().await;
    assert_eq!(both.iter().filter(|name| ["ann", "local"].contains(&name.as_str())).count(), 2, "{both:?}");
    fixture.device("u1", &[Channel::Apple]).await;
    let end = move |tx: &mut Tx<'_>| {
        let token = admins::list_tokens(tx)?.into_iter().find(|token| token.admin == "ann").unwrap().id;
        admins::revoke_token(tx, &ann, token)
    };
    fixture.store.run(end).await.unwrap();
    assert_eq!(may().await, ["local"], "she cannot say anything");
    let local = fixture.local().await;
    fixture.store.run(move |tx| admins::create_token(tx, &local, Some("ann")).map(drop)).await.unwrap();
    assert_eq!(may().await, ["local"], "nor yet by a new one");
    if fixture.live_through(25 * HOUR).await {
        assert_eq!(may().await.len(), 2);
    }
}

pub async fn the_stop_holds_and_cancels_in_one_act(fixture: Fixture) {
    let fleet = fleet(&fixture, 4).await;
    let local = fixture.local().await;
    let queued = fixture.wipe(&local, fleet[0].id, Scope::Full).await.unwrap();
    let sent = fixture.wipe(&local, fleet[1].id, Scope::Full).await.unwrap();
    take(&fixture, fleet[1].id, Contact::Fresh).await.unwrap();
    let who = local.clone();
    fixture.store.run(move |tx| stop::set(tx, &who, false)).await.unwrap();
    assert_eq!(take(&fixture, fleet[0].id, Contact::Fresh).await.map(|c| c.id), None, "none is handed out");
    let held = fixture.wipe(&local, fleet[2].id, Scope::Selective).await.unwrap();
    assert_eq!(held.state, State::Held);
    let (_, cancelled) = fixture.store.run(move |tx| stop::set(tx, &local, true)).await.unwrap();
    assert_eq!(cancelled, 2);
    for (id, state) in [(queued.id, State::Cancelled), (held.id, State::Cancelled), (sent.id, State::Sent)] {
        assert_eq!(fixture.command(id).await.state, state);
    }
}

pub async fn the_undo_window_can_be_used_and_ends(fixture: Fixture) {
    let fleet = fleet(&fixture, 2).await;
    let local = fixture.local().await;
    let delayed = || wipe::Request { delay: Some(Duration::from_secs(600)), ..request(Scope::Full) };
    let undone = fixture.wipe_with(&local, fleet[0].id, delayed()).await.unwrap();
    let left = fixture.wipe_with(&local, fleet[1].id, delayed()).await.unwrap();
    assert_eq!(take(&fixture, fleet[0].id, Contact::Fresh).await.map(|c| c.id), None);
    fixture.store.run(move |tx| wipe::cancel(tx, &local, undone.id, true)).await.unwrap();
    if fixture.live_through(Duration::from_secs(601)).await {
        let (wakes, _) = fixture.store.run(wipe::sweep).await.unwrap();
        assert_eq!(wakes.iter().map(|w| w.device).collect::<Vec<_>>(), [fleet[1].id]);
        assert_eq!(take(&fixture, fleet[1].id, Contact::Fresh).await.unwrap().id, left.id);
        assert_eq!(take(&fixture, fleet[0].id, Contact::Fresh).await.map(|c| c.id), None);
    }
}

pub async fn a_wipe_shuts_mail_at_once_unless_held(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple, Channel::Activesync]).await;
    let eve = fixture.second("eve").await;
    fixture.wipe(&eve, device.id, Scope::Full).await.unwrap();
    assert_eq!(fixture.again(device.id).await.mail_shut, None, "the breaker holds it");
    let local = fixture.local().await;
    let device = fixture.device("u2", &[Channel::Apple, Channel::Activesync]).await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(fixture.again(device.id).await.mail_shut, Some(wipe.id));
    fixture.store.run(move |tx| wipe::cancel(tx, &local, wipe.id, true)).await.unwrap();
    let after = fixture.again(device.id).await;
    assert_eq!((after.mail_shut, after.life), (None, Life::Enrolled));
}

pub async fn an_approval_that_was_lost_holds_nothing_back(fixture: Fixture) {
    let bob = fixture.second("bob").await;
    let device = fixture.device("u1", &[Channel::Apple]).await.id;
    let (local, eve) = (fixture.local().await, fixture.second("eve").await);
    let held = fixture.wipe(&eve, device, Scope::Full).await.unwrap();
    let id = held.approval.unwrap();
    let lose = move |tx: &mut Tx<'_>| {
        let approval = approvals::find(tx, id)?;
        Ok(tx.delete(&approval)?)
    };
    fixture.store.run(lose).await.unwrap();
    assert!(fixture.store.run(approvals::open).await.unwrap().is_empty());
    // The stop can be set and lifted, what was held is cancelled with it, and time goes on.
    let who = local.clone();
    let (_, cancelled) = fixture.store.run(move |tx| stop::set(tx, &who, true)).await.unwrap();
    assert_eq!((cancelled, fixture.command(held.id).await.state), (1, State::Cancelled));
    let lift = move |tx: &mut Tx<'_>| {
        let asked = stop::ask_off(tx, &local)?;
        crate::fixture::reads_and_approves(tx, &bob, asked.id).map(drop)
    };
    fixture.store.run(lift).await.unwrap();
    fixture.store.run(approvals::expire).await.unwrap();
    let local = fixture.local().await;
    assert_eq!(fixture.wipe(&local, device, Scope::Full).await.unwrap().state, State::Queued);
}

/// What the mail server ordered, for a mail client.
async fn ordered(fixture: &Fixture, id: DeviceId, scope: Scope) -> Command {
    let ask = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let enrolment = device.enrolments.last().unwrap().id;
        let command = wipe::upstream::ask(tx, &mut device, enrolment, scope)?;
        queue::find(tx, command)
    };
    fixture.store.run(ask).await.unwrap()
}

async fn set(fixture: &Fixture, key: &'static str, value: &'static str) {
    let local = fixture.local().await;
    fixture.store.run(move |tx| settings::set(tx, &local, key, value)).await.unwrap();
}

async fn withdrawn(fixture: &Fixture, command: &Command) -> bool {
    let (device, id) = (command.device, command.id);
    let withdraw = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        wipe::upstream::withdraw(tx, &mut device, id)
    };
    fixture.store.run(withdraw).await.unwrap()
}

pub async fn a_wipe_ordered_at_the_mail_server_counts_for_the_tenant_alone(fixture: Fixture) {
    let mail =
        |n: usize, ownership| move |tx: &mut Tx<'_>| device(tx, &format!("m{n}"), &[Channel::Activesync], ownership);
    let mut devices = Vec::new();
    for n in 0..24 {
        devices.push(fixture.store.run(mail(n, Ownership::Corporate)).await.unwrap().id);
    }
    let first = ordered(&fixture, devices[0], Scope::Full).await;
    assert_eq!(
        (first.state, first.requested_by.as_str(), first.channel),
        (State::Queued, "upstream", Channel::Activesync)
    );
    assert_eq!(ordered(&fixture, devices[0], Scope::Full).await.id, first.id, "it is one command");
    assert_eq!(ordered(&fixture, devices[0], Scope::Selective).await.id, first.id, "which does as much");
    for id in &devices[1..20] {
        assert_eq!(ordered(&fixture, *id, Scope::Full).await.state, State::Queued, "past the limit of a person");
    }
    let over = ordered(&fixture, devices[20], Scope::Full).await;
    let local = fixture.local().await;
    assert_eq!(fixture.wipe(&local, devices[21], Scope::Full).await.unwrap().state, State::Held, "they count for all");
    assert_eq!(over.state, State::Held);
    let approval = over.approval.unwrap();
    assert_eq!(ordered(&fixture, devices[22], Scope::Full).await.approval, Some(approval), "one request");
    let approved = fixture.store.run(move |tx| crate::fixture::reads_and_approves(tx, &local, approval)).await.unwrap();
    assert_eq!((approved.asked_by.as_str(), approved.commands.len()), ("upstream", 2));
    assert_eq!(fixture.command(over.id).await.state, State::Queued);
    assert_eq!(ordered(&fixture, devices[23], Scope::Selective).await.state, State::Queued, "another limit");
}

pub async fn a_wipe_ordered_at_the_mail_server_is_held_where_it_must_be(fixture: Fixture) {
    let mail = |n: &'static str, ownership| move |tx: &mut Tx<'_>| device(tx, n, &[Channel::Activesync], ownership);
    let own = fixture.store.run(mail("own", Ownership::Personal)).await.unwrap().id;
    let held = ordered(&fixture, own, Scope::Full).await;
    assert_eq!(held.state, State::Held, "its user's own");
    let local = fixture.local().await;
    let again = fixture.wipe(&local, own, Scope::Full).await;
    assert!(again.is_err() || again.unwrap().state == State::Held, "to ask again is no way round");
    assert!(withdrawn(&fixture, &held).await, "taken back there");
    assert_eq!(fixture.command(held.id).await.state, State::Cancelled);
    assert!(!withdrawn(&fixture, &held).await);
    assert_eq!(ordered(&fixture, own, Scope::Selective).await.state, State::Queued);

    set(&fixture, "eas.upstream_wipe", "hold").await;
    let other = fixture.store.run(mail("other", Ownership::Corporate)).await.unwrap().id;
    let held = ordered(&fixture, other, Scope::Full).await;
    assert_eq!(held.state, State::Held);
    let asked = fixture.wipe(&local, other, Scope::Full).await.unwrap();
    assert_eq!((asked.id, asked.state), (held.id, State::Queued), "an administrator who asks for the same lets it go");
    let taken = take(&fixture, other, Contact::Fresh).await.unwrap();
    assert!(!withdrawn(&fixture, &taken).await, "it was sent");

    let third = fixture.store.run(mail("third", Ownership::Corporate)).await.unwrap().id;
    fixture.store.run(move |tx| wipe::stop::set(tx, &local, false)).await.unwrap();
    assert_eq!(ordered(&fixture, third, Scope::Full).await.state, State::Held, "the stop is on");
}
