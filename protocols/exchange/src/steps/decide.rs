//! What an order still lacks, by what was read: it is over, or one more write, or one more look.

use super::{At, Deed, Next, Steps};
use crate::calls::{Ending, Order, Policy, Reason, Wipe};
use crate::cmdlets::Lists;
use crate::partnership::{Access, Assigned, Partnership, WipeTimes};
use time::{Duration, OffsetDateTime};

/// So far the clocks of Exchange and of whoever decided may be apart.
const APART: Duration = Duration::minutes(2);
/// No list is written more often for one order, and no wipe.
const LISTS: u32 = 3;
const CLEARS: u32 = 2;
/// Nor a policy.
const POLICIES: u32 = 3;

impl Steps {
    /// All that is needed was read.
    pub(super) fn decide(self, now: OffsetDateTime) -> Next {
        let Some(told) = self.observed() else {
            return self.end_failed(Reason::Another, "what has that Guid is another client, or another mailbox's");
        };
        match self.work.order.clone() {
            Order::Allow(_) => self.list(Lists::Allow, now),
            Order::Block(_) => self.list(Lists::Block, now),
            Order::Quarantine(_) => self.list(Lists::Neither, now),
            Order::Look(_) => self.end_as(Ending::Done),
            Order::Wipe(wipe) => self.wipe(&wipe, &told, now),
            Order::Cancel(_) => self.cancel(&told, now),
            Order::Remove(_) => self.remove(&told, now),
            Order::Policy(policy) => self.policy(&policy, now),
            Order::Access(_) => self.end_failed(Reason::Unsupported, "an order that is for no client"),
        }
    }

    /// A write, unless its time is over.
    fn write_now(self, deed: Deed, now: OffsetDateTime) -> Next {
        match self.work.deadline {
            Some(deadline) if now > deadline => self.end_failed(Reason::Late, "its time was over before it was begun"),
            _ => self.ask(At::Write(deed)),
        }
    }

    /// Over: by a write of ours, or because it was so before.
    fn end_after(self, writes: u32) -> Next {
        self.end_as(if writes > 0 { Ending::Done } else { Ending::Already })
    }

    fn is_on(&self, lists: Lists) -> bool {
        let Some(mailbox) = &self.seen.mailbox else { return false };
        let id = &self.key().device_id;
        let (allowed, blocked) = (mailbox.allows(id), mailbox.blocks(id));
        match lists {
            Lists::Allow => allowed && !blocked,
            Lists::Block => blocked && !allowed,
            Lists::Neither => !allowed && !blocked,
            Lists::Unblock => !blocked,
        }
    }

    fn list(mut self, lists: Lists, now: OffsetDateTime) -> Next {
        if self.is_on(lists) {
            return if lists == Lists::Neither { self.held() } else { self.end_lists() };
        }
        // To write a list twice does no harm: only what was answered is waited for.
        if self.done.accepted && self.look_again() {
            return self.pause_and_read();
        }
        if self.done.lists >= LISTS {
            return self.end_failed(Reason::Unavailable, "the mailbox's list does not show what was written");
        }
        self.write_now(Deed::Lists(lists), now)
    }

    fn end_lists(self) -> Next {
        let lists = self.done.lists;
        self.end_after(lists)
    }

    /// Taken off both lists: that is a quarantine only where neither a rule nor the default lets it in.
    fn held(self) -> Next {
        let access = self.observed().map(|told| told.access);
        if access != Some(Access::Allowed) {
            return self.end_lists();
        }
        match self.seen.default.as_deref() {
            None => self.ask(At::DefaultAccess),
            Some("Allow") => self.end_failed(Reason::NotExpressible, "Exchange's default lets it in"),
            // The state shown is from before: it is looked at again with the client's next request.
            Some(_) => self.end_lists(),
        }
    }

    fn wipe(mut self, wipe: &Wipe, told: &Partnership, now: OffsetDateTime) -> Next {
        let outlook = told.is_outlook();
        if let Err(why) = self.can_wipe(wipe, told) {
            return self.end_failed(Reason::Unsupported, why);
        }
        // The Outlook app is told by a plain one.
        let account_only = wipe.account_only && !outlook;
        let times = if account_only { told.account_wipe } else { told.wipe }.unwrap_or_default();
        if self.is_asked(wipe, times) {
            let clears = self.done.clears;
            return self.end_after(clears);
        }
        if self.done.clears > 0 && self.look_again() {
            return self.pause_and_read();
        }
        if self.done.clears >= CLEARS {
            return self.end_failed(Reason::Unavailable, "Exchange took the wipe and does not show it");
        }
        if !self.is_on(Lists::Unblock) {
            if self.done.accepted && self.look_again() {
                return self.pause_and_read();
            }
            if self.done.lists < LISTS {
                return self.write_now(Deed::Lists(Lists::Unblock), now);
            }
        }
        if self.done.clears == 0 {
            self.done.before = times.requested;
        }
        self.write_now(Deed::Clear { account_only }, now)
    }

