//! A store that is far takes a round trip for each question: nobody asks for a command that cannot be there yet, nor for each of many things
//! that a message tells.

use crate::fixture::{Hands, able, device, options};
use lanyard::{
    fleet::{
        admins, keeper,
        life::{Act, Channel, Contact, Outcome, Ownership},
        queue,
        registry::journal::{self, Said},
        terms::EvidenceKind,
    },
    ids::DeviceId,
    store::{Changes, Engine, Entry, Fault, Memory, Moment, Reader, Store, Tx, Writes},
};
use std::sync::{Arc, Mutex};

/// Notes which keys were asked for, and which of them in vain.
struct Watched {
    inner: Memory,
    asked: Arc<Mutex<Vec<String>>>,
    absent: Arc<Mutex<Vec<String>>>,
}

impl Reader for Watched {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let found = self.inner.get(key)?;
        self.asked.lock().unwrap().push(key.into());
        if found.is_none() {
            self.absent.lock().unwrap().push(key.into());
        }
        Ok(found)
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        self.inner.scan(prefix, after, limit)
    }
}

impl Engine for Watched {
    fn begin(&mut self) -> Result<Moment, Fault> {
        self.inner.begin()
    }
    fn changes(&mut self) -> Result<Changes, Fault> {
        self.inner.changes()
    }
    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault> {
        self.inner.commit(writes, changes)
    }
    fn shared(&self) -> bool {
        self.inner.shared()
    }
}

#[tokio::test]
async fn a_command_that_is_new_is_not_looked_for() {
    let absent: Arc<Mutex<Vec<String>>> = Arc::default();
    let inner = Memory::new(Hands::new().clock());
    let store =
        Store::start(Box::new(Watched { inner, asked: Arc::default(), absent: absent.clone() }), options("node-a"));
    let made = store.run(|tx| {
        admins::ensure_local(tx, "secret")?;
        device(tx, "UDID", &[Channel::Apple], Ownership::Corporate)
    });
    let (id, enrolment) = made.await.map(|device| (device.id, device.enrolments[0].id)).unwrap();
    for _ in 0..2 {
        let asked = store.run(move |tx| {
            let actor = admins::authenticate(tx, "secret", true)?.unwrap();
            let mut device = keeper::by_id(tx, id)?;
            queue::ask(tx, &actor, &mut device, Act::Refresh, &able)
        });
        let asked = asked.await.unwrap().id;
        let sent = store.run(move |tx| {
            let mut device = keeper::by_id(tx, id)?;
            queue::take_next(tx, &mut device, enrolment, Contact::Fresh)
        });
        assert_eq!(sent.await.unwrap().map(|command| command.id), Some(asked));
        let settled = store.run(move |tx| {
            let outcome = Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() };
            let mut device = keeper::by_id(tx, id)?;
            queue::settle(tx, &mut device, enrolment, asked, outcome)
        });
        settled.await.unwrap().unwrap();
    }
    let commands: Vec<String> =
        absent.lock().unwrap().iter().filter(|key| key.contains("/command/")).cloned().collect();
    assert_eq!(commands, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_message_tells_is_read_once_whatever_it_tells() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let inner = Memory::new(Hands::new().clock());
    let watched = Watched { inner, asked: asked.clone(), absent: Arc::default() };
    let store = Store::start(Box::new(watched), options("node-a"));
    let id = DeviceId(uuid::Uuid::from_u128(1));
    for _ in 0..2 {
        let told = move |tx: &mut Tx<'_>| {
            let alerts = (0..50).map(|n| Said::Alert { kind: "k".into(), text: n.to_string() });
            let spoilt = ["a", "b"].map(|what| Said::Unreadable { what: what.into(), by: None });
            journal::note(tx, id, alerts.chain(spoilt))
        };
        store.run(told).await.unwrap();
    }
    store.run(move |tx| journal::note(tx, id, [])).await.unwrap();
    let asked = asked.lock().unwrap().iter().filter(|key| key.contains("/journal/")).count();
    assert_eq!(asked, 2, "once a message that tells something");
    let kept = store.run(move |tx| Ok(journal::of(tx, &[id])?.pop().flatten())).await.unwrap().unwrap();
    let texts: Vec<&str> = kept.events().map(|event| event.text.as_str()).collect();
    assert_eq!((texts.len(), texts[0], texts[49]), (50, "0", "49"), "in their order, and each once");
    assert_eq!(kept.unreadable(lanyard::clock::Steady(0)).count(), 2);
}
