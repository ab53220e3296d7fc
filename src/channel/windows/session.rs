//! One message of a DM session, from certificate to answer. What the next message needs lies in the store, so that any node
//! may take it; an idle session leaves nothing there.

use super::{
    DM_PATH, Refusal, admit,
    answers::{self, Answers},
    delivery::{self, Prepared},
    facts, heard, policy, provision, repeat,
};
use crate::{
    channel::span,
    clock::Steady,
    error::{Judged, Result},
    fleet::{
        audit::{self, By},
        enrol, keeper,
        life::{Act, Action, Channel, Command, Contact, Device, EnrolmentState, Event, Managed, Outcome, State},
        policies, queue,
        registry::{Credential, Standing, presence::Idle, sights},
        settings,
        terms::{EvidenceKind, FailureCode},
        wipe::stop,
    },
    ids::{CommandId, EnrolmentId, Fingerprint},
    policy::{PartId, Setting},
    server::Server,
    store::{Kind, Record, Tx},
};
use lanyard_omadm::{
    session::{Accepts, Answer, Due, Output, Session},
    syncml::{ContentType, Message},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// How often a device is asked what it is.
const FACTS: Duration = Duration::from_secs(7 * 86_400);

/// A session between two messages. One for each enrolment: the SessionID within tells a new one from the old, whose
/// unanswered operations are then lost.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    enrolment: String,
    session: Session,
    answers: Answers,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Kept>()];

impl Record for Kept {
    const KIND: &'static str = "omadm-session";
    fn key(&self) -> String {
        self.enrolment.clone()
    }
}

/// A message and who sent it.
#[derive(Clone)]
struct Said {
    shown: Fingerprint,
    message: Message,
    form: ContentType,
    our_uri: String,
}

/// One message to its answer.
pub(super) async fn take(
    server: &Server,
    shown: Fingerprint,
    message: Message,
    form: ContentType,
    body: &[u8],
) -> std::result::Result<Answer, Refusal> {
    let said = Said { shown, message, form, our_uri: format!("{}{DM_PATH}", server.public_url) };
    if let Some((known, answer)) = idle(server, &said) {
        span::whose(known.enrolment, Some(known.device));
        repeat::remember(&known, form, body, &answer);
        return Ok(answer); // the idle session ends here
    }
    Ok(server.store.judge(move |tx| exchange(tx, &said)).await?)
}

/// The answer to a device that is known to have nothing due and says nothing new. Its language and model, of which it tells each time,
/// are not read then: what changes there is learnt with the facts.
fn idle(server: &Server, said: &Said) -> Option<(Arc<Idle>, Answer)> {
    let known = server.presence.idle(&said.shown, None, server.now())?;
    let same = known.identity.eq_ignore_ascii_case(&said.message.header.source.uri);
    if known.channel != Channel::Omadm || !same || said.message.header.msg_id != 1 {
        return None;
    }
    let (turn, told) = Session::new().receive(&said.message, said.form);
    let nothing = told.iter().all(|output| matches!(output, Output::DeviceInfo(_) | Output::Login(_)));
    let (session, answer, ended) = turn.answer(&[], &said.our_uri);
    (nothing && session.is_idle() && ended == [Output::SessionEnded]).then_some((known, answer))
}

