//! The access rules of mail, whom a change of them lets in or shuts out, and the way to the mail server.

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One access rule.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MailRule")]
pub(crate) struct MailRuleView {
    /// Conditions by their names, as they are written: all must hold.
    pub(crate) when: BTreeMap<String, String>,
    /// allow, quarantine or block.
    pub(crate) then: String,
    /// For so long a client that is to be cut keeps what it has.
    pub(crate) grace: Option<String>,
}

/// The rules that count.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MailRules")]
pub(crate) struct MailRulesView {
    /// For whom no rule fits: allow, quarantine or block. Without rules: the setting eas.unknown, for clients that come for the first time.
    pub(crate) default: String,
    /// The first that fits counts.
    pub(crate) rules: Vec<MailRuleView>,
    /// Until then another default counts than the file's, which lets everybody in.
    pub(crate) counts_from: Option<At>,
    /// The file; null where nobody has set one.
    pub(crate) text: Option<String>,
}

/// What a file of rules does, or would do.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MailRulesChange")]
pub(crate) struct MailRulesChangeView {
    pub(crate) default: String,
    pub(crate) rules: Vec<MailRuleView>,
    /// Whom it lets in or shuts out.
    pub(crate) changes: Vec<MailChangeView>,
    pub(crate) applied: bool,
    /// When its default counts, where that lets everybody in and so waits.
    pub(crate) counts_from: Option<At>,
}

/// A client that is let in or shut out.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MailChange")]
pub(crate) struct MailChangeView {
    pub(crate) device: String,
    pub(crate) user: String,
    pub(crate) enrolment: String,
    /// allow, quarantine or block.
    pub(crate) from: String,
    /// The same.
    pub(crate) to: String,
    pub(crate) rule: String,
    /// When, where it does not count at once.
    pub(crate) until: Option<At>,
}

/// With whose login the way is tried, where with any.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MailCheck")]
#[serde(deny_unknown_fields)]
pub(crate) struct MailCheckBody {
    /// As they log in at the mail server.
    pub(crate) user: Option<String>,
    /// Their password; kept nowhere. Not needed where the mail server takes this server's word (`--eas-signon`).
    pub(crate) password: Option<String>,
}

impl MailCheckBody {
    /// Why one without the other is refused.
    pub(crate) const TOGETHER: &str = "user and password go together";
}

/// One step of the way to the mail server, in the order address, name, connection, activesync, login, proof; (ticket,) signon in place of
/// the last two where the mail server takes this server's word (`--eas-signon`). The last is the one that fails, where one does.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MailCheckStep")]
pub(crate) struct MailStep {
    pub(crate) step: &'static str,
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) detail: String,
}
