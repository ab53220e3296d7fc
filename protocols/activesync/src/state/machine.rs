//! Provisioning, step by step: time plays no part, randomness and what is due come in, what to do comes out.

use crate::provision::{Body, PolicyOutcome, PolicyType, Reply, Request, WipeScope};
use crate::{PolicyKey, Revision, Status, Version};

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Holds no policy of ours, or none that counts.
    NotProvisioned,
    /// Was sent a policy and has not said what became of it.
    Offered {
        /// The key that it must acknowledge with.
        temp: PolicyKey,
        /// Which edition it was sent.
        revision: Revision,
    },
    /// Has acknowledged.
    Held {
        /// The key that it shows with each command.
        key: PolicyKey,
        /// Which edition it holds.
        revision: Revision,
        /// What it acknowledged with: where our answer is lost it asks again.
        temp: PolicyKey,
    },
    /// Is to be erased and hears of nothing else.
    Wiping {
        /// How much.
        scope: WipeScope,
        /// The directive went out. An acknowledgement before that belongs to an earlier wipe and proves nothing.
        sent: bool,
    },
    /// Has said that it erases. Over until an administrator frees the device.
    Wiped(WipeScope),
}

/// The policy that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its edition.
    pub revision: Revision,
    /// Whom it lets pass.
    pub demand: Demand,
}

/// Which acknowledgements are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Demand {
    /// Status 1 alone.
    Whole,
    /// 1 and 2 (in part, at least a PIN), as Exchange up to 2010 has it.
    #[default]
    AtLeastPin,
    /// Any.
    Anything,
}

impl Demand {
    /// Why an outcome is not enough.
    fn refuses(self, outcome: PolicyOutcome) -> Option<Status> {
        match (self, outcome) {
            (Demand::Anything, _) | (_, PolicyOutcome::Applied) | (Demand::AtLeastPin, PolicyOutcome::Partly) => None,
            (_, PolicyOutcome::ManagedElsewhere) => Some(Status::EXTERNALLY_MANAGED),
            (_, PolicyOutcome::Partly | PolicyOutcome::NotApplied) => Some(Status::NOT_FULLY_PROVISIONABLE),
        }
    }
}

/// A Provision, as far as it moves the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Nothing asked, nothing reported.
    Empty,
    /// Phase 1.
    PolicyRequest,
    /// Either phase for a type of policy that does not exist.
    UnknownType,
    /// Phase 1 that lacks what the version requires.
    NoDeviceInformation,
    /// Phase 2.
    PolicyAck {
        /// The key in the body; the head says nothing here: Android's own mail sends 0 there.
        key: Option<PolicyKey>,
        /// What became of the policy.
        outcome: PolicyOutcome,
    },
    /// What becomes of a wipe.
    WipeAck {
        /// Which.
        scope: WipeScope,
        /// The client erases.
        ok: bool,
    },
    /// Makes no sense.
    Malformed,
}

impl Message {
    /// From the body and the version.
    pub fn new(request: &Request, version: Version) -> Message {
        let told = request.device_information.as_ref().is_some_and(|information| information.model.is_some());
        match &request.body {
            Body::Empty => Message::Empty,
            Body::Policy(PolicyType::Absent) | Body::Ack { kind: PolicyType::Absent, .. } => Message::Malformed,
            Body::Policy(PolicyType::Unknown(_)) | Body::Ack { kind: PolicyType::Unknown(_), .. } => {
                Message::UnknownType
            }
            Body::Ack { outcome: None, .. } => Message::Malformed,
            Body::Policy(_) if version.wants_device_information() && !told => Message::NoDeviceInformation,
            Body::Policy(_) => Message::PolicyRequest,
            Body::Ack { key, outcome: Some(outcome), .. } => {
                Message::PolicyAck { key: PolicyKey::new(*key), outcome: *outcome }
            }
            Body::WipeAck { scope, ok } => Message::WipeAck { scope: *scope, ok: *ok },
        }
    }
}

/// What follows from a message. Exactly one of them is a [`Output::Reply`], the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Answer this.
    Reply(Reply),
    /// The client holds this edition now.
    Confirmed(Revision, PolicyOutcome),
    /// The client does not hold this edition, and gets no key.
    Declined(Revision, PolicyOutcome),
    /// The client says that it erases: the wipe's evidence.
    Erased(WipeScope),
    /// The client says that it could not; the wipe stays pending.
    WipeFailed(WipeScope),
    /// An acknowledgement of a wipe that nobody asked for: for the audit log only.
    StrayWipeAck(WipeScope),
}

