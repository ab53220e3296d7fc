//! Where an enrolment stands: the policy that it holds, the wipe that waits for it, and what of its requests may therefore pass.

use super::{
    document,
    kept::Foreign,
    who::{Who, next_wipe},
};
use crate::{
    error::{Error, Result},
    fleet::{
        keeper,
        life::{
            Action, Channel, Command, Contact, Enrolment, EnrolmentState, Event, Managed, Outcome, PROVISIONING, Scope,
        },
        policies, queue,
        terms::{EvidenceKind, FailureCode},
    },
    ids::CommandId,
    policy::{Part, PartId},
    store::Tx,
};
use lanyard_activesync::{
    Command as Verb, Request, Revision, Status, Version,
    policy::ProvisionDoc,
    provision::{PolicyOutcome, WipeScope},
    state::{Access, Demand, Due, State, Verdict, judge},
};
use serde::{Deserialize, Serialize};

/// What is kept of an enrolment between two requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The protocol's own state.
    pub(super) state: State,
    /// The hash of the policy that was offered last.
    pub(super) offered: Option<String>,
    /// The wipe that was answered last: an acknowledgement is about this one.
    pub(super) told: Option<CommandId>,
    /// The wipe whose acknowledgement came without a login, as it stands in the audit log. Once is enough.
    #[serde(default)]
    pub(super) unproved: Option<CommandId>,
    /// How often the client was asked to acknowledge anew what it holds.
    #[serde(default)]
    pub(super) round: u64,
    /// The document that was offered last, until it is answered.
    #[serde(default)]
    pub(super) sent: Option<ProvisionDoc>,
    /// The document that the client acknowledged last: what is in force there.
    #[serde(default)]
    pub(super) holds: Option<ProvisionDoc>,
    /// What it said of that.
    #[serde(default)]
    pub(super) said: Option<PolicyOutcome>,
    /// It has spoken a version that can remove its account alone. That a later request claims an older one ends no wipe.
    #[serde(default)]
    pub(super) removes_accounts: bool,
}

impl Kept {
    fn of(enrolment: &Enrolment) -> Result<Self> {
        match enrolment.channel_state.get(PROVISIONING) {
            Some(text) => serde_json::from_str(text).map_err(|e| Error::Internal(format!("{PROVISIONING}: {e}"))),
            None => Ok(Self {
                state: State::NotProvisioned,
                offered: None,
                told: None,
                unproved: None,
                round: 0,
                sent: None,
                holds: None,
                said: None,
                removes_accounts: false,
            }),
        }
    }
}

/// See the module.
pub(super) struct Partnership {
    pub(super) who: Who,
    pub(super) kept: Kept,
    before: Kept,
    /// The wipe that this enrolment is to hear of.
    pub(super) directive: Option<Command>,
    pub(super) wanted: Wanted,
    door: Door,
}

/// What a client is to hold.
#[derive(Default)]
pub(super) struct Wanted {
    /// What is asked of it; none: nothing, and commands pass without a key.
    pub(super) due: Option<Due>,
    /// What of the policy stands in the document.
    pub(super) part: Option<Part>,
    /// A former policy goes away with it.
    pub(super) leaves: bool,
    /// The document, for who asks for one.
    pub(super) document: ProvisionDoc,
    /// The mail server asks for some of it before it answers anything.
    theirs: bool,
}

enum Door {
    As(Access),
    /// Shut by a wipe that this enrolment will hear of, but not yet: in its undo window, or under the stop.
    Later,
}

impl Partnership {
    /// Reads it, and files what is over by this very request: a command to ask the device, a wipe that it is too old for. What comes
    /// without a proved login may hear of a wipe and ends nothing.
    pub(super) fn of(tx: &mut Tx<'_>, mut who: Who, version: Version, proved: bool) -> Result<Self> {
        if proved {
            keeper::contact(tx, &mut who.device, who.enrolment)?;
            settle_sync(tx, &mut who)?;
        }
        let spoke =
            who.device.enrolment(who.enrolment).map(Kept::of).transpose()?.is_some_and(|kept| kept.removes_accounts);
        let mut directive = next_wipe(tx, &who)?;
        if let Some(wipe) = directive.take_if(|w| w.wipes(Scope::Selective) && !version.has_account_only_wipe())
            && proved
            && !spoke
        {
            presume(tx, &mut who, &wipe, version)?;
            directive = next_wipe(tx, &who)?;
        }
        let enrolment =
            who.device.enrolment(who.enrolment).ok_or_else(|| Error::not_found("enrolment", who.enrolment))?;
        let before = Kept::of(enrolment)?;
        let mut kept = now(before.clone(), enrolment.state, directive.as_ref());
        kept.removes_accounts |= proved && version.has_account_only_wipe();
        let door = door(&who.device, enrolment, directive.is_some());
        let wanted = wanted(tx, &who.device, enrolment, &mut kept, proved)?;
        Ok(Self { who, kept, before, directive, wanted, door })
    }

