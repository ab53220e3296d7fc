//! What mailboxes and an organisation lack, before a connector that is slow, forgetful, told otherwise, or of an older version.

use super::{
    access::{Document, Found, Rule, Wanted, Which},
    due, exchange,
    orders::{self, Ended, Order, Read, What},
    partnerships::{Listed, PARTNERSHIPS, Seen, Told, Treated},
    results,
    under::{Assigned, Rules, Under},
    *,
};
use crate::{
    clock::Clock,
    fleet::{
        admins,
        policies::{self, Source},
    },
    policy::PartContent,
    store::{Memory, Observer, Options, Store},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

const ORG: &str = "main";
const SECRET: &str = "the token of local";
const STRICT: &str = "name: base\nassign: all\npasscode: {min_length: 8}\n";

struct Nobody;
impl Observer for Nobody {
    fn changed(&self, _: &BTreeSet<String>) {}
    fn remember(&self, _: Box<dyn std::any::Any + Send>) {}
    fn caught_up(&self, _: std::time::Instant) {}
}

struct World {
    store: Store,
    up: Arc<AtomicU64>,
    instance: Uuid,
}

/// One policy for each document, named by what it says.
fn spell(contents: &[PartContent]) -> Option<Rules> {
    let lengths = contents.iter().filter_map(|content| match content {
        PartContent::ActiveSync { values, .. } => Some(values.len()),
        _ => None,
    });
    let strictest = lengths.max()?;
    let settings = [("MinPasswordLength".to_string(), strictest.to_string())].into();
    Some(Rules { name: format!("Lanyard {strictest}"), settings, near: vec!["nearly".into()] })
}

fn told(id: u128, mailbox: u128, policy: Option<Assigned>) -> Told {
    Told {
        guid: Uuid::from_u128(id),
        device_id: format!("Appl{id}"),
        mailbox: Uuid::from_u128(mailbox),
        address: format!("user{mailbox}@example.org"),
        device_type: "Android".into(),
        name: None,
        model: None,
        os: None,
        agent: None,
        version: Some("16.1".into()),
        outlook: false,
        takes_account_wipe: true,
        treated: Treated::Allowed,
        by_rule: false,
        policy,
        listed: Some(Listed::Neither),
        wipe: None,
        account_wipe: None,
        last_sync: None,
    }
}

fn named(name: &str) -> Option<Assigned> {
    Some(Assigned::Named(name.into()))
}

const DEFAULT: Option<Assigned> = Some(Assigned::Default);

fn later() -> Ended {
    Ended::Later { text: "busy".into() }
}

impl World {
    /// A connector that leads, and knows policies and settings or not.
    async fn new(settings: bool) -> Self {
        let (up, begin) = (Arc::new(AtomicU64::new(0)), 1_764_000_000_000);
        let (wall, steady) = (up.clone(), up.clone());
        let clock = Clock::new(
            move || Timestamp(begin + i64::try_from(wall.load(SeqCst)).unwrap()),
            move || Duration::from_millis(steady.load(SeqCst)),
        );
        let fill = Arc::new(|bytes: &mut [u8]| openssl::rand::rand_bytes(bytes).unwrap());
        let options = Options { node: "node-a".into(), fill, observer: Arc::new(Nobody) };
        let store = Store::start(Box::new(Memory::new(clock)), options);
        store.run(|tx| admins::ensure_local(tx, SECRET)).await.unwrap();
        store.run(admins::begin_first_hour).await.unwrap();
        let world = Self { store, up, instance: Uuid::from_u128(1) };
        let (instance, actor) = (world.instance, world.local().await);
        let begun = move |tx: &mut Tx<'_>| {
            let code = invite(tx, &actor, ORG, "online", None)?.code;
            let sha256: Fingerprint = "ab".repeat(32).parse().unwrap();
            let issued = Issued { sha256, not_after: tx.now().plus(Duration::from_secs(86_400)), der: "00".into() };
            assert!(join(tx, &code, instance, "key", "online", issued).is_ok());
            let hello = Hello {
                exchange: Uuid::from_u128(7),
                kind: "online".into(),
                version: "1".into(),
                account_only: true,
                settings,
            };
            let org = find(tx, ORG)?;
            let org = greet(tx, org, instance, &sha256, hello)?;
            Ok(lead(tx, org, instance, None)?.is_ok())
        };
        assert!(world.store.run(begun).await.unwrap());
        world
    }

    async fn local(&self) -> Actor {
        self.store.run(|tx| admins::authenticate(tx, SECRET, true)).await.unwrap().unwrap()
    }

    fn pass(&self, by: Duration) {
        self.up.fetch_add(u64::try_from(by.as_millis()).unwrap(), SeqCst);
    }

    async fn policy(&self, text: &'static str) {
        let actor = self.local().await;
        let apply = move |tx: &mut Tx<'_>| {
            let source = Source::try_from(text.to_owned()).unwrap();
            let seen = policies::look(tx, &source)?;
            policies::apply(tx, &actor, &source, seen)
        };
        self.store.run(apply).await.unwrap();
    }

    async fn no_policy(&self) {
        let actor = self.local().await;
        let end = move |tx: &mut Tx<'_>| {
            let seen = policies::look_at_end(tx, "base")?;
            policies::delete(tx, &actor, "base", seen)
        };
        self.store.run(end).await.unwrap();
    }

    /// A report of clients, read so long ago.
    async fn report(&self, rows: Vec<Told>, ago: Duration) {
        let report = move |tx: &mut Tx<'_>| {
            let org = find(tx, ORG)?;
            let seen = Seen { run: None, read: tx.now().minus(ago) };
            rows.iter().try_for_each(|row| results::note(tx, &org, row, seen))
        };
        self.store.run(report).await.unwrap();
    }

    /// The first whole one has ended.
    async fn whole(&self) {
        let ended = |tx: &mut Tx<'_>| {
            let mut org = find(tx, ORG)?;
            org.last_full = Some(tx.now());
            tx.touch(PARTNERSHIPS);
            Ok(tx.put(&org)?)
        };
        self.store.run(ended).await.unwrap();
    }

    /// The leader asks for work: all orders that are open.
    async fn poll(&self) -> Vec<Order> {
        let poll = |tx: &mut Tx<'_>| {
            let mut org = find(tx, ORG)?;
            let keys = due::some(tx, ORG, None, 1000)?;
            due::look(tx, &mut org, &keys, &spell)?;
            exchange::due(tx, &mut org)?;
            tx.put(&org)?;
            orders::after(tx, ORG, 0)
        };
        self.store.run(poll).await.unwrap()
    }

    async fn answer(&self, order: &Order, ended: Ended, client: Option<Told>) {
        let id = order.id;
        let file = move |tx: &mut Tx<'_>| {
            let org = find(tx, ORG)?;
            results::file(tx, &org, id, ended, Read { client, organisation: None })
        };
        self.store.run(file).await.unwrap();
    }

    async fn tell(&self, found: Found, policies: BTreeMap<String, BTreeMap<String, String>>, ago: Duration) {
        let told = exchange::Told { found, policies: Some(policies) };
        let note = move |tx: &mut Tx<'_>| exchange::note(tx, ORG, told, tx.now().minus(ago));
        self.store.run(note).await.unwrap();
    }

    async fn drifts(&self) -> u64 {
        self.store.run(|tx| partnerships::drifts(tx, ORG)).await.unwrap().map_or(0, |(count, _)| count)
    }

    async fn set(&self, document: Document, cuts: Option<u64>) -> Result<exchange::Change> {
        let actor = self.local().await;
        self.store.run(move |tx| exchange::set(tx, &actor, ORG, &document, cuts)).await
    }

    async fn kept(&self) -> exchange::Kept {
        self.store.run(|tx| exchange::of(tx, ORG)).await.unwrap()
    }

    /// Two mailboxes under the default, put under the policy by an order each.
    async fn under_policy() -> Self {
        let world = Self::new(true).await;
        world.policy(STRICT).await;
        world.report(vec![told(1, 1, DEFAULT), told(2, 2, DEFAULT)], Duration::ZERO).await;
        world.whole().await;
        for order in world.poll().await {
            world.answer(&order, Ended::Done, None).await;
        }
        assert_eq!(world.poll().await, [], "it is so");
        world
    }
}

