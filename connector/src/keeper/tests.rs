//! A keeper before a server that answers as the test says.

use super::*;
use crate::{
    driver::{Answer, Calling, Page},
    installation::OnlineSettings,
    secrets::Secrets,
};
use lanyard_exchange::{calls::Kind, cmdlet::Cmdlet};
use std::{collections::VecDeque, path::PathBuf};

/// What it is asked, and what it will answer.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<&'static str>>,
    hellos: Mutex<VecDeque<CallError>>,
    leases: Mutex<VecDeque<Result<Leads, CallError>>>,
}

impl Fake {
    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Calls for Fake {
    async fn hello(&self, _: &Hello) -> Result<Welcome, CallError> {
        self.asked.lock().unwrap().push("hello");
        let (last_full, last_delta, resume) = (None, None, None);
        let welcome = Welcome {
            protocol: 1,
            epoch: None,
            full_every: 9,
            delta_every: 9,
            lease: 60,
            last_full,
            last_delta,
            resume,
        };
        self.hellos.lock().unwrap().pop_front().map_or(Ok(welcome), Err)
    }

    async fn lease(&self, _: Option<u64>) -> Result<Leads, CallError> {
        self.asked.lock().unwrap().push("lease");
        self.leases.lock().unwrap().pop_front().unwrap_or(Ok(Leads { epoch: 1, ttl: 60 }))
    }

    async fn renew(&self, _: &Installation) -> Result<(), String> {
        self.asked.lock().unwrap().push("renew");
        Ok(())
    }
}

/// Nobody asks Exchange anything here.
struct NoExchange;

impl Driver for NoExchange {
    fn call<'a>(&'a self, _: &'a Cmdlet, _: Option<&'a Page>) -> Calling<'a> {
        Box::pin(std::future::ready(Ok(Answer::default())))
    }

    fn kind(&self) -> Kind {
        Kind::Online
    }
}

fn keeper(fake: Fake) -> Keeper<Fake> {
    let (exchange, login) = (String::new(), String::new());
    let online = OnlineSettings { tenant: Uuid::from_u128(1), app: Uuid::from_u128(2), exchange, login };
    let settings = Settings {
        instance: Uuid::from_u128(3),
        org: Some("main".into()),
        kind: Kind::Online,
        server: "https://mdm.example.org".into(),
        ca: String::new(),
        server_ca: String::new(),
        online: Some(online),
        onprem: None,
        proxy: None,
        server_proxy: None,
    };
    // Without a certificate none is due.
    let folder = PathBuf::from("nothing-lies-here");
    let installation = Installation { folder, settings, secrets: Secrets::default() };
    Keeper::new(Arc::new(installation), Arc::new(fake), Arc::new(NoExchange), Arc::default(), Arc::default())
}

fn later(after: u64) -> CallError {
    CallError::Later { text: "busy".into(), after: Some(Duration::from_secs(after)) }
}

fn outdated() -> CallError {
    CallError::Outdated("this server speaks versions [2] of the calls, the connector [1]".into())
}

/// A turn as `run` takes it: how long the next is away.
async fn turned(keeper: &mut Keeper<Fake>) -> Duration {
    match keeper.turn().await {
        Ok(pause) => pause,
        Err(error) => keeper.failed(&error),
    }
}

#[tokio::test]
async fn whoever_begins_to_lead_greets_again_at_once_and_then_keeps_the_lease() {
    let mut keeper = keeper(Fake::default());
    assert_eq!(turned(&mut keeper).await, Duration::ZERO);
    assert!(keeper.lead.holds());
    assert_eq!(turned(&mut keeper).await, Duration::from_secs(20));
    assert_eq!(turned(&mut keeper).await, Duration::from_secs(20));
    assert_eq!(keeper.server.asked(), ["hello", "lease", "hello", "lease", "lease"]);
}

#[tokio::test]
async fn a_standby_only_asks_for_the_lease() {
    let fake = Fake::default();
    fake.leases.lock().unwrap().extend([(); 2].map(|()| Err(CallError::Elsewhere(None))));
    let mut keeper = keeper(fake);
    for _ in 0..2 {
        assert_eq!(turned(&mut keeper).await, Duration::from_secs(20));
        assert!(!keeper.lead.holds());
    }
    assert_eq!(keeper.server.asked(), ["hello", "lease", "lease"]);
}

#[tokio::test]
async fn a_version_that_is_spoken_no_more_ends_leading_and_is_asked_for_seldom() {
    let fake = Fake::default();
    fake.leases.lock().unwrap().extend([Ok(Leads { epoch: 1, ttl: 60 }), Err(outdated())]);
    let mut keeper = keeper(fake);
    turned(&mut keeper).await;
    assert!(keeper.lead.holds());
    keeper.server.hellos.lock().unwrap().extend([outdated(), outdated()]);
    for _ in 0..2 {
        assert!(turned(&mut keeper).await >= Duration::from_secs(300));
        assert!(!keeper.lead.holds() && keeper.refused, "told once, and no word in the log after");
    }
    // One that was replaced finds it well.
    keeper.server.leases.lock().unwrap().clear();
    turned(&mut keeper).await;
    assert!(keeper.lead.holds() && !keeper.refused);
}

#[tokio::test]
async fn a_server_that_names_a_moment_is_not_asked_before_it() {
    let fake = Fake::default();
    fake.hellos.lock().unwrap().push_back(later(17));
    let mut keeper = keeper(fake);
    let pause = turned(&mut keeper).await;
    assert!(pause >= Duration::from_secs(17) && pause < Duration::from_secs(19), "{pause:?}");
    assert_eq!(turned(&mut keeper).await, Duration::ZERO);
    keeper.server.leases.lock().unwrap().push_back(Err(later(17)));
    assert!(turned(&mut keeper).await >= Duration::from_secs(17));
    assert!(keeper.lead.holds(), "as long as the lease lasts");
}
