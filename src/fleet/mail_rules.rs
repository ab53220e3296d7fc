//! Rules of who may read mail, as they are kept: one file, asked at each request of a mail client. A person's word about a client stands
//! above them.

use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    fleet::{
        actor::{self, Actor},
        audit::{self, Counts, Event},
        keeper,
        life::{
            Access, Device, Enrolment, EnrolmentState, Event as Happening, Grace, MAIL_AGENT, MAIL_TYPE, Managed,
            Ownership,
        },
        policies::Assigned,
        registry::presence::MAIL,
        settings,
    },
    ids::{DeviceId, EnrolmentId},
    policy::{MailAccess, MailClient, MailRule, MailRules, MailRulesError, Standing},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Devices of a preview that are read at a time.
const PAGE: usize = 500;
/// Bytes of the rules in the audit log; the rest is left out.
const NOTED: usize = 4000;

/// The file, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    text: String,
    /// Its default lets everybody in, which counts later, as `eas.unknown` does. Until then this one counts, and shuts nobody out who was in.
    opened: Option<Opened>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Opened {
    since: Steady,
    before: String,
}

impl Opened {
    fn left(&self, tx: &mut Tx<'_>) -> Result<Duration> {
        let wait = settings::newcomer(tx)?;
        Ok(actor::left_to_wait(tx, self.since, wait))
    }
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Kept>()];

impl Record for Kept {
    const KIND: &'static str = "mail_rules";
    fn key(&self) -> String {
        String::new()
    }
    fn subject(&self) -> Option<String> {
        Some(MAIL.into())
    }
}

/// A file as somebody sends it, with what it says. It is read as the field of a body is: before the store is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Source {
    text: String,
    rules: Arc<MailRules>,
}

impl TryFrom<String> for Source {
    type Error = MailRulesError;

    fn try_from(text: String) -> std::result::Result<Self, MailRulesError> {
        let rules = Arc::new(MailRules::parse(&text)?);
        Ok(Self { text, rules })
    }
}

/// The text read last: each request needs it, and YAML is slow to read.
static READ: Mutex<Option<(String, Arc<MailRules>)>> = Mutex::new(None);

fn read(text: &str) -> std::result::Result<Arc<MailRules>, MailRulesError> {
    if let Ok(read) = READ.lock()
        && let Some((_, rules)) = read.as_ref().filter(|(known, _)| known == text)
    {
        return Ok(rules.clone());
    }
    let rules = Arc::new(MailRules::parse(text)?);
    if let Ok(mut read) = READ.lock() {
        *read = Some((text.to_owned(), rules.clone()));
    }
    Ok(rules)
}

/// Keeps a text whatever it says, as another version may have.
#[cfg(test)]
pub(crate) fn keep(tx: &mut Tx<'_>, text: &str) -> Result<()> {
    Ok(tx.put(&Kept { text: text.into(), opened: None })?)
}

/// The rules that count now, with what must be known to ask them.
pub struct Gate {
    /// None: nobody has set any.
    rules: Option<Arc<MailRules>>,
    /// Whom no rule fits. Without rules it is said of clients that come for the first time, and of no others.
    default: MailAccess,
    /// From when the default of the file counts instead.
    counts_from: Option<Timestamp>,
    text: Option<String>,
    /// Where a rule asks for compliance.
    assigned: Option<Assigned>,
    now: Steady,
}

/// How rules see a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// Whether it is let in now.
    pub access: MailAccess,
    /// And once its time is up.
    pub then: MailAccess,
    /// Which rule says so: `rule 2: os >=17.2`, or `default`.
    pub rule: String,
    /// How long it has until it is cut.
    pub left: Option<Duration>,
    graces: BTreeMap<String, Grace>,
}

