//! A store that is far takes a round trip for each question: nobody asks for a command that cannot be there yet.

use crate::fixture::{Hands, able, device, options};
use lanyard::{
    fleet::{
        admins, keeper,
        life::{Act, Channel, Contact, Outcome, Ownership},
        queue,
        terms::EvidenceKind,
    },
    store::{Changes, Engine, Entry, Fault, Memory, Moment, Reader, Store, Writes},
};
use std::sync::{Arc, Mutex};

/// Notes which keys were asked for in vain.
struct Watched {
    inner: Memory,
    absent: Arc<Mutex<Vec<String>>>,
}

impl Reader for Watched {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let found = self.inner.get(key)?;
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
    let store = Store::start(Box::new(Watched { inner, absent: absent.clone() }), options("node-a"));
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
