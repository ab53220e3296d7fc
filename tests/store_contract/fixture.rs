//! A store with a clock and a gate in the test's hand, and devices to try things on.

use lanyard::{
    clock::{Clock, Timestamp},
    error::Result,
    fleet::{
        actor::Actor,
        admins::{self},
        enrol, keeper,
        life::{
            Action, Channel, Claim, Command, Device, Enrolment, EnrolmentState, Event, Managed, Ownership, Platform,
            Scope, device::Certificate,
        },
        queue::Support,
        registry::{Credential, lookup},
        terms::EvidenceKind,
        wipe::{self, Approval, Request, approvals},
    },
    ids::{ApprovalId, DeviceId, EnrolmentId, Fingerprint},
    store::{Engine, Fault, Held, Memory, Observer, Options, Postgres, Record, Sled, Store, Tx},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

pub const SECRET: &str = "the token of local";

struct Nobody;
impl Observer for Nobody {
    fn changed(&self, _: &BTreeSet<String>) {}
    fn remember(&self, _: Box<dyn std::any::Any + Send>) {}
    fn caught_up(&self, _: std::time::Instant) {}
}

/// What a store told of its commits.
#[derive(Default)]
pub struct Told {
    pub subjects: Mutex<BTreeSet<String>>,
    pub remembered: Mutex<Vec<u32>>,
}
impl Observer for Told {
    fn changed(&self, subjects: &BTreeSet<String>) {
        self.subjects.lock().unwrap().extend(subjects.iter().cloned());
    }
    fn remember(&self, what: Box<dyn std::any::Any + Send>) {
        self.remembered.lock().unwrap().extend(what.downcast_ref::<u32>());
    }
    fn caught_up(&self, _: std::time::Instant) {}
}

/// Both hands of a clock, to be set. Clones are one clock.
#[derive(Clone)]
pub struct Hands {
    wall: Arc<AtomicI64>,
    uptime: Arc<AtomicU64>,
}

impl Hands {
    pub fn new() -> Self {
        Self { wall: Arc::new(AtomicI64::new(BEGIN)), uptime: Arc::default() }
    }
    pub fn clock(&self) -> Clock {
        let Self { wall, uptime } = self.clone();
        Clock::new(move || Timestamp(wall.load(SeqCst)), move || Duration::from_millis(uptime.load(SeqCst)))
    }
    /// Time goes by.
    pub fn pass(&self, by: Duration) {
        self.uptime.fetch_add(u64::try_from(by.as_millis()).unwrap(), SeqCst);
        self.jump(i64::try_from(by.as_millis()).unwrap());
    }
    /// Somebody sets the wall clock.
    pub fn jump(&self, milliseconds: i64) {
        self.wall.fetch_add(milliseconds, SeqCst);
    }
}

pub const BEGIN: i64 = 1_764_000_000_000;

pub struct Fixture {
    pub store: Store,
    pub hands: Hands,
    pub gate: Arc<Mutex<()>>,
    pub told: Arc<Told>,
    /// PostgreSQL keeps its own time.
    pub owns_clock: bool,
    folder: Option<PathBuf>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

pub fn options(node: &str) -> Options {
    let fill = Arc::new(|bytes: &mut [u8]| openssl::rand::rand_bytes(bytes).unwrap());
    Options { node: node.into(), fill, observer: Arc::new(Nobody) }
}

impl Fixture {
    fn over(
        make: impl FnOnce(lanyard::clock::Clock) -> Box<dyn Engine>,
        owns_clock: bool,
        folder: Option<PathBuf>,
    ) -> Self {
        let hands = Hands::new();
        let gate = Arc::new(Mutex::new(()));
        let engine = make(hands.clock());
        let told = Arc::new(Told::default());
        let options = Options { observer: told.clone(), ..options("node-a") };
        let store = Store::start(Box::new(Held::new(engine, gate.clone())), options);
        Self { store, hands, gate, told, owns_clock, folder }
    }

    async fn begun(self) -> Option<Self> {
        self.store.run(|tx| admins::ensure_local(tx, SECRET)).await.unwrap();
        self.store.run(admins::begin_first_hour).await.unwrap();
        Some(self)
    }

    pub async fn memory() -> Option<Self> {
        Self::over(|clock| Box::new(Memory::new(clock)), true, None).begun().await
    }

    pub async fn sled() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("lanyard-contract-{}", uuid::Uuid::new_v4()));
        let at = folder.clone();
        Self::over(move |clock| Box::new(open_sled(&at, clock).unwrap()), true, Some(folder)).begun().await
    }

    pub async fn postgres() -> Option<Self> {
        let Ok(url) = std::env::var("LANYARD_TEST_POSTGRES") else {
            eprintln!("skipped: no LANYARD_TEST_POSTGRES (cargo xtask test sets one up)");
            return None;
        };
        let url = fresh_database(&url).await;
        let folder = std::env::temp_dir().join(format!("lanyard-contract-{}", uuid::Uuid::new_v4()));
        let at = folder.clone();
        let engine = tokio::task::spawn_blocking(move || open_postgres(&url, "node-a", &at).unwrap()).await.unwrap();
        Self::over(move |_| Box::new(engine), false, Some(folder)).begun().await
    }

    /// Lets time pass, where the clock is ours to set.
    pub fn pass(&self, by: Duration) -> bool {
        self.hands.pass(by);
        self.owns_clock
    }

    /// Somebody sets the wall clock, where it is ours to set, and it is looked at.
    pub async fn jump(&self, milliseconds: i64) -> bool {
        self.hands.jump(milliseconds);
        self.store.run(admins::look_at_clock).await.unwrap();
        self.owns_clock
    }

    /// Lets time pass in steps short enough to be no jump, looking at the clock at each.
    pub async fn live_through(&self, by: Duration) -> bool {
        let mut left = by;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(1800));
            self.pass(step);
            self.store.run(admins::look_at_clock).await.unwrap();
            left -= step;
        }
        self.owns_clock
    }

    pub async fn local(&self) -> Actor {
        self.actor(SECRET).await
    }

    pub async fn actor(&self, secret: &str) -> Actor {
        let secret = secret.to_string();
        self.store.run(move |tx| admins::authenticate(tx, &secret, true)).await.unwrap().unwrap()
    }

    /// A second administrator with a token; not waiting where no device is enrolled yet.
    pub async fn second(&self, name: &str) -> Actor {
        let local = self.local().await;
        let name = name.to_string();
        let make = move |tx: &mut Tx<'_>| {
            let admin = admins::add(tx, &local, &name)?;
            Ok(admins::create_token(tx, &local, Some(&admin.id))?.1)
        };
        let secret = self.store.run(make).await.unwrap();
        self.actor(&secret).await
    }

    pub async fn device(&self, identity: &str, channels: &[Channel]) -> Device {
        let (identity, channels) = (identity.to_string(), channels.to_vec());
        let made = move |tx: &mut Tx<'_>| device(tx, &identity, &channels, Ownership::Corporate);
        self.store.run(made).await.unwrap()
    }

    /// A credential for the certificate of the device's first enrolment.
    pub async fn credential(&self, device: &Device) -> Fingerprint {
        let (id, enrolment) = (device.id, device.enrolments[0].clone());
        let make = move |tx: &mut Tx<'_>| {
            let credential = Credential {
                certificate: enrolment.certificate.unwrap(),
                der: String::new(),
                enrolment: enrolment.id,
                device: Some(id),
                channel: enrolment.channel,
                user: "nurse@example.org".into(),
                ownership: Ownership::Corporate,
                invitation: None,
                revoked: None,
                signs: Some(false),
                key: String::new(),
                profile: None,
            };
            tx.put(&credential)?;
            Ok(credential.certificate.sha256)
        };
        self.store.run(make).await.unwrap()
    }

    /// Until when this administrator counts for nothing; none: they count.
    pub async fn waits_until(&self, name: &str) -> Option<Timestamp> {
        let name = name.to_string();
        let look = move |tx: &mut Tx<'_>| {
            let admin = admins::list(tx)?.into_iter().find(|admin| admin.name == name).unwrap();
            Ok(Some(admin.counts_from).filter(|from| *from > tx.now()))
        };
        self.store.run(look).await.unwrap()
    }

    pub async fn again(&self, id: DeviceId) -> Device {
        self.store.run(move |tx| lookup::by_id(tx, id)).await.unwrap()
    }

    pub async fn wipe(&self, actor: &Actor, device: DeviceId, scope: Scope) -> Result<Command> {
        self.wipe_with(actor, device, request(scope)).await
    }

    pub async fn wipe_with(&self, actor: &Actor, device: DeviceId, request: Request) -> Result<Command> {
        let actor = actor.clone();
        self.store.run(move |tx| wipe::ask(tx, &actor, &device.to_string(), request, &able)).await
    }

    pub async fn command(&self, id: lanyard::ids::CommandId) -> Command {
        self.store.run(move |tx| lanyard::fleet::queue::find(tx, id)).await.unwrap()
    }
}