impl Gate {
    /// Those that are kept.
    pub fn load(tx: &mut Tx<'_>) -> Result<Self> {
        let unknown = |tx: &mut Tx<'_>| -> Result<MailAccess> {
            let said = settings::text(tx, "eas.unknown")?;
            Ok(said.and_then(|said| MailAccess::named(&said)).unwrap_or(MailAccess::Quarantine))
        };
        let Some(kept) = tx.get::<Kept>("")? else {
            let default = unknown(tx)?;
            return Ok(Self { rules: None, default, counts_from: None, text: None, assigned: None, now: tx.steady() });
        };
        let rules = match read(&kept.text) {
            Ok(rules) => rules,
            // Each stays as it is, and who is new waits: no mail and no list of devices fails for it.
            Err(why) => {
                tx.log(move || tracing::error!(%why, "this version refuses the rules of mail that are kept: apply them anew"));
                let (default, text, now) = (MailAccess::Quarantine, Some(kept.text), tx.steady());
                return Ok(Self { rules: None, default, counts_from: None, text, assigned: None, now });
            }
        };
        let left = match &kept.opened {
            Some(opened) => opened.left(tx)?,
            None => Duration::ZERO,
        };
        let waits = kept.opened.filter(|_| !left.is_zero());
        let before = waits.as_ref().and_then(|opened| MailAccess::named(&opened.before));
        let gate = Self::of(tx, rules, before)?;
        Ok(Self { counts_from: waits.map(|_| tx.now().plus(left)), text: Some(kept.text), ..gate })
    }

    fn of(tx: &mut Tx<'_>, rules: Arc<MailRules>, before: Option<MailAccess>) -> Result<Self> {
        let assigned = if rules.ask_for_compliance() { Some(Assigned::load(tx)?) } else { None };
        let default = before.unwrap_or(rules.default);
        Ok(Self { rules: Some(rules), default, counts_from: None, text: None, assigned, now: tx.steady() })
    }

    /// For whom no rule fits, as it counts now.
    pub fn default(&self) -> MailAccess {
        self.default
    }

    /// In their order.
    pub fn rules(&self) -> &[MailRule] {
        self.rules.as_ref().map_or(&[], |rules| &rules.rules)
    }

    /// From when the default of the file counts, where that waits.
    pub fn counts_from(&self) -> Option<Timestamp> {
        self.counts_from
    }

    /// The file.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    fn client<'a>(&self, device: &'a Device, enrolment: &'a Enrolment) -> MailClient<'a> {
        let kept = |name: &str| enrolment.channel_state.get(name).map(String::as_str);
        let standing = self.assigned.as_ref().map(|assigned| assigned.standing_beside_mail(device));
        MailClient {
            family: device.platform,
            kind: kept(MAIL_TYPE),
            model: device.model.as_deref(),
            os: device.os_version.as_deref(),
            agent: kept(MAIL_AGENT),
            user: &device.user,
            groups: device.groups.iter().map(String::as_str).collect(),
            personal: device.ownership == Ownership::Personal,
            certificate: enrolment.certificate.is_some(),
            compliance: standing.unwrap_or(Standing::Unknown),
        }
    }

    /// What rules say of a client on its device. None where there are none, or where they have nothing to say: a person decided, it has
    /// ended, or a wipe shuts it.
    pub fn stand(&self, device: &Device, enrolment: &Enrolment) -> Option<Stand> {
        let rules = self.rules.as_ref().filter(|_| device.is_ruled(enrolment))?;
        let first = rules.first(&self.client(device, enrolment));
        let mut graces = self.graces(rules, enrolment, first.map(|(_, rule)| rule));
        let Some((at, rule)) = first else {
            // While it waits to let everybody in, nobody is shut out by what counted before it.
            let has = access_of(enrolment.state).filter(|has| self.counts_from.is_some() && *has < self.default);
            let (access, rule) = (has.unwrap_or(self.default), "default".to_owned());
            return Some(Stand { access, then: rules.default, rule, left: None, graces });
        };
        let mut stand = Stand {
            access: rule.then,
            then: rule.then,
            rule: format!("rule {}: {rule}", at + 1),
            left: None,
            graces: BTreeMap::new(),
        };
        let has = access_of(enrolment.state).filter(|has| *has < rule.then);
        if let (Some(has), Some(grace)) = (has, rule.grace) {
            let fits = graces.entry(words(rule)).or_insert(Grace { since: self.now, left: None });
            let left = grace.saturating_sub(self.now.since(fits.since));
            if !left.is_zero() {
                (stand.access, stand.left) = (has, Some(left));
            }
        }
        stand.graces = graces;
        Some(stand)
    }

    /// The rules that gave it time, now that this one fits. One that it fits no more is remembered as long as its time was: who comes and
    /// goes has no more of it than others.
    fn graces(&self, rules: &MailRules, enrolment: &Enrolment, first: Option<&MailRule>) -> BTreeMap<String, Grace> {
        let fits = first.map(words);
        let known = rules.rules.iter().filter_map(|rule| {
            let (words, given) = (words(rule), rule.grace?);
            let grace = *enrolment.graces.get(&words)?;
            let over = grace.left.is_some_and(|left| self.now.since(left) > given);
            let left = if fits.as_ref() == Some(&words) { None } else { grace.left.or(Some(self.now)) };
            (!over).then_some((words, Grace { left, ..grace }))
        });
        known.collect()
    }

    /// What becomes of a client that nobody knew: by the first rule that fits, which gives it no time, since it has nothing to lose.
    pub fn newcomer(&self, device: &Device, enrolment: &Enrolment) -> EnrolmentState {
        let first = self.rules.as_ref().and_then(|rules| Some(rules.first(&self.client(device, enrolment))?.1.then));
        state_of(first.unwrap_or(self.default))
    }

    /// Where an enrolment stands, by rules where they say of it: what is kept may be of before they changed.
    pub fn state(&self, device: &Device, enrolment: &Enrolment) -> EnrolmentState {
        self.stand(device, enrolment).map_or(enrolment.state, |stand| state_of(stand.access))
    }

    /// Whether a client is let in now, by rules or by where it stands.
    pub fn lets_in(&self, device: &Device, enrolment: &Enrolment) -> bool {
        self.state(device, enrolment) == EnrolmentState::Enrolled
    }
}