/// Files what the message says and takes what is next, in one call on the store.
fn exchange(tx: &mut Tx<'_>, said: &Said) -> Judged<Answer, Standing> {
    let (credential, device) = admit(tx, &said.shown, &said.message.header.source.uri)?;
    let mut device = keeper::load(tx, device)?;
    keeper::contact(tx, &mut device, credential.enrolment)?;
    begin(tx, &mut device, &credential, &said.shown)?;
    let kept = tx.get::<Kept>(credential.enrolment)?;
    let was_kept = kept.is_some();
    let Kept { session, mut answers, .. } = kept.unwrap_or_default();
    let out: BTreeSet<CommandId> = session.unanswered().filter_map(answers::parts).map(|(id, _)| id).collect();
    let (turn, told) = session.receive(&said.message, said.form);
    if told.contains(&Output::RepeatOfLast) && holds_back(tx, &device, credential.enrolment, out)? {
        // The answer that was lost holds what must not leave any more: this session is over, without it.
        keep(tx, credential.enrolment, None, was_kept)?;
        let (turn, _) = Session::new().receive(&said.message, said.form);
        let (_, answer, _) = turn.answer(&[], &said.our_uri);
        return Ok(answer);
    }
    if told.iter().any(|output| matches!(output, Output::RepeatOfLast | Output::OutOfOrder)) {
        let (_, answer, _) = turn.answer(&[], &said.our_uri);
        return Ok(answer);
    }
    heard::note(tx, &device, &told)?;
    told.iter().for_each(|output| answers.note(output));
    // Once for all of a message: it may say the same many times.
    let info = facts::gathered(&told);
    if !info.is_empty() {
        facts::dev_info(tx, &mut device, &info)?;
    }
    if told.contains(&Output::Unenrolled) {
        left(tx, &mut device, &credential)?;
    }
    let (fresh, accepts) = (is_fresh(&told, said), turn.accepts());
    let mut visit = Visit { tx, device, credential: &credential, shown: &said.shown, fresh, accepts };
    let (mut due, mut nothing_due) = (Vec::new(), false);
    if turn.accepts() != Accepts::Nothing {
        let spent = visit.file(std::mem::take(&mut answers))?;
        if let Some(done) = spent {
            due = visit.next(&done)?;
            // What is the device's may be due, and is not for a session of the user's.
            nothing_due = due.is_empty() && turn.accepts() != Accepts::User;
        }
    }
    let (session, answer, after) = turn.answer(&due, &said.our_uri);
    let ended = after.contains(&Output::SessionEnded);
    after.iter().for_each(|output| answers.note(output));
    visit.not_sent(&after)?;
    if ended && !nothing_due {
        visit.file(std::mem::take(&mut answers))?;
    }
    // Who is remembered is seen by that; who is not must be seen here, or would count as silent.
    if !(ended && nothing_due && !was_kept && visit.rest()?) {
        sights::note_seen(tx, credential.enrolment)?;
    }
    keep(tx, credential.enrolment, (!ended).then_some((session, answers)), was_kept)?;
    Ok(answer)
}

/// Whether a message is not to be repeated: something in it has ended since, or the emergency stop is on and something that it is about
/// has been sent to this enrolment.
fn holds_back(tx: &mut Tx<'_>, device: &Managed, enrolment: EnrolmentId, out: BTreeSet<CommandId>) -> Result<bool> {
    let out = tx.get_many::<Command>(out)?;
    if out.iter().any(|command| command.as_ref().is_none_or(|command| command.state.is_final())) {
        return Ok(true);
    }
    let carried = |c: &Command| c.enrolment == enrolment && c.state == State::Sent;
    let told = |c: &Command| c.later(enrolment).is_some_and(|later| later.told > 0);
    let sent = |c: &Command| c.action().is_guarded() && (carried(c) || told(c));
    Ok(stop::is_on(tx)? && device.open_on(Channel::Omadm).into_iter().any(sent))
}

/// The first message of a session, as far as can be told.
fn is_fresh(told: &[Output], said: &Said) -> bool {
    said.message.header.msg_id == 1 || told.contains(&Output::Restarted)
}

fn keep(tx: &mut Tx<'_>, enrolment: EnrolmentId, kept: Option<(Session, Answers)>, was_kept: bool) -> Result<()> {
    let enrolment = enrolment.to_string();
    match kept {
        Some((session, answers)) => tx.put(&Kept { enrolment, session, answers })?,
        None if was_kept => tx.delete(&Kept { enrolment, ..Kept::default() })?,
        None => {}
    }
    Ok(())
}

/// The first session completes an enrolment, and takes a renewed certificate into use.
fn begin(tx: &mut Tx<'_>, device: &mut Managed, credential: &Credential, shown: &Fingerprint) -> Result<()> {
    let Some(mine) = device.enrolment(credential.enrolment) else { return Ok(()) };
    let renewed = mine.renewed.as_ref().is_some_and(|certificate| certificate.sha256 == *shown);
    if mine.state == EnrolmentState::Pending || renewed {
        keeper::happen(tx, device, Event::Heard(credential.enrolment))?;
        enrol::complete(tx, device, credential.enrolment, shown)?;
    }
    Ok(())
}