    /// What becomes of a request.
    pub(super) fn verdict(&self, request: &Request) -> Verdict {
        // Who waits need not hold our policy before it is let in; but the mail server's list of folders takes what that asks for.
        let waits = matches!(self.door, Door::As(Access::Quarantined));
        let due = self.wanted.due.filter(|_| !waits || self.wanted.theirs).map(|due| due.revision);
        match (&self.door, request.command) {
            (Door::Later, Verb::Provision | Verb::Settings) => Verdict::Answer,
            (Door::Later, _) => Verdict::Refuse { status: Status::RETRY_LATER, http: Status::RETRY_LATER.http() },
            (Door::As(access), command) => judge(self.kept.state, *access, command, request.key, request.version, due),
        }
    }

    /// Whether its mail passes, as it asks now: all that is no Provision.
    pub(super) fn passes_mail(&self, request: &Request) -> bool {
        self.directive.is_none()
            && self.kept == self.before
            && self.verdict(&Request { command: Verb::Sync, ..request.clone() }) == Verdict::Pass
    }

    /// Writes what has changed.
    pub(super) fn save(mut self, tx: &mut Tx<'_>) -> Result<()> {
        if self.kept == self.before {
            return Ok(());
        }
        let text = serde_json::to_string(&self.kept).map_err(|e| Error::Internal(e.to_string()))?;
        let kept = Event::Noted { enrolment: self.who.enrolment, name: PROVISIONING, value: Some(text) };
        keeper::happen(tx, &mut self.who.device, kept)?;
        Ok(())
    }
}

/// Mail has nobody to ask: that the client comes is the answer.
fn settle_sync(tx: &mut Tx<'_>, who: &mut Who) -> Result<()> {
    let open = who.device.open_on(Channel::Activesync);
    if !open.iter().any(|c| c.action() == Action::Refresh && c.enrolment == who.enrolment) {
        return Ok(());
    }
    // A wipe goes before it, and is not to be marked as sent here.
    while next_wipe(tx, who)?.is_none()
        && let Some(command) = queue::take_next(tx, &mut who.device, who.enrolment, Contact::Continued)?
    {
        let outcome = match command.action() {
            Action::Refresh => Outcome::Done { kind: EvidenceKind::Seen, detail: "the client asked for mail".into() },
            _ => Outcome::Failed { code: FailureCode::Unsupported, text: "mail alone can do nothing but wipe".into() },
        };
        queue::settle(tx, &mut who.device, who.enrolment, command.id, outcome)?;
    }
    Ok(())
}

/// Before 16.1 no client can remove its account alone: all that can be done is to let it in no more.
fn presume(tx: &mut Tx<'_>, who: &mut Who, wipe: &Command, version: Version) -> Result<()> {
    let taken = queue::take_next(tx, &mut who.device, who.enrolment, Contact::Fresh)?;
    if taken.is_some_and(|taken| taken.id == wipe.id) {
        let detail = format!(
            "the client speaks {version} and cannot remove its account (16.1 and later can): its partnership was removed and its \
             access blocked; data already on the device stays"
        );
        let outcome = Outcome::Presumed { kind: EvidenceKind::AccessBlocked, detail };
        queue::settle(tx, &mut who.device, who.enrolment, wipe.id, outcome)?;
    }
    Ok(())
}

/// The protocol's state by what the registry and the queue say.
fn now(mut kept: Kept, enrolment: EnrolmentState, directive: Option<&Command>) -> Kept {
    let over = matches!(kept.state, State::Wiped(_));
    kept.state = match (enrolment, directive) {
        (EnrolmentState::Wiped | EnrolmentState::Retired, _) if over => kept.state,
        (EnrolmentState::Wiped, _) => State::Wiped(WipeScope::Device),
        (EnrolmentState::Retired, _) => State::Wiped(WipeScope::Account),
        (_, Some(wipe)) if kept.told == Some(wipe.id) => kept.state.wipe(scope(wipe)),
        // Told of an earlier one only, whose acknowledgement proves nothing about this.
        (_, Some(wipe)) => State::Wiping { scope: scope(wipe), sent: false },
        (_, None) if matches!(kept.state, State::Wiping { .. } | State::Wiped(_)) => State::NotProvisioned,
        (_, None) => kept.state,
    };
    if over && kept.state == State::NotProvisioned {
        // Let in again after its wipe.
        (kept.holds, kept.said) = (None, None);
    }
    kept
}

/// How much a wipe takes over this channel.
pub(super) fn scope(wipe: &Command) -> WipeScope {
    match wipe.scope() {
        Some(Scope::Full) => WipeScope::Device,
        _ => WipeScope::Account,
    }
}

fn door(device: &Managed, enrolment: &Enrolment, hears_of_wipe: bool) -> Door {
    let access = match enrolment.state {
        EnrolmentState::Enrolled | EnrolmentState::Pending => Access::Allowed,
        EnrolmentState::Quarantined => Access::Quarantined,
        _ => Access::Blocked,
    };
    let shut = device.mail_is_shut(enrolment.id).filter(|_| !hears_of_wipe && access == Access::Allowed);
    let Some(shut) = shut else { return Door::As(access) };
    let waits = |wipe: &Command| {
        !wipe.state.is_final() && (wipe.enrolment == enrolment.id || wipe.later(enrolment.id).is_some())
    };
    if device.command(shut).is_some_and(waits) { Door::Later } else { Door::As(Access::Blocked) }
}