/// A rule is the same as long as it says the same, wherever it stands.
fn words(rule: &MailRule) -> String {
    format!("{rule}: {}", rule.then.as_str())
}

fn state_of(access: MailAccess) -> EnrolmentState {
    match access {
        MailAccess::Allow => EnrolmentState::Enrolled,
        MailAccess::Quarantine => EnrolmentState::Quarantined,
        MailAccess::Block => EnrolmentState::Blocked,
    }
}

fn access_of(state: EnrolmentState) -> Option<MailAccess> {
    match state {
        EnrolmentState::Enrolled => Some(MailAccess::Allow),
        EnrolmentState::Quarantined => Some(MailAccess::Quarantine),
        EnrolmentState::Blocked => Some(MailAccess::Block),
        _ => None,
    }
}

/// Asks the rules about a client that has just asked for something, and keeps what they say. How long it has until they cut it.
pub fn ask(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId) -> Result<Option<Duration>> {
    if tx.get::<Kept>("")?.is_none() {
        return Ok(None);
    }
    let gate = Gate::load(tx)?;
    let stand = device.enrolment(enrolment).and_then(|mine| gate.stand(device, mine));
    let Some(Stand { access, left, graces, rule, .. }) = stand else { return Ok(None) };
    let was = device.enrolment(enrolment).and_then(|mine| access_of(mine.state));
    if was != Some(access) {
        let (device, access) = (device.id, access.as_str());
        tx.log(
            move || tracing::info!(%device, %enrolment, access, %rule, "the rules of mail say otherwise of a client"),
        );
    }
    let access = match access {
        MailAccess::Allow => Access::Allow,
        MailAccess::Quarantine => Access::Quarantine,
        MailAccess::Block => Access::Block,
    };
    keeper::happen(tx, device, Happening::Ruled { enrolment, access, graces })?;
    Ok(left)
}

/// What a file does, or would do.
#[derive(Debug, Clone)]
pub struct Change {
    /// For whom no rule fits.
    pub default: MailAccess,
    /// In their order.
    pub rules: Vec<MailRule>,
    /// Whom it lets in or shuts out.
    pub changes: Vec<Changed>,
    /// From when its default counts, where that lets everybody in and so waits.
    pub counts_from: Option<Timestamp>,
}