    fn can_wipe(&self, wipe: &Wipe, told: &Partnership) -> Result<(), &'static str> {
        match (wipe.account_only, told.is_outlook()) {
            (false, true) => Err("the Outlook app only ever loses its own account"),
            (true, false) if !self.account_only => Err("this Exchange cannot wipe the account alone"),
            (true, false) if !told.takes_account_wipe() => Err("the client does not speak ActiveSync 16.1"),
            _ => Ok(()),
        }
    }

    /// Whether Exchange has this order's request: one from after the decision, or, where its clock is another, one that was not there before ours.
    fn is_asked(&self, wipe: &Wipe, times: WipeTimes) -> bool {
        let Some(requested) = times.requested else { return false };
        // One that is open and may be ours is not asked for again, whatever the clocks say.
        let may_be_ours = self.resumed && times.acked.is_none();
        may_be_ours || requested + APART >= wipe.since || (self.done.clears > 0 && Some(requested) != self.done.before)
    }

    fn cancel(mut self, told: &Partnership, now: OffsetDateTime) -> Next {
        let open =
            |times: Option<WipeTimes>| times.is_some_and(|times| times.requested.is_some() && times.acked.is_none());
        if !open(told.wipe) && !open(told.account_wipe) {
            let others = self.done.others;
            return self.end_after(others);
        }
        if self.done.others == 0 {
            return self.write_now(Deed::Cancel, now);
        }
        if self.look_again() {
            return self.pause_and_read();
        }
        self.end_failed(Reason::Refused, "the client has it already, or Exchange does not take it back")
    }

    fn remove(mut self, told: &Partnership, now: OffsetDateTime) -> Next {
        let open =
            |times: Option<WipeTimes>| times.is_some_and(|times| times.requested.is_some() && times.acked.is_none());
        if self.done.others == 0 && (open(told.wipe) || open(told.account_wipe)) {
            return self
                .end_failed(Reason::Refused, "a wipe that the client has not acknowledged would be lost with it");
        }
        if self.done.others > 0 {
            if self.look_again() {
                return self.pause_and_read();
            }
            return self.end_failed(Reason::Unavailable, "Exchange took the removal and still shows it");
        }
        // A client that is not blocked makes its object anew.
        if !self.is_on(Lists::Block) && self.done.lists < LISTS {
            if self.done.accepted && self.look_again() {
                return self.pause_and_read();
            }
            return self.write_now(Deed::Lists(Lists::Block), now);
        }
        self.write_now(Deed::Remove, now)
    }

    /// The policy's rules first, then who is under them. A policy that is another's is not written.
    fn policy(mut self, wanted: &Policy, now: OffsetDateTime) -> Next {
        if wanted.name.is_some() && !wanted.settings.is_empty() {
            let there = match &self.seen.policy {
                None => return self.ask(At::Policy),
                Some(there) => there.as_ref().map(|policy| policy.has(&wanted.settings)),
            };
            if there != Some(true) {
                if self.done.policies > 0 && self.done.others == 0 && self.look_again() {
                    return self.pause_and_read();
                }
                if self.done.policies >= POLICIES {
                    return self.end_failed(Reason::Unavailable, "Exchange does not show the policy as it was written");
                }
                return self.write_now(Deed::Policy { new: there.is_none() }, now);
            }
        }
        if self.is_assigned() {
            let writes = self.done.others + self.done.policies;
            return self.end_after(writes);
        }
        if self.done.others == 0 {
            return self.write_now(Deed::Assign, now);
        }
        if self.look_again() {
            return self.pause_and_read();
        }
        if self.done.others < POLICIES && !self.done.accepted {
            return self.write_now(Deed::Assign, now);
        }
        self.end_failed(Reason::Unavailable, "the mailbox does not show the policy")
    }

    /// Whether the mailbox is under the policy that is wanted.
    pub(super) fn is_assigned(&self) -> bool {
        let has = self.seen.mailbox.as_ref().and_then(|mailbox| mailbox.policy.as_ref());
        match (has, self.policy_name()) {
            (Some(Assigned::Named(has)), Some(name)) => has.eq_ignore_ascii_case(name),
            (Some(Assigned::Default), wanted) => wanted.is_none(),
            // An Exchange that does not tell which one is its default: what it took is so.
            (Some(Assigned::Named(_)), None) | (None, _) => self.done.others > 0 && self.done.accepted,
        }
    }
}
