//! Text that devices, mail clients and people choose: whatever it is, it harms nobody.

use super::*;

/// What no store keeps in a key, what would end a part of one, and what is longer than any.
fn hostile() -> Vec<String> {
    let short = ["a\0b", "\0", "a/b", "../*", "%00", "a\u{7f}\u{85}\r\n", "\u{feff}", ""];
    let long = ["x", "/", "\0", "Ⱥ"].map(|part| part.repeat(2000));
    short.into_iter().map(str::to_string).chain(long).collect()
}

type Call = Box<dyn FnOnce(&mut Tx<'_>, &Actor, &str) -> Result<()> + Send>;

fn call(call: impl FnOnce(&mut Tx<'_>, &Actor, &str) -> Result<()> + Send + 'static) -> Call {
    Box::new(call)
}

/// All that takes a text from outside and looks or files under it.
fn calls() -> Vec<(&'static str, Call)> {
    vec![
        ("a device", call(|tx, _, text| lookup::device(tx, text).map(drop))),
        (
            "a name",
            call(|tx, _, text| {
                let id = tx.new_id();
                lookup::claim(tx, lookup::SERIAL, text, id)
            }),
        ),
        ("claimants", call(|tx, _, text| lookup::claimants(tx, lookup::SERIAL, text).map(drop))),
        ("a user", call(|tx, _, text| users::note(tx, Channel::Activesync, text, text))),
        ("a user's devices", call(|tx, _, text| users::devices(tx, text).map(drop))),
        ("tries", call(|tx, _, text| tries::within(tx, text, 5)?.map_or(Ok(()), |tries| tries.count(tx)))),
        (
            "an invitation's user",
            call(|tx, local, text| {
                invitation::create(tx, local, Channel::Apple, text, Ownership::Corporate, None).map(drop)
            }),
        ),
        (
            "a code",
            call(|tx, _, text| match invitation::by_code(tx, text, Channel::Apple, Some(text), Some(text)) {
                Err(Denial::Failed(error)) => Err(error),
                Err(Denial::Refused(_)) | Ok(_) => Ok(()),
            }),
        ),
        ("a url", call(|tx, _, text| invitation::by_url(tx, text).map(drop))),
        ("a challenge", call(|tx, _, text| invitation::by_challenge(tx, text).map(drop))),
        ("a group", call(|tx, local, text| groups::create(tx, local, text).map(drop))),
        ("a group's members", call(|tx, _, text| groups::members(tx, text, None, 10).map(drop))),
        ("a member", call(|tx, local, text| groups::set(tx, local, text, text, true).map(drop))),
        ("a group's end", call(|tx, local, text| groups::delete(tx, local, text).map(drop))),
        ("a page after", call(|tx, _, text| Ok(tx.scan::<Device>("", Some(text), 10).map(drop)?))),
        ("a page of groups", call(|tx, _, text| groups::page(tx, Some(text), 10).map(drop))),
        ("a page of the log", call(|tx, _, text| audit::list(tx, Some(text), 10).map(drop))),
        ("a page of approvals", call(|tx, local, text| approvals::list(tx, local, Some(text), 10).map(drop))),
        ("a known head", call(|tx, _, text| audit::verify(tx, Some(text)).map(drop))),
        (
            "an entry",
            call(|tx, _, text| {
                let event = Event::PolicyApplied { policy: text.into(), diff: text.into() };
                audit::note(tx, By::Admin(text.into()), event)
            }),
        ),
        (
            "a notice",
            call(|tx, _, text| {
                let approval = tx.new_id();
                notices::tell(tx, News::ApprovalWaiting(approval, text.into()))
            }),
        ),
        ("a policy", call(|tx, _, text| policies::find(tx, text).map(drop))),
        ("a policy's end", call(|tx, _, text| policies::look_at_end(tx, text).map(drop))),
        ("a setting", call(|tx, local, text| settings::set(tx, local, text, text).map(drop))),
        ("a setting's value", call(|tx, local, text| settings::set(tx, local, "webhook.url", text).map(drop))),
        ("an administrator", call(|tx, local, text| admins::add(tx, local, text).map(drop))),
        ("an administrator's end", call(|tx, _, text| admins::remove(tx, text, text))),
        ("a token", call(|tx, _, text| admins::authenticate(tx, text, true).map(drop))),
        ("whose token", call(|tx, local, text| admins::create_token(tx, local, Some(text)).map(drop))),
        ("an administrator's name", call(|tx, _, text| admins::name_of(tx, text).map(drop))),
        ("a wipe", call(|tx, local, text| wipe::ask(tx, local, text, request(Scope::Full), &able).map(drop))),
        ("a lock", call(|tx, local, text| wipe::ask_lock(tx, local, text, text, screen(text), &able).map(drop))),
    ]
}

pub async fn a_nul_in_any_text_harms_nobody(fixture: Fixture) {
    let local = fixture.local().await;
    for (round, text) in hostile().into_iter().enumerate() {
        let shown: String = text.chars().take(10).collect();
        for (at, (what, call)) in calls().into_iter().enumerate() {
            let (local, text) = (local.clone(), text.clone());
            let asked = fixture.store.once(move |tx| call(tx, &local, &text));
            let name = format!("{round}.{at}");
            let beside = note(&name);
            let honest = fixture.store.run(move |tx| Ok(tx.put(&beside)?));
            let (asked, honest) = tokio::join!(asked, honest);
            assert!(!matches!(asked, Err(Error::Store(_) | Error::Internal(_))), "{what} {shown:?}: {asked:?}");
            honest.unwrap_or_else(|error| panic!("beside {what} {shown:?}: {error}"));
            let kept = fixture.store.run(move |tx| Ok(tx.get::<Note>(name)?)).await;
            assert!(kept.unwrap().is_some(), "beside {what} {shown:?}");
        }
    }
}

pub async fn a_device_is_enrolled_and_found_whatever_it_calls_itself(fixture: Fixture) {
    for (at, text) in hostile().into_iter().enumerate() {
        let shown: String = text.chars().take(10).collect();
        let said = || Some(text.clone());
        let identity = format!("{text}-{at}");
        let claim = life::Claim {
            serial: said(),
            name: said(),
            model: said(),
            os_version: said(),
            mail_id: said(),
            hardware_id: said(),
            ..claim(&identity)
        };
        let (id, ..) = enrolled(&fixture, Channel::Omadm, &format!("user{at}@example.org"), claim).await;
        let by_name = fixture.store.run(move |tx| lookup::device(tx, &identity)).await;
        match text.len() {
            0..=400 => assert_eq!(by_name.unwrap().id, id, "{shown:?}"),
            _ => assert_eq!(code(by_name), "device", "{shown:?}: no name of any device is as long"),
        }
    }
}

/// A locked screen, all of it of this text.
fn screen(text: &str) -> wipe::Screen {
    wipe::Screen { pin: Some(text.into()), message: Some(text.into()), phone: Some(text.into()) }
}