/// What the client is to hold. It cannot be asked what it has: when that is to be known, what it holds counts for nothing any more, and
/// it must acknowledge anew.
fn wanted(tx: &mut Tx<'_>, device: &Managed, enrolment: &Enrolment, kept: &mut Kept, proved: bool) -> Result<Wanted> {
    let (mut wanted, todo) = policies::due(tx, device, enrolment.id)?;
    let due = |revision| Some(Due { revision: Revision(revision), demand: Demand::default() });
    let (part, removed) = (wanted.remove(&PartId::Document), todo.remove.contains(&PartId::Document));
    // Though it be held.
    let wiping = device.open().any(|c| c.action() == Action::Wipe && c.is_owed_to(enrolment));
    let theirs = Foreign::of(device, enrolment.id).and_then(|foreign| foreign.document);
    let theirs = theirs.filter(ProvisionDoc::restricts);
    let asks = theirs.is_some();
    let mut wanted = match part {
        Some(part) => {
            let (document, edition) = merged(document::of(&part.content), &part.hash, theirs.as_ref());
            let edition = |round: u64| edition.wrapping_add(round).max(1);
            let asked = todo.look.contains(&PartId::Document) || todo.install.contains(&PartId::Document);
            let holds =
                |held: State| matches!(held, State::Held { revision, .. } if revision == Revision(edition(kept.round)));
            if proved && asked && holds(kept.state) {
                kept.round = kept.round.wrapping_add(1);
            }
            Wanted { due: due(edition(kept.round)), part: Some(part), document, ..Wanted::default() }
        }
        // Some clients give up all right to erase together with their last policy (AOSP).
        None if (removed || kept.holds.is_some()) && wiping => {
            Wanted { document: kept.holds.clone().unwrap_or_default(), ..Wanted::default() }
        }
        None if theirs.is_some() => {
            let (document, edition) = merged(ProvisionDoc::default(), "", theirs.as_ref());
            Wanted { due: due(edition), leaves: removed, document, ..Wanted::default() }
        }
        // What it holds is of the mail server, which asks for it no more.
        None if removed || kept.holds.as_ref().is_some_and(ProvisionDoc::restricts) => {
            Wanted { due: due(0), leaves: removed, ..Wanted::default() }
        }
        None => Wanted::default(),
    };
    wanted.theirs = asks;
    // What goes out beside a wipe is what is in force already: a new rule might keep it waiting for its user.
    if let (true, State::Wiping { .. }, Some(holds)) = (wiping, kept.state, &kept.holds) {
        wanted.document = holds.clone();
    }
    Ok(wanted)
}

/// Our document with what the mail server asks for besides, and its edition. Equal documents are one edition, whatever policies they come
/// from; 0 is the document that restricts nothing.
fn merged(ours: ProvisionDoc, hash: &str, theirs: Option<&ProvisionDoc>) -> (ProvisionDoc, u64) {
    let plain = edition(hash);
    let Some(theirs) = theirs else { return (ours, plain) };
    let both = ours.stricter(theirs);
    if both == ours.stricter(&ProvisionDoc::default()) {
        return (ours, plain);
    }
    let said = format!("{hash} {}", serde_json::to_string(theirs).unwrap_or_default());
    let [a, b, c, d, e, f, g, h, ..] = openssl::sha::sha256(said.as_bytes());
    (both, u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1))
}

fn edition(hash: &str) -> u64 {
    hash.get(..16).and_then(|head| u64::from_str_radix(head, 16).ok()).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanyard_activesync::policy::Rule;

    #[test]
    fn a_mail_servers_rules_are_an_edition_of_their_own_where_they_ask_for_more() {
        let (mut ours, mut theirs) = (ProvisionDoc::default(), ProvisionDoc::default());
        for document in [&mut ours, &mut theirs] {
            document.set(Rule::DevicePasswordEnabled, Some(1)).unwrap();
        }
        ours.set(Rule::MinDevicePasswordLength, Some(6)).unwrap();
        let hash = "00000000000000ff";
        assert_eq!(merged(ours.clone(), hash, None), (ours.clone(), 255));
        theirs.set(Rule::MinDevicePasswordLength, Some(5)).unwrap();
        assert_eq!(merged(ours.clone(), hash, Some(&theirs)), (ours.clone(), 255));
        theirs.set(Rule::MinDevicePasswordLength, Some(8)).unwrap();
        let (both, edition) = merged(ours.clone(), hash, Some(&theirs));
        assert_eq!(both.get(Rule::MinDevicePasswordLength), Some(8));
        assert_ne!(edition, 255);
        theirs.set(Rule::AllowCamera, Some(0)).unwrap();
        assert_ne!(merged(ours, hash, Some(&theirs)).1, edition);
    }
}