/// The store of this data folder.
pub fn open_sled(folder: &Path, clock: Clock) -> std::result::Result<Sled, Fault> {
    std::fs::create_dir_all(folder).unwrap();
    Sled::open(&folder.join("store"), &folder.join("store.mark"), clock, Arc::new(lanyard::serve::kinds::rise))
}

/// A node with this data folder on this database.
pub fn open_postgres(url: &str, node: &str, folder: &Path) -> std::result::Result<Postgres, Fault> {
    std::fs::create_dir_all(folder).unwrap();
    let (roots, rise) = (Arc::new(rustls::RootCertStore::empty()), Arc::new(lanyard::serve::kinds::rise));
    Postgres::open(url, node, &roots, &folder.join("store.mark"), rise)
}

pub fn request(scope: Scope) -> Request {
    Request { scope, reason: "lost".into(), pin: None, how: Default::default(), delay: None, expires: None }
}

pub fn able(_: &Device, _: &Enrolment, _: Action, _: Option<Scope>) -> Support {
    Support::Yes
}

pub fn device(tx: &mut Tx<'_>, identity: &str, channels: &[Channel], ownership: Ownership) -> Result<Device> {
    owned_by(tx, "nurse@example.org", identity, channels, ownership)
}

/// A device of this user's, whose enrolments are complete. Mail comes in by password where it is another's than the nurse's.
pub fn owned_by(
    tx: &mut Tx<'_>,
    user: &str,
    identity: &str,
    channels: &[Channel],
    ownership: Ownership,
) -> Result<Device> {
    let mut device = Managed::new(tx.new_id(), user, ownership, Platform::Ios, tx.time());
    let serial = Some(format!("S{identity}"));
    happen(tx, &mut device, Event::Told(Box::new(Claim { serial, ..Claim::default() })))?;
    for channel in channels {
        let id: EnrolmentId = tx.new_id();
        let certificate = Certificate {
            serial: lanyard::ids::hex(&tx.random::<16>()),
            sha256: Fingerprint(tx.random()),
            not_before: tx.now(),
            not_after: tx.now().plus(Duration::from_secs(63_072_000)),
        };
        lookup::claim(tx, channel.as_str(), identity, device.id)?;
        let new = Enrolment::new(id, *channel, identity, EnrolmentState::Enrolled, tx.now());
        let pinned = user == "nurse@example.org" || *channel != Channel::Activesync;
        let new = Enrolment { certificate: pinned.then_some(certificate), ..new };
        happen(tx, &mut device, Event::Begun { enrolment: Box::new(new), personal: false })?;
    }
    Ok(device.device().clone())
}

