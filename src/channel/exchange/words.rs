//! The wire's words and the fleet's.

use crate::{
    clock::Timestamp,
    fleet::connectors::{
        self,
        access::{self, ALLOW, Found, Wanted},
        exchange,
        orders::{Ended, Order, Read, What},
        partnerships::{Listed, Times, Told, Treated},
        under::{Assigned, Under},
    },
};
use lanyard_exchange::{
    calls::{self, Capability, Ending, Kind, Outcome, Reason, Work},
    mailbox_policy::MailboxPolicy,
    organisation::{Level, Organisation, Rule, Which},
    partnership::{self, Access, Key, Partnership, WipeTimes},
};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A moment that Exchange, or a connector, named.
pub(super) fn moment(at: OffsetDateTime) -> Timestamp {
    Timestamp(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
}

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Online => "online",
        Kind::Onprem => "onprem",
    }
}

pub(super) fn hello(hello: calls::Hello) -> connectors::Hello {
    connectors::Hello {
        exchange: hello.org,
        kind: kind(hello.kind).into(),
        version: hello.version,
        account_only: hello.capabilities.contains(&Capability::AccountOnly),
        settings: hello.capabilities.contains(&Capability::Settings),
    }
}

pub(super) fn told(row: &Partnership) -> Told {
    Told {
        guid: row.key.guid,
        device_id: row.key.device_id.clone(),
        mailbox: row.key.mailbox,
        address: row.address.clone(),
        device_type: row.device_type.clone(),
        name: row.name.clone(),
        model: row.model.clone(),
        os: row.os.clone(),
        agent: row.agent.clone(),
        version: row.version.clone(),
        outlook: row.is_outlook(),
        takes_account_wipe: row.takes_account_wipe(),
        treated: match row.access {
            Access::Allowed => Treated::Allowed,
            Access::Blocked => Treated::Blocked,
            Access::Quarantined | Access::DeviceDiscovery => Treated::Quarantined,
            Access::Unknown | Access::Other(_) => Treated::Unknown,
        },
        by_rule: row.reason.as_deref() == Some("DeviceRule"),
        policy: row.policy.clone().map(|assigned| match assigned {
            partnership::Assigned::Default => Assigned::Default,
            partnership::Assigned::Named(name) => Assigned::Named(name),
        }),
        listed: row.listed.map(|listed| match listed {
            partnership::Listed::Allowed => Listed::Allowed,
            partnership::Listed::Blocked => Listed::Blocked,
            partnership::Listed::Neither => Listed::Neither,
        }),
        wipe: row.wipe.map(times),
        account_wipe: row.account_wipe.map(times),
        last_sync: row.last_sync.map(moment),
    }
}

fn times(times: WipeTimes) -> Times {
    let at = |at: Option<OffsetDateTime>| at.map(moment);
    Times { requested: at(times.requested), sent: at(times.sent), acked: at(times.acked) }
}

pub(super) fn work(order: Order) -> Work {
    let key = Key { guid: order.guid, device_id: order.device_id, mailbox: order.mailbox };
    let wire = match order.what {
        What::Allow => calls::Order::Allow(key),
        What::Block => calls::Order::Block(key),
        What::Quarantine => calls::Order::Quarantine(key),
        What::Wipe { account_only, since } => {
            calls::Order::Wipe(calls::Wipe { key, account_only, since: since.to_datetime() })
        }
        What::Cancel => calls::Order::Cancel(key),
        What::Remove => calls::Order::Remove(key),
        What::Look => calls::Order::Look(key),
        What::Policy(under) => calls::Order::Policy(policy(key, under)),
        What::Access(wanted) => calls::Order::Access(access(wanted)),
    };
    Work { seq: order.seq, id: order.id, order: wire, deadline: None }
}

fn policy(key: Key, under: Under) -> calls::Policy {
    let (name, settings) = match under {
        Under::Ours(rules) => (Some(rules.name), rules.settings),
        Under::Former(Assigned::Named(name)) => (Some(name), BTreeMap::new()),
        Under::Former(Assigned::Default) => (None, BTreeMap::new()),
    };
    // A text that is a number or a truth value goes as such.
    let value = |text: String| serde_json::from_str(&text).unwrap_or(Json::String(text));
    calls::Policy { key, name, settings: settings.into_iter().map(|(name, text)| (name, value(text))).collect() }
}

fn access(wanted: Wanted) -> calls::Access {
    let Wanted { document, without } = wanted;
    let which = |which: access::Which| Which { characteristic: which.characteristic, query: which.query };
    let rule = |rule: access::Rule| Rule { which: which(rule.which), level: level(&rule.level), name: None };
    calls::Access {
        default: document.default.as_deref().map(level),
        recipients: document.recipients,
        insert: document.insert,
        rules: document.rules.into_iter().map(rule).collect(),
        without: without.into_iter().map(which).collect(),
    }
}

fn level(word: &str) -> Level {
    match word {
        ALLOW => Level::Allow,
        "block" => Level::Block,
        "quarantine" => Level::Quarantine,
        other => Level::Other(other.into()),
    }
}

/// Rules and recipients of one report: more are not kept, whatever a connector says.
const MOST: usize = 1000;
/// Characters of each text in it.
const LONGEST: usize = 1024;

/// What an organisation has, as far as that is told.
pub(super) fn organisation(told: Organisation) -> Option<exchange::Told> {
    let cut = |text: &str| -> String { text.chars().take(LONGEST).collect() };
    let which = |which: Which| access::Which { characteristic: cut(&which.characteristic), query: cut(&which.query) };
    let level = |level: &Level| cut(&level.as_str().to_lowercase());
    let rule = |rule: Rule| access::Rule { level: level(&rule.level), which: which(rule.which) };
    let found = Found {
        default: level(&told.default?),
        recipients: told.recipients.iter().take(MOST).map(|address| cut(address)).collect(),
        insert: cut(&told.insert),
        rules: told.rules.into_iter().take(MOST).map(rule).collect(),
    };
    let policy = |policy: MailboxPolicy| {
        (policy.name, policy.settings.into_iter().map(|(name, value)| (name, spelt(&value))).collect())
    };
    let policies = told.policies.map(|all| all.into_iter().map(policy).collect());
    Some(exchange::Told { found, policies })
}

/// A parameter's value as it is kept.
pub(super) fn spelt(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToString::to_string)
}

/// How an order ended, and what was read then.
pub(super) fn ended(outcome: &Outcome) -> (Ended, Read) {
    let organisation = outcome.organisation.clone().and_then(organisation).map(|told| told.found);
    let (ended, client) = ended_for(outcome);
    (ended, Read { client, organisation })
}

fn ended_for(outcome: &Outcome) -> (Ended, Option<Told>) {
    let observed = outcome.observed.as_ref().map(told);
    if outcome.outcome != Ending::Failed {
        return (Ended::Done, observed);
    }
    let Some(failed) = &outcome.error else {
        return (Ended::Later { text: "it failed, and nothing says why".into() }, observed);
    };
    let text = failed.text.clone();
    let ended = match &failed.code {
        Reason::Gone => Ended::Gone,
        // That Guid is another's now: of this one nothing is known but that.
        Reason::Another => return (Ended::Gone, None),
        Reason::Unsupported => Ended::Cannot { code: "unsupported".into(), text },
        Reason::NotExpressible => Ended::Cannot { code: "not_expressible".into(), text },
        Reason::Refused => Ended::Cannot { code: "refused".into(), text },
        Reason::Forbidden | Reason::Unavailable | Reason::Late | Reason::Other(_) => Ended::Later { text },
    };
    (ended, observed)
}
