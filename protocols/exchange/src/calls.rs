//! What connector and server say to each other: JSON under `/connector/v1/`, over TLS with the connector's certificate.
//!
//! A connector says [`Hello`], asks for the [`Lease`] until it leads, then asks for work (`GET work?after=SEQ&wait=SECONDS&epoch=N`,
//! a list of [`Work`], or 204), says what came of it ([`Outcome`], repeated until it is taken), and reports what Exchange has
//! ([`Batch`], [`End`]). An `epoch` that is not the leader's is answered with 409 and [`Elsewhere`].

use crate::organisation::{Level, Organisation, Rule, Which};
use crate::partnership::{Key, Partnership};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// The versions of these calls that this program speaks, the newest last.
pub const PROTOCOLS: &[u32] = &[1];
/// More rows are not in one batch.
pub const ROWS: usize = 500;
/// No poll for work is held longer, in seconds: proxies cut at 60.
pub const WAIT: u64 = 50;

/// How a connector reaches its Exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Exchange 2013 to SE, by a PowerShell session.
    Onprem,
    /// Exchange Online.
    Online,
}

/// `POST /connector/v1/enrol`, the one call without a certificate: a code and a request for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// As `connector invite` printed it; letter case and dashes do not matter.
    pub code: String,
    /// This installation's own id, made by itself.
    pub instance: Uuid,
    /// Must be the kind that the invitation is for.
    pub kind: Kind,
    /// PKCS#10 in PEM; its subject counts for nothing.
    pub request: String,
}

/// The answer: who it is from now on. The same code, instance and key again get the same answer; another instance is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The organisation, by the name that the administrator gave it.
    pub org: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// Whom the server's own TLS certificate may be checked against besides public roots, PEM.
    pub ca: String,
    /// Where the calls go from now on: `https://…`.
    pub server: String,
}

/// `POST /connector/v1/renew` from two thirds of the certificate's life on: a request for another; the former is good until it ends,
/// or until the new one was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// PKCS#10 in PEM.
    pub request: String,
}

/// The answer to [`Renew`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The certificate, PEM.
    pub certificate: String,
}

/// `POST /connector/v1/hello`: after each start and each lost connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// This installation.
    pub instance: Uuid,
    /// The Exchange organisation's own `Guid`, or the tenant's. A server that knows another for this organisation refuses.
    pub org: Uuid,
    /// How Exchange is reached.
    pub kind: Kind,
    /// The program's version, for people.
    pub version: String,
    /// Versions of these calls that it speaks ([`PROTOCOLS`]).
    pub protocols: Vec<u32>,
    /// What its Exchange can do.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
}

/// What not every Exchange can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// `Clear-MobileDevice -AccountOnly`: 2016 and later, and Online.
    AccountOnly,
    /// The program reports and sets mailbox policies, the organisation's settings and its access rules. Who does not say so is asked for none.
    Settings,
    /// One of a later version; ignored.
    #[serde(untagged)]
    Other(String),
}

/// The answer to [`Hello`]. With no version in common it is 426 and a reason instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of these calls to speak.
    pub protocol: u32,
    /// Where this very instance leads: its epoch.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// Seconds between full runs.
    pub full_every: u64,
    /// Seconds between deltas.
    pub delta_every: u64,
    /// Seconds that a lease lasts; asked for again at a third of it.
    pub lease: u64,
    /// When the last full run that was complete began; a connector begins one at once where there is none.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub last_full: Option<OffsetDateTime>,
    /// When the last delta began.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub last_delta: Option<OffsetDateTime>,
    /// The run that was broken off, and the last of its batches that was kept.
    #[serde(default)]
    pub resume: Option<Resume>,
}

/// Where a run that was broken off goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The run.
    pub run: Uuid,
    /// The last batch of it that was kept.
    pub n: u32,
}

/// `POST /connector/v1/lease`. 200 and [`Leads`], or 409 and [`Elsewhere`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The epoch that it leads by; none where it asks to lead.
    #[serde(default)]
    pub epoch: Option<u64>,
}

/// Who asked leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leads {
    /// Goes into each further call.
    pub epoch: u64,
    /// Seconds, counted from before the call was made.
    pub ttl: u64,
}

/// Another leads, or nobody does by that epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// `elsewhere`, as in problem documents.
    pub code: String,
    /// Which instance leads.
    #[serde(default)]
    pub leader: Option<Uuid>,
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Rises with each order of the organisation; the next poll's `after`.
    pub seq: u64,
    /// The order's own id: a result is filed under it, once.
    pub id: Uuid,
    /// What.
    #[serde(flatten)]
    pub order: Order,
    /// Not begun after this.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub deadline: Option<OffsetDateTime>,
}

