//! The piece in six parts: the cast enrols, gets a policy, is wiped one by one; a batch is held and cancelled; both sides are counted.

mod breaker;
mod enrol;
mod wipes;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Stage;
use super::board::Board;
use super::crew::Crew;
use crate::admin::{Admin, Command};
use crate::error::Result;

/// What has not come to its end by then falls short.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(150);
const POLICY: &str = "\
name: baseline
assign: all
passcode:
  required: true
  min_length: 6
  max_failed: 10
  max_idle_minutes: 5
camera: blocked
";

/// One wipe of the third part.
pub(super) struct Wipe {
    /// For people.
    pub(super) device: String,
    pub(super) scope: &'static str,
    /// As it stood last.
    pub(super) command: Command,
    /// Beside the evidence.
    pub(super) remark: String,
}

/// What became of the batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) asked: usize,
    /// In their undo window.
    pub(super) waiting: usize,
    /// By the breaker.
    pub(super) held: usize,
    pub(super) cancelled: usize,
}

/// What happened.
#[derive(Default)]
pub(super) struct Acts {
    /// States of coverage and how many devices are in each.
    pub(super) coverage: BTreeMap<String, usize>,
    pub(super) wipes: Vec<Wipe>,
    pub(super) batch: Batch,
    /// By the devices' own account.
    pub(super) erased: usize,
    pub(super) retired: usize,
    /// Devices that nobody named, and to which nothing of the kind happened.
    pub(super) untouched: usize,
    pub(super) short: Vec<String>,
}

/// The piece under way.
struct Course<'a> {
    stage: &'a Stage,
    local: &'a Admin,
    crew: &'a mut Crew,
    board: &'a Board,
    acts: Acts,
}

/// Plays all of it.
pub(super) async fn play(stage: &Stage, local: &Admin, crew: &mut Crew, board: &Board) -> Result<Acts> {
    let mut course = Course { stage, local, crew, board, acts: Acts::default() };
    let second = course.set_up().await?;
    course.enrol().await?;
    course.policy().await?;
    course.wipe().await?;
    course.batch(&second).await?;
    course.count().await?;
    Ok(course.acts)
}

/// Looking again and again, until it has been long enough.
struct Patience(Instant);

impl Patience {
    fn begin() -> Patience {
        Patience(Instant::now() + PATIENCE)
    }

    /// Waits a moment. `false`: no longer.
    async fn lasts(&self) -> bool {
        tokio::time::sleep(LOOK).await;
        Instant::now() < self.0
    }
}

/// `18 enforced, 12 partly`.
pub(super) fn words(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

impl Course<'_> {
    fn short(&mut self, what: impl Into<String>) {
        self.acts.short.push(what.into());
    }

    /// Push certificate, the stand-in's address, and a second administrator while newcomers count at once.
    async fn set_up(&mut self) -> Result<Admin> {
        self.board.begin("set up", 3);
        let identity = self.stage.apns.push_certificate()?;
        let pem = [identity.chain_pem()?, identity.key_pem()?].concat();
        self.local.put::<Value>("apple/push-cert", json!({"file": STANDARD.encode(pem)})).await?;
        self.local.set("apple.push_url", &self.stage.apns.url()).await?;
        let second = self.local.add_admin("alice").await?;
        self.board.end(true, "a push certificate, and a second administrator: alice");
        Ok(second)
    }

    /// One policy for all; then every device has said how it stands.
    async fn policy(&mut self) -> Result<()> {
        let all = self.crew.members.len();
        self.board.begin("policy", all);
        self.local.apply_policy("baseline", POLICY).await?;
        let patience = Patience::begin();
        let settled = loop {
            let mut counts = BTreeMap::new();
            for row in self.local.coverage("baseline").await? {
                *counts.entry(row.state).or_insert(0) += 1;
            }
            let answered = counts.iter().filter(|(state, _)| *state != "pending").map(|(_, n)| n).sum();
            self.board.step(answered, words(&counts));
            self.acts.coverage = counts;
            if answered >= all {
                break true;
            }
            if !patience.lasts().await {
                break false;
            }
        };
        let said = words(&self.acts.coverage);
        if !settled {
            self.short(format!("the policy has not reached all devices: {said}"));
        }
        self.board.end(settled, said);
        Ok(())
    }
}
