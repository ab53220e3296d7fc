//! Connectors.

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// For which Exchange a connector is invited.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "InviteConnector")]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteConnectorBody {
    /// The organisation, by a name of your own.
    pub(crate) org: String,
    /// online or onprem.
    pub(crate) kind: String,
    /// How long the code is good, such as 7d, which is the default.
    pub(crate) expires: Option<String>,
}

/// A code for one installation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConnectorInvitation")]
pub(crate) struct ConnectorInvitationView {
    pub(crate) id: String,
    /// What `lanyard connector enrol` is given; shown this once.
    pub(crate) code: String,
    pub(crate) org: String,
    pub(crate) kind: String,
    pub(crate) expires: At,
}

/// An Exchange organisation and its connectors.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Connector")]
pub(crate) struct ConnectorView {
    pub(crate) org: String,
    /// online or onprem.
    pub(crate) kind: String,
    /// `leading` where one leads, `silent` where none does, `new` before the first hello.
    pub(crate) state: String,
    /// The instance that leads.
    pub(crate) leader: Option<String>,
    pub(crate) instances: Vec<InstanceView>,
    /// Mobile clients that its Exchange has.
    pub(crate) partnerships: u64,
    /// When the last report of all of them began.
    pub(crate) last_full: Option<At>,
    /// When the last report of what may have changed began.
    pub(crate) last_delta: Option<At>,
    /// What its Exchange decides of clients that no list names; null where no connector has told.
    pub(crate) access: Option<ExchangeAccessView>,
    /// Mailbox policies that were made in Exchange of the policies here.
    pub(crate) policies: Vec<MailboxPolicyView>,
    /// Why a mailbox is not under its policy, in Exchange's words.
    pub(crate) policy_error: Option<String>,
}

/// What an Exchange decides of clients that no mailbox's list names.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExchangeAccess")]
pub(crate) struct ExchangeAccessView {
    /// When it was read.
    pub(crate) read: At,
    /// allow, quarantine or block, for whom no rule fits.
    pub(crate) default: String,
    /// Who is told of clients that wait.
    pub(crate) recipients: Vec<String>,
    /// What their users are told besides.
    pub(crate) insert: String,
    /// All its rules.
    pub(crate) rules: Vec<ExchangeRule>,
    /// What was set here; null: all is left to Exchange.
    pub(crate) document: Option<ExchangeAccessBody>,
    /// What of it is otherwise in Exchange, and is about to be set right.
    pub(crate) lacking: Vec<String>,
    /// Rules of Exchange's of which the document says nothing: they stay.
    pub(crate) others: Vec<ExchangeRule>,
    /// Why it could not be set, in Exchange's words.
    pub(crate) error: Option<String>,
}

/// An access rule of Exchange's, for clients whose characteristic is just this text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ExchangeRule")]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeRule {
    /// DeviceModel, DeviceType, DeviceOS, UserAgent or XMSWLHeader.
    pub(crate) characteristic: String,
    /// The whole text, without wildcards.
    pub(crate) query: String,
    /// allow, quarantine or block.
    pub(crate) level: String,
}

/// What an Exchange is to decide by itself. What is absent is left as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SetExchangeAccess")]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeAccessBody {
    /// allow, quarantine or block, for whom no rule fits.
    pub(crate) default: Option<String>,
    /// Who is told of clients that wait: these, and nobody else.
    pub(crate) recipients: Option<Vec<String>>,
    /// What their users are told besides, at most 256 characters.
    pub(crate) insert: Option<String>,
    /// Rules that are to be there. Others stay, but those that a former document made.
    #[serde(default)]
    pub(crate) rules: Vec<ExchangeRule>,
    /// So many clients may be cut off by a default that is allow no more. Without it: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cuts: Option<u64>,
}

/// What setting it does, or would do.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ExchangeAccessChange")]
pub(crate) struct ExchangeAccessChangeView {
    pub(crate) org: String,
    /// What is otherwise in Exchange now.
    pub(crate) changes: Vec<String>,
    /// So many clients that get mail now are cut off at once: no list and no rule lets them in.
    pub(crate) cuts: u64,
    pub(crate) applied: bool,
}

/// A mailbox policy in Exchange.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MailboxPolicy")]
pub(crate) struct MailboxPolicyView {
    /// As Exchange calls it.
    pub(crate) name: String,
    /// So many mailboxes are under it.
    pub(crate) mailboxes: u64,
    /// What it says instead of what was asked for, where Exchange's numbers end before.
    pub(crate) near: Vec<String>,
}

/// One installation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConnectorInstance")]
pub(crate) struct InstanceView {
    pub(crate) id: String,
    pub(crate) version: Option<String>,
    pub(crate) last_seen: Option<At>,
}