/// The device leaves: its user's doing, or proof that it was retired.
fn left(tx: &mut Tx<'_>, device: &mut Managed, credential: &Credential) -> Result<()> {
    let (enrolment, kind, detail) =
        (credential.enrolment, EvidenceKind::Unenrolled, "Alert 1226, unenrolment".to_string());
    keeper::happen(tx, device, Event::Left { enrolment, kind, detail })?;
    Ok(())
}

/// A device that is admitted, while its message is dealt with.
struct Visit<'t, 's> {
    tx: &'t mut Tx<'s>,
    device: Managed,
    credential: &'t Credential,
    shown: &'t Fingerprint,
    fresh: bool,
    accepts: Accepts,
}

impl Visit<'_, '_> {
    /// What the device answered. The commands that have had their turn in this session come back; none where something was
    /// lost, since the device would lose it again.
    fn file(&mut self, answers: Answers) -> Result<Option<BTreeSet<CommandId>>> {
        let lost = answers.any_lost();
        let mut done = BTreeSet::new();
        if answers.is_empty() {
            return Ok(Some(done));
        }
        for (id, answers) in answers.by_command() {
            let Some(command) = self.command(id)? else { continue };
            if !delivery::file(self.tx, &mut self.device, self.credential.enrolment, &command, &answers)? {
                done.insert(id);
            }
        }
        Ok((!lost).then_some(done))
    }

    fn command(&mut self, id: CommandId) -> Result<Option<Command>> {
        Ok(self.tx.get::<Command>(id)?.filter(|command| command.device == self.device.id))
    }

    /// The next operations. Where nothing waits that must go first, what the policy or the calendar asks for is queued first.
    fn next(&mut self, done: &BTreeSet<CommandId>) -> Result<Vec<Due>> {
        let enrolment = self.credential.enrolment;
        let complete = self
            .device
            .enrolment(enrolment)
            .is_some_and(|e| matches!(e.state, EnrolmentState::Enrolled | EnrolmentState::Former));
        let contact = if self.fresh { Contact::Fresh } else { Contact::Continued };
        // Each round ends a command or hands one out; a policy has a bounded number of parts.
        for _ in 0..64 {
            if !complete {
                break;
            }
            let (accepts, done) = (self.accepts, self.not_here(done));
            let ask = |tx: &mut Tx<'_>, device: &mut Managed| ask_what_is_due(tx, device, enrolment, accepts);
            let taken = queue::take_due(self.tx, &mut self.device, enrolment, contact, &done, ask)?;
            let Some(command) = taken else { break };
            let outcome = match delivery::prepare(self.tx, &mut self.device, &command, self.accepts)? {
                Prepared::Go(due) => {
                    self.note_repeat(&command)?;
                    return Ok(due);
                }
                Prepared::Finished => {
                    Outcome::Done { kind: EvidenceKind::Status, detail: "all parts are answered".into() }
                }
                Prepared::Cannot(text) => Outcome::Failed { code: FailureCode::Unsupported, text: text.into() },
            };
            queue::settle(self.tx, &mut self.device, enrolment, command.id, outcome)?;
        }
        Ok(Vec::new())
    }

    /// What has had its turn, or has none here: a session for a user alone takes what a policy asks for the user, and none else takes that. All
    /// else concerns the device and stays in the queue, unsent; a wipe keeps back what comes after it even so.
    fn not_here(&self, done: &BTreeSet<CommandId>) -> BTreeSet<CommandId> {
        let here = |command: &Command| match command.action() {
            Action::Policy => policy::is_here(command, self.accepts),
            _ => self.accepts != Accepts::User,
        };
        let elsewhere = self.device.open_on(Channel::Omadm).into_iter().filter(|command| !here(command));
        elsewhere.map(|command| command.id).chain(done.iter().copied()).collect()
    }