/// What can be asked of a connector. Nothing here comes from a connector: it cannot order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "args", rename_all = "snake_case")]
pub enum Order {
    /// Put it on the mailbox's allowed list.
    Allow(Key),
    /// Put it on the blocked list.
    Block(Key),
    /// Take it off both, so that rules and default decide.
    Quarantine(Key),
    /// Off the blocked list, then `Clear-MobileDevice`, once.
    Wipe(Wipe),
    /// Take a wipe back: `Clear-MobileDevice -Cancel`.
    Cancel(Key),
    /// Block it, then remove its object.
    Remove(Key),
    /// Read what Exchange has of it, statistics and lists.
    Look(Key),
    /// The rules of this policy on the mailbox, by a mailbox policy of ours.
    Policy(Policy),
    /// What the organisation decides of clients that no list names.
    Access(Access),
}

impl Order {
    /// Whom it is for; none: the organisation.
    pub fn key(&self) -> Option<&Key> {
        Some(match self {
            Self::Allow(key) | Self::Block(key) | Self::Quarantine(key) => key,
            Self::Cancel(key) | Self::Remove(key) | Self::Look(key) => key,
            Self::Wipe(wipe) => &wipe.key,
            Self::Policy(policy) => &policy.key,
            Self::Access(_) => return None,
        })
    }

    /// Whether it changes anything in Exchange.
    pub fn writes(&self) -> bool {
        !matches!(self, Self::Look(_))
    }
}

/// A wipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wipe {
    /// Whom.
    #[serde(flatten)]
    pub key: Key,
    /// The account alone (`-AccountOnly`), or all that the client can erase.
    pub account_only: bool,
    /// When we decided. A request that Exchange has from later is this one's: it is not made again.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// A mailbox policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// A partnership of the mailbox.
    #[serde(flatten)]
    pub key: Key,
    /// The mailbox policy's name; none: Exchange's default.
    pub name: Option<String>,
    /// Its parameters, `PasswordEnabled` and the like; none: it is another's, and stays as it is.
    #[serde(default)]
    pub settings: std::collections::BTreeMap<String, serde_json::Value>,
}

/// What an organisation is to have. What is absent is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `DefaultAccessLevel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Level>,
    /// `AdminMailRecipients`: these, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<Vec<String>>,
    /// `UserMailInsert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert: Option<String>,
    /// Rules that are to be there; others stay.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Rules that are not to be there.
    #[serde(default)]
    pub without: Vec<Which>,
}

/// `POST /connector/v1/results`: what came of orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// The leader's.
    pub epoch: u64,
    /// At most [`ROWS`].
    pub results: Vec<Outcome>,
}

/// What came of one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The order's.
    pub id: Uuid,
    /// How it ended.
    pub outcome: Ending,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failed>,
    /// The partnership as it was read last, after the deed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Partnership>,
    /// The organisation likewise, where the order was for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Organisation>,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Exchange did it now.
    Done,
    /// It was so before.
    Already,
    /// It was not done.
    Failed,
}

/// Why an order was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What may be done about it.
    pub code: Reason,
    /// Exchange's words, at most 1,000 characters, without anything secret.
    pub text: String,
}

/// Grounds on which the server acts differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Exchange has no such partnership any more.
    Gone,
    /// What has that `Guid` is another client or mailbox: nothing was written.
    Another,
    /// The client or this Exchange cannot do it.
    Unsupported,
    /// Taken off both lists, Exchange's own default lets it in: a quarantine cannot be said.
    NotExpressible,
    /// The account may not call that cmdlet.
    Forbidden,
    /// Exchange refused the arguments.
    Refused,
    /// Exchange cannot be had now; asked for again later.
    Unavailable,
    /// Past its deadline.
    Late,
    /// One of a later version.
    #[serde(untagged)]
    Other(String),
}

/// `POST /connector/v1/sync/{run}/{n}`, `n` from 1: a part of what Exchange has. The same run and `n` again change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The leader's.
    pub epoch: u64,
    /// Whether the run tells of all, or of what may have changed.
    pub kind: RunKind,
    /// When the run began, before anything was read.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// When this was sent, by the same clock: the server's may be another.
    #[serde(with = "time::serde::rfc3339")]
    pub sent: OffsetDateTime,
    /// At most [`ROWS`].
    pub rows: Vec<Partnership>,
}

/// How much a run tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// All partnerships.
    Full,
    /// What may have changed.
    Delta,
}

/// `POST /connector/v1/sync/{run}/end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The leader's.
    pub epoch: u64,
    /// Full or delta.
    pub kind: RunKind,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// How many batches there were.
    pub batches: u32,
    /// Whether all that Exchange has was read: only then can something be missing.
    pub complete: bool,
    /// When this was sent, by the same clock.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub sent: Option<OffsetDateTime>,
    /// The organisation's own settings, where the account may read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Organisation>,
}
