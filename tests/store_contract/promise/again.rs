//! Asked twice is done once.

use super::*;
use lanyard::{clock::Timestamp, fleet::actor::Actor};

async fn lock(fixture: &Fixture, by: &Actor, id: DeviceId, pin: &str) -> Command {
    let (by, pin) = (by.clone(), pin.to_string());
    let ask = move |tx: &mut Tx<'_>| {
        wipe::ask_lock(tx, &by, &id.to_string(), "", wipe::Screen { pin: Some(pin), ..wipe::Screen::default() }, &able)
    };
    fixture.store.run(ask).await.unwrap()
}

async fn clear(fixture: &Fixture, id: DeviceId) -> Command {
    let local = fixture.local().await;
    let ask = move |tx: &mut Tx<'_>| wipe::ask_clear_passcode(tx, &local, &id.to_string(), &able);
    fixture.store.run(ask).await.unwrap()
}

pub async fn what_is_asked_for_again_while_it_is_open_answers_the_first(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let (id, local) = (device.id, fixture.local().await);
    let sync = ask(&fixture, id, Act::Refresh).await.id;
    let restart = ask(&fixture, id, Act::Restart).await.id;
    let (locked, cleared) = (lock(&fixture, &local, id, "aa").await.id, clear(&fixture, id).await.id);
    for _ in 0..3 {
        assert_eq!(ask(&fixture, id, Act::Refresh).await.id, sync);
        assert_eq!(ask(&fixture, id, Act::Restart).await.id, restart);
        let again = lock(&fixture, &local, id, "bb").await;
        assert_eq!((again.id, again.pin().map(String::as_str)), (locked, Some("aa")), "a Mac has one PIN");
        assert_eq!(clear(&fixture, id).await.id, cleared);
    }
    take(&fixture, id, Contact::Fresh).await.unwrap();
    assert_eq!(ask(&fixture, id, Act::Refresh).await.id, sync, "though it was sent");
    settle(&fixture, id, sync, done()).await;
    assert_ne!(ask(&fixture, id, Act::Refresh).await.id, sync, "what has ended is asked anew");
    let named = |name: &str| Act::Rename { name: name.into() };
    assert_ne!(
        ask(&fixture, id, named("a")).await.id,
        ask(&fixture, id, named("b")).await.id,
        "two names are two acts"
    );
}

pub async fn what_the_breaker_holds_answers_nobody_who_asks_again(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let (by, id) = (local.clone(), device.id);
    fixture.store.run(move |tx| stop::set(tx, &by, false).map(drop)).await.unwrap();
    let held = lock(&fixture, &local, id, "aa").await;
    assert_eq!(held.state, State::Held);
    assert_ne!(lock(&fixture, &local, id, "bb").await.id, held.id);
}

pub async fn who_asks_again_sees_the_pin_where_their_word_counts(fixture: Fixture) {
    let second = fixture.second("bob").await;
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let first = lock(&fixture, &local, device.id, "aa").await.id;
    assert!(!fixture.command(first).await.was_asked_by(&second.id));
    let newcomer = Actor { newcomer_until: Some(Timestamp(i64::MAX)), ..second.clone() };
    assert_eq!(lock(&fixture, &newcomer, device.id, "bb").await.id, first);
    assert!(!fixture.command(first).await.was_asked_by(&second.id), "a newcomer unlocks nothing that another locked");
    let counts = Actor { newcomer_until: None, ..second.clone() };
    for _ in 0..2 {
        assert_eq!(lock(&fixture, &counts, device.id, "bb").await.id, first);
    }
    assert_eq!(fixture.command(first).await.also_asked, [second.id]);
}