/// Something happens to a device.
pub fn happen(tx: &mut Tx<'_>, device: &mut Managed, event: Event) -> Result<()> {
    keeper::happen(tx, device, event).map(drop)
}

/// A second person reads what waits, and agrees.
pub fn reads_and_approves(tx: &mut Tx<'_>, by: &Actor, id: ApprovalId) -> Result<Approval> {
    approvals::look(tx, by, id)?;
    approvals::approve(tx, by, id)
}

/// An enrolment checks out.
pub fn left(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId) -> Result<()> {
    let detail = "CheckOut".to_string();
    happen(tx, device, Event::Left { enrolment, kind: EvidenceKind::Checkout, detail })
}

/// The phone tells the name of its mail client, and a record of that name joins it.
pub fn tells_mail_id(tx: &mut Tx<'_>, phone: DeviceId, mail_id: &str) -> Result<Managed> {
    let mut device = keeper::by_id(tx, phone)?;
    let claim = Claim { mail_id: Some(mail_id.into()), ..Claim::default() };
    happen(tx, &mut device, Event::Told(Box::new(claim)))?;
    enrol::adopt_mail(tx, &mut device)?;
    Ok(device)
}

pub async fn fresh_database(url: &str) -> String {
    let url = url.to_string();
    tokio::task::spawn_blocking(move || new_database(&url)).await.unwrap()
}

/// Likewise, where a thread may block.
pub fn new_database(url: &str) -> String {
    let name = format!("lanyard_{}", uuid::Uuid::new_v4().simple());
    let config: postgres::Config = url.parse().unwrap();
    let mut client = config.connect(postgres::NoTls).unwrap();
    client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    // The last path element of the address is the database.
    let (head, tail) = url.split_once('?').map_or((url, ""), |(h, t)| (h, t));
    let at = head.rfind('/').unwrap();
    let query = if tail.is_empty() { String::new() } else { format!("?{tail}") };
    format!("{}/{name}{query}", &head[..at])
}

/// Numbers that a seed repeats (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}

/// Counts as they are kept, and as reading every device finds them.
pub fn counts(tx: &mut Tx<'_>) -> Result<[BTreeMap<String, u64>; 2]> {
    let mut found = BTreeMap::new();
    for name in tx.all::<Device>("")?.iter().filter_map(Record::counted) {
        *found.entry(name).or_default() += 1;
    }
    Ok([tx.counts::<Device>()?.into_iter().collect(), found])
}

/// Whatever a test did with its devices: they are counted as they are. A store that was made to fail says nothing.
pub async fn counts_are_true(store: &Store) {
    if let Ok([kept, found]) = store.run(counts).await {
        assert_eq!(kept, found, "kept, and found");
    }
}