impl State {
    /// One Provision. `due` is the policy that the device should have, `None` where none is assigned: then it is offered one that
    /// restricts nothing. `fresh` is a new random key, used as temporary or final one.
    #[must_use]
    pub fn step(self, message: Message, version: Version, due: Option<Due>, fresh: PolicyKey) -> (State, Vec<Output>) {
        match (self, message) {
            (State::Wiping { scope, sent }, message) => wiping(scope, sent, message, version, fresh),
            // A repeat changes nothing.
            (State::Wiped(_), Message::WipeAck { .. }) => (self, vec![Output::Reply(Reply::Ok)]),
            (State::Wiped(_), _) => (self, vec![Output::Reply(Reply::Refuse(Status::DEVICE_BLOCKED))]),
            (_, Message::WipeAck { scope, .. }) => (self, vec![Output::StrayWipeAck(scope), Output::Reply(Reply::Ok)]),
            (_, Message::Malformed) => (self, vec![Output::Reply(Reply::ProtocolError)]),
            (_, Message::UnknownType) => (self, vec![Output::Reply(Reply::UnknownType)]),
            (_, Message::Empty) => (self, vec![Output::Reply(Reply::Ok)]),
            (_, Message::PolicyAck { key, outcome }) => self.acknowledged(key, outcome, due, fresh),
            // Asked of those only for whom there is a policy: nobody is shut out for its sake otherwise.
            (_, Message::NoDeviceInformation) if due.is_some() => {
                (self, vec![Output::Reply(Reply::Refuse(Status::DEVICE_INFORMATION))])
            }
            (_, Message::PolicyRequest | Message::NoDeviceInformation) => offer(due, fresh),
        }
    }

    fn acknowledged(
        self,
        key: Option<PolicyKey>,
        outcome: PolicyOutcome,
        due: Option<Due>,
        fresh: PolicyKey,
    ) -> (State, Vec<Output>) {
        match self {
            State::Offered { temp, revision } if key == Some(temp) => {
                // Where none is assigned nobody is shut out for what he did not apply.
                let demand = due.map_or(Demand::Anything, |due| due.demand);
                if let Some(status) = demand.refuses(outcome) {
                    return (self, vec![Output::Declined(revision, outcome), Output::Reply(Reply::Refuse(status))]);
                }
                let held = State::Held { key: fresh, revision, temp };
                (held, vec![Output::Confirmed(revision, outcome), Output::Reply(Reply::Key(fresh))])
            }
            // Our answer was lost on the way: the same again.
            State::Held { key: kept, temp, .. } if key == Some(temp) => (self, vec![Output::Reply(Reply::Key(kept))]),
            _ => (self, vec![Output::Reply(Reply::WrongKey)]),
        }
    }

    /// A wipe is asked for. One that was sent already stays as it is; a repeated request changes nothing.
    #[must_use]
    pub fn wipe(self, scope: WipeScope) -> State {
        match self {
            State::Wiping { scope: pending, .. } if pending == scope => self,
            _ => State::Wiping { scope, sent: false },
        }
    }
}

/// The edition of what is offered to who asks though none is assigned: nobody else's.
const UNASKED: Revision = Revision(u64::MAX);

/// Who asks gets a document always: one who was challenged a moment ago and hears "no policy" gives the account up (AOSP, TbSync).
fn offer(due: Option<Due>, fresh: PolicyKey) -> (State, Vec<Output>) {
    let revision = due.map_or(UNASKED, |due| due.revision);
    (State::Offered { temp: fresh, revision }, vec![Output::Reply(Reply::Policy(fresh))])
}

/// Under a wipe every message gets one answer: the directive, no key that lets mail pass. Beside a policy only where one was asked for:
/// old Androids look for that first.
fn wiping(scope: WipeScope, sent: bool, message: Message, version: Version, fresh: PolicyKey) -> (State, Vec<Output>) {
    let pending = State::Wiping { scope, sent };
    match message {
        Message::WipeAck { scope: done, ok: true } if sent && done == scope => {
            (State::Wiped(scope), vec![Output::Erased(scope), Output::Reply(Reply::Ok)])
        }
        Message::WipeAck { scope: failed, ok: false } if sent && failed == scope => {
            (pending, vec![Output::WipeFailed(scope), Output::Reply(Reply::WipeFailed(scope))])
        }
        // A client that does not know the directive keeps what it has; all that can be done is to let it in no more.
        _ if scope == WipeScope::Account && !version.has_account_only_wipe() => {
            (pending, vec![Output::Reply(Reply::Refuse(Status::DEVICE_BLOCKED))])
        }
        Message::PolicyRequest | Message::NoDeviceInformation => {
            (State::Wiping { scope, sent: true }, vec![Output::Reply(Reply::WipeBesidePolicy(scope, fresh))])
        }
        _ => (State::Wiping { scope, sent: true }, vec![Output::Reply(Reply::Wipe(scope))]),
    }
}

#[cfg(test)]
mod tests;