/// A client that is let in or shut out.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Whose.
    pub device: DeviceId,
    /// The device's user.
    pub user: String,
    /// Which of the device's.
    pub enrolment: EnrolmentId,
    /// What it has.
    pub from: MailAccess,
    /// What it gets.
    pub to: MailAccess,
    /// Which rule says so.
    pub rule: String,
    /// When, where that gives it time.
    pub until: Option<Timestamp>,
}

/// What this file would do. Reads all devices.
pub fn look(tx: &mut Tx<'_>, source: &Source) -> Result<Change> {
    let old = Gate::load(tx)?;
    let opened = opened(tx, &old, &source.rules)?;
    let counts_from = match &opened {
        Some(opened) => {
            let left = opened.left(tx)?;
            Some(tx.now().plus(left))
        }
        None => None,
    };
    // Whom its default will let in one day is shown too.
    let new = Gate::of(tx, source.rules.clone(), None)?;
    let (mut changes, mut after) = (Vec::new(), None);
    loop {
        let devices = tx.scan::<Device>("", after.as_deref(), PAGE)?;
        for device in devices.iter().filter(|device| device.removed.is_none()) {
            changes.extend(device.live().filter_map(|enrolment| changed(tx, (&old, &new), device, enrolment)));
        }
        match devices.last().filter(|_| devices.len() == PAGE) {
            Some(last) => after = Some(last.key()),
            None => break,
        }
    }
    for change in &mut changes {
        change.until = change.until.or(counts_from.filter(|_| change.rule == "default"));
    }
    let rules = source.rules.rules.clone();
    Ok(Change { default: source.rules.default, rules, changes, counts_from })
}

fn changed(tx: &Tx<'_>, (old, new): (&Gate, &Gate), device: &Device, enrolment: &Enrolment) -> Option<Changed> {
    let stand = new.stand(device, enrolment)?;
    let from = old.stand(device, enrolment).map(|stand| stand.access).or(access_of(enrolment.state))?;
    let until = stand.left.map(|left| tx.now().plus(left));
    let (device, user, enrolment) = (device.id, device.user.clone(), enrolment.id);
    (from != stand.then).then_some(Changed { device, user, enrolment, from, to: stand.then, rule: stand.rule, until })
}

/// A default that lets everybody in where the one that counts does not: it waits as `eas.unknown` does.
fn opened(tx: &mut Tx<'_>, old: &Gate, rules: &MailRules) -> Result<Option<Opened>> {
    if rules.default != MailAccess::Allow || old.default == MailAccess::Allow || actor::first_hour(tx)? {
        return Ok(None);
    }
    // One that waits already goes on waiting.
    let waits = tx.get::<Kept>("")?.and_then(|kept| kept.opened).filter(|_| old.counts_from.is_some());
    Ok(Some(waits.unwrap_or(Opened { since: tx.steady(), before: old.default.as_str().into() })))
}

/// Sets the rules.
pub fn apply(tx: &mut Tx<'_>, actor: &Actor, source: &Source) -> Result<()> {
    // By them everybody may be let in or shut out at once.
    actor.must_count("change the rules of mail")?;
    let kept = tx.get::<Kept>("")?;
    if kept.is_none_or(|kept| kept.text != source.text) {
        let old = Gate::load(tx)?;
        let opened = opened(tx, &old, &source.rules)?;
        let counts = if opened.is_some() { Counts::Later } else { Counts::Now };
        tx.put(&Kept { text: source.text.clone(), opened })?;
        audit::note(tx, actor, Event::MailRulesSet { rules: in_short(&source.rules), counts })?;
    }
    Ok(())
}

/// As the audit log has it.
fn in_short(rules: &MailRules) -> String {
    let mut said = format!("default {}", rules.default.as_str());
    for rule in &rules.rules {
        if said.len() > NOTED {
            said.push_str("; …");
            break;
        }
        said.push_str("; ");
        said.push_str(&words(rule));
    }
    said
}
