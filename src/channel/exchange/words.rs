//! The wire's words and the fleet's.

use crate::{
    clock::Timestamp,
    fleet::connectors::{
        self,
        orders::{Ended, Order, What},
        partnerships::{Listed, Times, Told, Treated},
    },
};
use lanyard_exchange::{
    calls::{self, Capability, Ending, Kind, Outcome, Reason, Work},
    partnership::{self, Access, Key, Partnership, WipeTimes},
};
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
    };
    Work { seq: order.seq, id: order.id, order: wire, deadline: None }
}

/// How an order ended, and what was read then.
pub(super) fn ended(outcome: &Outcome) -> (Ended, Option<Told>) {
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