fn under(order: &Order) -> String {
    match &order.what {
        What::Policy(Under::Ours(rules)) => rules.name.clone(),
        What::Policy(Under::Former(Assigned::Named(name))) => format!("former {name}"),
        What::Policy(Under::Former(Assigned::Default)) => "default".into(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_written_before_the_first_whole_report_nor_by_an_older_connector() {
    for settings in [true, false] {
        let world = World::new(settings).await;
        world.policy(STRICT).await;
        world.report(vec![told(1, 1, DEFAULT), told(2, 1, DEFAULT), told(3, 2, DEFAULT)], Duration::ZERO).await;
        assert_eq!(world.poll().await, []);
        world.whole().await;
        let orders = world.poll().await;
        let want = if settings { vec!["Lanyard 2"; 2] } else { vec![] };
        assert_eq!(orders.iter().map(under).collect::<Vec<_>>(), want, "one for a mailbox: {orders:?}");
        assert_eq!(world.poll().await, orders, "and no second one");
    }
}

#[tokio::test]
async fn of_a_connector_that_tells_no_policy_none_is_asked() {
    let world = World::new(true).await;
    world.policy(STRICT).await;
    world.report(vec![told(1, 1, None)], Duration::ZERO).await;
    world.whole().await;
    assert_eq!(world.poll().await, []);
}

#[tokio::test]
async fn a_mailbox_goes_back_to_what_it_was_under_and_is_left_where_others_put_it() {
    for (before, put, want) in [
        (DEFAULT, None, Some("default")),
        (named("theirs"), None, Some("former theirs")),
        (named("theirs"), named("else"), None),
    ] {
        let world = World::new(true).await;
        world.policy(STRICT).await;
        world.report(vec![told(1, 1, before)], Duration::ZERO).await;
        world.whole().await;
        let [order] = &world.poll().await[..] else { panic!("an order") };
        world.answer(order, Ended::Done, Some(told(1, 1, named("Lanyard 2")))).await;
        world.no_policy().await;
        if put.is_some() {
            world.report(vec![told(1, 1, put)], Duration::ZERO).await;
        }
        let orders = world.poll().await;
        assert_eq!(orders.first().map(under).as_deref(), want);
        for order in orders {
            world.answer(&order, Ended::Done, None).await;
        }
        assert_eq!(world.poll().await, [], "and nothing more");
    }
}

#[tokio::test]
async fn answers_that_are_late_twice_or_no_pause_and_contradict_nothing() {
    let world = World::new(true).await;
    world.policy(STRICT).await;
    world.report(vec![told(1, 1, DEFAULT)], Duration::ZERO).await;
    world.whole().await;
    let [first] = &world.poll().await[..] else { panic!("an order") };
    // What was read before tells nothing, as long as it is under way and after.
    world.report(vec![told(1, 1, named("else"))], Duration::ZERO).await;
    world.answer(first, later(), None).await;
    assert_eq!(world.poll().await, [], "after a failure it waits");
    world.pass(Duration::from_secs(31));
    let [second] = &world.poll().await[..] else { panic!("an order") };
    world.answer(second, Ended::Done, None).await;
    world.answer(second, later(), None).await;
    world.answer(first, Ended::Done, None).await;
    world.pass(Duration::from_secs(5));
    world.report(vec![told(1, 1, DEFAULT)], Duration::from_secs(20)).await;
    assert_eq!((world.drifts().await, world.poll().await), (0, vec![]), "it was read before");
    world.report(vec![told(1, 1, DEFAULT)], Duration::ZERO).await;
    let orders = world.poll().await;
    assert_eq!((world.drifts().await, orders.len()), (1, 1), "that is drift");
    world.answer(&orders[0], Ended::Gone, None).await;
    assert_eq!(world.poll().await, [], "nobody syncs it");
}

#[tokio::test]
async fn a_policy_that_fails_keeps_no_decision_waiting() {
    let world = World::new(true).await;
    world.policy(STRICT).await;
    world.report(vec![told(1, 1, DEFAULT)], Duration::ZERO).await;
    world.whole().await;
    let [order] = &world.poll().await[..] else { panic!("an order") };
    world.answer(order, Ended::Cannot { code: "refused".into(), text: "no role".into() }, None).await;
    let actor = world.local().await;
    let block = move |tx: &mut Tx<'_>| {
        use crate::fleet::{enrol::access, life::Access, life::Device};
        let device = tx.all::<Device>("")?.pop().unwrap().id.to_string();
        access::set(tx, &actor, &device, None, Access::Block, "not ours").map(drop)
    };
    world.store.run(block).await.unwrap();
    let whats: Vec<What> = world.poll().await.into_iter().map(|order| order.what).collect();
    assert_eq!(whats, [What::Block]);
    let (_, error) = world.store.run(|tx| mailboxes::counts(tx, ORG)).await.unwrap();
    assert_eq!(error.as_deref(), Some("no role"));
}

#[tokio::test]
async fn many_mailboxes_are_put_under_a_policy_some_at_a_time() {
    let world = World::new(true).await;
    world.policy(STRICT).await;
    world.report((1..=130).map(|id| told(id, id, DEFAULT)).collect(), Duration::ZERO).await;
    world.whole().await;
    let mut written = BTreeSet::new();
    for want in [100, 30, 0] {
        let orders = world.poll().await;
        assert_eq!(orders.len(), want);
        for order in orders {
            assert!(written.insert(order.mailbox), "each once");
            world.answer(&order, Ended::Done, None).await;
        }
    }
}

#[tokio::test]
async fn who_puts_a_mailbox_elsewhere_is_noted_once_and_it_is_put_back() {
    let world = World::under_policy().await;
    world.pass(Duration::from_secs(1));
    for _ in 0..2 {
        world.report(vec![told(1, 1, named("lax")), told(2, 2, named("lanyard 2"))], Duration::ZERO).await;
    }
    assert_eq!(world.drifts().await, 1);
    let orders = world.poll().await;
    assert_eq!(orders.iter().map(under).collect::<Vec<_>>(), ["Lanyard 2"]);
}

#[tokio::test]
async fn a_policy_that_somebody_changed_is_written_anew_by_one_order() {
    let world = World::under_policy().await;
    let says = |length: &str| -> BTreeMap<String, BTreeMap<String, String>> {
        [("Lanyard 2".to_string(), [("MinPasswordLength".to_string(), length.to_string())].into())].into()
    };
    world.pass(Duration::from_secs(1));
    world.tell(found("allow"), says("1"), Duration::from_secs(10)).await;
    assert_eq!((world.drifts().await, world.poll().await), (0, vec![]), "read before it was written");
    for _ in 0..2 {
        world.tell(found("allow"), says("1"), Duration::ZERO).await;
    }
    assert_eq!(world.drifts().await, 1);
    let orders = world.poll().await;
    assert_eq!(orders.iter().map(under).collect::<Vec<_>>(), ["Lanyard 2"], "by one mailbox for both");
    world.answer(&orders[0], Ended::Done, None).await;
    world.pass(Duration::from_secs(1));
    world.tell(found("allow"), says("2"), Duration::ZERO).await;
    assert_eq!((world.drifts().await, world.poll().await), (1, vec![]));
    let near = world.store.run(|tx| near(tx, ORG)).await.unwrap();
    assert_eq!(near["Lanyard 2"], ["nearly"]);
}

fn found(default: &str) -> Found {
    Found { default: default.into(), recipients: vec![], insert: String::new(), rules: vec![rule("Palm", "block")] }
}

fn rule(query: &str, level: &str) -> Rule {
    Rule { which: which(query), level: level.into() }
}

fn which(query: &str) -> Which {
    Which { characteristic: "DeviceType".into(), query: query.into() }
}

fn document(default: Option<&str>, rules: Vec<Rule>) -> Document {
    Document { default: default.map(Into::into), rules, ..Document::default() }
}

#[tokio::test]
async fn leaving_allow_needs_the_number_of_those_whom_it_cuts() {
    let world = World::new(true).await;
    let document = document(Some("quarantine"), vec![]);
    let refused = world.set(document.clone(), None).await.unwrap_err().to_string();
    assert!(refused.contains("no connector has told"), "{refused}");
    let listed = Told { listed: Some(Listed::Allowed), ..told(3, 3, DEFAULT) };
    let by_rule = Told { by_rule: true, ..told(4, 4, DEFAULT) };
    let waits = Told { treated: Treated::Quarantined, ..told(5, 5, DEFAULT) };
    world.report(vec![told(1, 1, DEFAULT), told(2, 2, DEFAULT), listed, by_rule, waits], Duration::ZERO).await;
    for (default, cuts) in [("allow", 2), ("block", 0)] {
        world.tell(found(default), BTreeMap::new(), Duration::ZERO).await;
        for (said, taken) in [(None, cuts == 0), (Some(1), cuts <= 1), (Some(2), true)] {
            let set = world.set(document.clone(), said).await;
            assert_eq!(
                set.as_ref().ok().map(|change| change.cuts),
                taken.then_some(cuts),
                "{default} {said:?}: {set:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_by_its_field() {
    let world = World::new(true).await;
    world.tell(found("allow"), BTreeMap::new(), Duration::ZERO).await;
    let twice = vec![rule("a", "allow"), rule("A", "block")];
    let other = Rule { which: Which { characteristic: "Colour".into(), query: "red".into() }, level: "allow".into() };
    let long = Document { insert: Some("x".repeat(257)), ..Document::default() };
    let nobody = Document { recipients: Some(vec!["nobody".into()]), ..Document::default() };
    for (document, field) in [
        (document(Some("Allow"), vec![]), "default"),
        (document(None, vec![rule("iPh*", "allow")]), "rules.query"),
        (document(None, vec![rule(" ", "allow")]), "rules.query"),
        (document(None, vec![rule("x", "sometimes")]), "rules.level"),
        (document(None, vec![other]), "rules.characteristic"),
        (document(None, twice), "twice"),
        (long, "insert"),
        (nobody, "recipients"),
    ] {
        let refused = world.set(document.clone(), None).await.unwrap_err();
        assert!(format!("{refused:?}").contains(field), "{field}: {refused:?}");
    }
}

#[tokio::test]
async fn a_document_is_set_kept_and_given_back_and_others_rules_stay() {
    let world = World::new(true).await;
    world.tell(found("block"), BTreeMap::new(), Duration::ZERO).await;
    world.set(document(Some("quarantine"), vec![rule("iPhone", "allow")]), None).await.unwrap();
    assert_eq!(world.poll().await, [], "not before the first whole report");
    world.whole().await;
    let [order] = &world.poll().await[..] else { panic!("an order") };
    assert_eq!(world.poll().await.len(), 1, "one at a time");
    world.answer(order, later(), None).await;
    assert_eq!(world.poll().await, []);
    world.pass(Duration::from_secs(31));
    let [order] = &world.poll().await[..] else { panic!("an order") };
    world.answer(order, Ended::Done, None).await;
    world.pass(Duration::from_secs(1));
    let set = Found { rules: vec![rule("Palm", "block"), rule("iPhone", "allow")], ..found("quarantine") };
    world.tell(set.clone(), BTreeMap::new(), Duration::ZERO).await;
    assert_eq!((world.poll().await, world.drifts().await), (vec![], 0));
    let others: Vec<String> = world.kept().await.others().iter().map(|rule| rule.which.query.clone()).collect();
    assert_eq!(others, ["Palm"]);
    // Drift: noted once, and set right by another order.
    for _ in 0..2 {
        world.tell(Found { rules: vec![], ..set.clone() }, BTreeMap::new(), Duration::ZERO).await;
    }
    let orders = world.poll().await;
    assert_eq!((orders.len(), world.drifts().await), (1, 1));
    world.answer(&orders[0], Ended::Done, None).await;
    world.pass(Duration::from_secs(1));
    world.tell(set.clone(), BTreeMap::new(), Duration::ZERO).await;
    // A rule that a former document made and this one does not name goes.
    world.set(document(Some("quarantine"), vec![]), None).await.unwrap();
    let [order] = &world.poll().await[..] else { panic!("an order") };
    let wanted = Wanted { document: document(Some("quarantine"), vec![]), without: vec![which("iPhone")] };
    assert_eq!(order.what, What::Access(wanted));
    world.answer(order, Ended::Done, None).await;
    world.pass(Duration::from_secs(1));
    // What is under way when it is given back is not done any more, and says nothing.
    world.set(document(Some("block"), vec![]), None).await.unwrap();
    let [order] = &world.poll().await[..] else { panic!("an order") };
    let actor = world.local().await;
    world.store.run(move |tx| exchange::release(tx, &actor, ORG)).await.unwrap();
    assert_eq!(world.poll().await, []);
    world.answer(order, later(), None).await;
    assert_eq!(world.kept().await.error, None);
    world.pass(Duration::from_secs(1));
    world.tell(found("allow"), BTreeMap::new(), Duration::ZERO).await;
    assert_eq!((world.poll().await, world.drifts().await), (vec![], 1), "and left");
}