    /// An act that was handed out in an earlier session and never answered may be done twice: that is on record.
    fn note_repeat(&mut self, command: &Command) -> Result<()> {
        let again = command.sent.is_some_and(|sent| sent < self.tx.now());
        if !again || matches!(command.action(), Action::Refresh | Action::Policy) {
            return Ok(());
        }
        let (device, action, enrolment) = (command.device, command.action(), self.credential.enrolment);
        let event = audit::Event::CommandRepeated { command: command.id, device, action, enrolment };
        audit::note(self.tx, By::Device, event)
    }

    /// What did not go out after all: some of it never can.
    fn not_sent(&mut self, after: &[Output]) -> Result<()> {
        for output in after {
            let Output::OpNotSent { op, why } = output else { continue };
            let Some((id, index)) = answers::parts(op).filter(|_| !why.is_temporary()) else { continue };
            if let Some(command) = self.command(id)? {
                let enrolment = self.credential.enrolment;
                delivery::unsendable(self.tx, &mut self.device, enrolment, &command, index, &why.to_string())?;
            }
        }
        Ok(())
    }

    /// Remembers the device as idle, and says whether it does. What was put off is due again in the next session, so that one must ask
    /// the store.
    fn rest(&mut self) -> Result<bool> {
        let Some(enrolment) = self.device.enrolment(self.credential.enrolment) else { return Ok(false) };
        if !self.fresh || !self.device.may_rest(enrolment.id) || self.credential.revoked.is_some() {
            return Ok(false);
        }
        let stale = stale_from(self.tx, &self.device, enrolment.id)?;
        let asked = stale.map_or(self.tx.now(), |at| self.tx.wall_of(at));
        let ends = self.credential.certificate.not_after;
        let Some(due) = policies::quiet_until(self.tx, &self.device, enrolment.id)? else { return Ok(false) };
        let (identity, until) = (&enrolment.identity, asked.min(ends).min(due));
        let now = self.tx.now();
        let idle = Idle::new(*self.shown, self.device.id, enrolment.id, Channel::Omadm, identity, until, now);
        self.tx.remember(Box::new(idle));
        Ok(true)
    }
}

/// When a device is to be asked again what it is; none: it was never asked. Where a policy wants it encrypted and it does not say that it is,
/// that is read back as often as what is set.
fn stale_from(tx: &mut Tx<'_>, device: &Device, enrolment: EnrolmentId) -> Result<Option<Steady>> {
    let Some(asked) = device.asked else { return Ok(None) };
    let mut span = FACTS;
    if device.facts.get("encrypted").is_none_or(|fact| fact != "true") {
        let (wanted, _) = policies::due(tx, device, enrolment)?;
        if wanted.contains_key(&PartId::Setting(Setting::Encryption)) {
            span = span.min(settings::span(tx, "policy.verify")?);
        }
    }
    Ok(Some(asked.plus(span)))
}

/// Queues what nobody had to ask for.
fn ask_what_is_due(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId, accepts: Accepts) -> Result<()> {
    let Some(mine) = device.enrolment(enrolment).filter(|_| device.is_served(enrolment)) else { return Ok(()) };
    let is_open = |action| device.find_open(Channel::Omadm, action).is_some();
    let now = tx.steady();
    let stale = stale_from(tx, device, enrolment)?.is_none_or(|at| at <= now) || provision::is_to_be_told(tx, mine)?;
    if stale && !is_open(Action::Refresh) && accepts != Accepts::User {
        return queue::ask_by_system(tx, device, enrolment, Act::Refresh).map(drop);
    }
    // What waits for a session of another sort keeps nothing waiting in this one.
    let is_waited_for = |command: &&Command| command.is_waited_for(Action::Policy) && policy::is_here(command, accepts);
    if device.open_on(Channel::Omadm).iter().any(is_waited_for) {
        return Ok(());
    }
    let (wanted, todo) = policies::to_ask(tx, device, enrolment)?;
    policies::keep_books(tx, device, enrolment, &wanted, &todo)?;
    let parts = policy::begin(&wanted, &todo, accepts);
    if parts.is_empty() {
        return Ok(());
    }
    policies::ask_for(tx, device, enrolment, &parts)?;
    let parts = parts.iter().map(ToString::to_string).collect();
    queue::ask_by_system(tx, device, enrolment, Act::Policy { parts }).map(drop)
}
