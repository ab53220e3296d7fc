//! Whether a request may pass to the mail server: block, wipe, then key. [MS-ASPROV] 3.1.5.1, [MS-ASCMD] 2.2.2.
//!
//! For logins that the mail server accepted lately only: strangers must not learn where a device stands.

use super::machine::State;
use crate::ping::End;
use crate::provision::WipeScope;
use crate::status::{Answer, refusal};
use crate::{Command, PolicyKey, Presented, Revision, Status, Version};

/// What an administrator, or the rule for unknown devices, says of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Mail may flow.
    Allowed,
    /// Not until somebody allows it: its account is made, as Exchange does.
    Quarantined,
    /// Not at all.
    Blocked,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To the mail server, without our key.
    Pass,
    /// We answer it ourselves: Provision always, Settings of a device that is kept out.
    Answer,
    /// We answer it in the mail server's stead, to a device that waits: see [`crate::quarantine`].
    Stead,
    /// Refused.
    Refuse {
        /// The status from 14.0.
        status: Status,
        /// The HTTP code before.
        http: u16,
    },
    /// A Ping is sent to FolderSync, which is refused with the reason.
    FolderSyncFirst,
}

impl Verdict {
    fn refuse(status: Status) -> Verdict {
        Verdict::Refuse { status, http: status.http() }
    }

    /// The refusal as it goes back; `None` where there is none.
    pub fn answer(self, version: Version, command: Command) -> Option<Answer> {
        match self {
            Verdict::Pass | Verdict::Answer | Verdict::Stead => None,
            Verdict::FolderSyncFirst => Some(End::FolderSyncFirst.answer()),
            Verdict::Refuse { http, .. } if !version.has_common_status() => Some(Answer::http(http)),
            Verdict::Refuse { status, .. } => Some(refusal(version, command, status)),
        }
    }
}

/// Judges a request. `due` is the edition of the policy that the device should hold, `None` where none is assigned:
/// then commands pass without a key.
pub fn judge(
    state: State,
    access: Access,
    command: Command,
    presented: Presented,
    version: Version,
    due: Option<Revision>,
) -> Verdict {
    match (command, wipe(state, version).or_else(|| block(access))) {
        // Before 14.0 a block is 403, after which Android provisions and asks again, for ever, as long as it is let provision.
        (Command::Provision, Some(Reason::Blocked)) if !version.has_common_status() => {
            Verdict::refuse(Status::DEVICE_BLOCKED)
        }
        // A wipe and a policy both come by Provision, so it is open to all others. Never 141 to 144.
        (Command::Provision, _) => Verdict::Answer,
        (Command::Settings, Some(Reason::Blocked)) => Verdict::Answer,
        (_, Some(Reason::Blocked | Reason::Wiped)) => Verdict::refuse(Status::DEVICE_BLOCKED),
        (Command::Ping, Some(Reason::WipePending)) => ping(version, Status::WIPE_REQUESTED),
        // Old clients that know nothing of policies do not know 449 either.
        (_, Some(Reason::WipePending)) if presented == Presented::Absent => {
            Verdict::Refuse { status: Status::WIPE_REQUESTED, http: 403 }
        }
        (_, Some(Reason::WipePending)) => Verdict::refuse(Status::WIPE_REQUESTED),
        (Command::Settings, Some(Reason::Waits)) => Verdict::Answer,
        (_, Some(Reason::Waits)) => match policy(state, command, presented, version, due) {
            Verdict::Pass => waiting(command),
            first => first,
        },
        (_, None) => policy(state, command, presented, version, due),
    }
}

/// What becomes of the requests of a device that waits: its account is made, and a notice is all that stands in it. Nothing is denied, which
/// clients take for good: what cannot be had yet is to be tried again later.
fn waiting(command: Command) -> Verdict {
    match command {
        Command::FolderSync => Verdict::Pass,
        Command::Sync | Command::GetItemEstimate | Command::Ping | Command::ItemOperations => Verdict::Stead,
        _ => Verdict::refuse(Status::RETRY_LATER),
    }
}

enum Reason {
    WipePending,
    /// Done, or one that this client can never be told of.
    Wiped,
    Blocked,
    Waits,
}

/// A pending wipe goes before a block: a device that hears "blocked" stops asking, and would never hear of it.
fn wipe(state: State, version: Version) -> Option<Reason> {
    match state {
        State::Wiping { scope: WipeScope::Account, .. } if !version.has_account_only_wipe() => Some(Reason::Wiped),
        State::Wiping { .. } => Some(Reason::WipePending),
        State::Wiped(_) => Some(Reason::Wiped),
        State::NotProvisioned | State::Offered { .. } | State::Held { .. } => None,
    }
}

fn block(access: Access) -> Option<Reason> {
    match access {
        Access::Allowed => None,
        Access::Quarantined => Some(Reason::Waits),
        Access::Blocked => Some(Reason::Blocked),
    }
}

fn policy(state: State, command: Command, presented: Presented, version: Version, due: Option<Revision>) -> Verdict {
    let Some(due) = due else { return Verdict::Pass };
    let held = match state {
        State::Held { key, revision, .. } => Some((key, revision)),
        _ => None,
    };
    // A Ping carries no key by the specification: the device's own state decides, and a key that is there says no more.
    let wrong = match (command, held) {
        (Command::Ping, Some((_, revision))) => (revision != due).then_some(Status::REFRESH),
        (Command::Ping, None) => Some(Status::NOT_PROVISIONED),
        (_, held) => key(presented, held, due),
    };
    match (command, wrong) {
        (_, None) => Verdict::Pass,
        (Command::Ping, Some(status)) => ping(version, status),
        (_, Some(status)) => Verdict::refuse(status),
    }
}

fn key(presented: Presented, held: Option<(PolicyKey, Revision)>, due: Revision) -> Option<Status> {
    match (presented, held) {
        // A missing key would be 141, which Android takes for good.
        (Presented::Absent | Presented::Zero, _) => Some(Status::NOT_PROVISIONED),
        (Presented::Key(shown), Some((key, revision))) if shown == key => (revision != due).then_some(Status::REFRESH),
        (Presented::Key(_), _) => Some(Status::INVALID_KEY),
    }
}

/// From 14.0 some clients (Android) take a common status on a Ping for a plain failure; 449 they understand.
fn ping(version: Version, status: Status) -> Verdict {
    if version.has_common_status() { Verdict::FolderSyncFirst } else { Verdict::refuse(status) }
}

#[cfg(test)]
mod tests;
