//! Loads a device with its commands, lets events happen to it, and writes what came of them: the value, and what follows elsewhere, in
//! the caller's transaction.

pub mod failed;
pub mod timers;

use crate::{
    error::Result,
    fleet::{
        audit::{self, By, Unasked},
        life::{Command, Device, Effect, Event, Managed, effect::Named},
        notices::{self, News},
        registry::{credential, lookup, sights},
        settings,
    },
    ids::{CommandId, DeviceId, EnrolmentId},
    store::Tx,
};

/// The device as it is kept, with its commands.
pub fn load(tx: &mut Tx<'_>, device: Device) -> Result<Managed> {
    let commands = tx.get_many::<Command>(Managed::needs(&device))?;
    Ok(Managed::of(device, commands.into_iter().flatten()))
}

/// The device of this id, with its commands.
pub fn by_id(tx: &mut Tx<'_>, id: DeviceId) -> Result<Managed> {
    let device = lookup::by_id(tx, id)?;
    load(tx, device)
}

/// The device of this id, serial or name in a protocol, with its commands; refused where several fit.
pub fn find(tx: &mut Tx<'_>, wanted: &str) -> Result<Managed> {
    let device = lookup::device(tx, wanted)?;
    load(tx, device)
}

/// The device of a command, with it. None where one of the two is no more: after an accepted loss there may be such.
pub fn of_command(tx: &mut Tx<'_>, id: CommandId) -> Result<Option<Managed>> {
    let Some(command) = tx.get::<Command>(id)? else { return Ok(None) };
    let Some(device) = tx.get::<Device>(command.device)? else { return Ok(None) };
    let mut managed = load(tx, device)?;
    managed.know(command);
    Ok(Some(managed))
}

/// Lets something happen to a device. All of it is written. True where the device is to be woken.
pub fn happen(tx: &mut Tx<'_>, managed: &mut Managed, event: Event) -> Result<bool> {
    let time = tx.time();
    let mut wake = false;
    let effects = managed.happen(event, time);
    let id = managed.id;
    save(tx, managed)?;
    for effect in effects {
        match effect {
            Effect::Note(by, event) => audit::note(tx, by, event)?,
            Effect::WipeEnded(command, end) => notices::tell(tx, News::WipeEnded(command, end))?,
            Effect::WipeContradicted(command) => notices::tell(tx, News::WipeContradicted(command))?,
            Effect::HeardAfterWipe(command) => notices::tell(tx, News::HeardAfterWipe(command))?,
            Effect::DeviceLeft => notices::tell(tx, News::DeviceLeft(id))?,
            Effect::Revoke(certificate, pause) => credential::revoke_after(tx, &certificate, pause)?,
            Effect::Unname(named, name) => lookup::unclaim(tx, kind(named), &name, id)?,
            Effect::Name(named, name) => lookup::claim(tx, kind(named), &name, id)?,
            Effect::Wake => wake = true,
            Effect::Unasked(enrolment, command) => note_unasked(tx, enrolment, Unasked::Command(command))?,
        }
    }
    Ok(wake)
}

/// An authenticated message of this enrolment came. What is no wipe's and no clone's business reads nothing and writes nothing.
pub fn contact(tx: &mut Tx<'_>, managed: &mut Managed, enrolment: EnrolmentId) -> Result<()> {
    let Some(mine) = managed.enrolment(enrolment) else { return Ok(()) };
    let twins = managed.live().filter(|e| e.id != mine.id && e.channel == mine.channel);
    let twins: Vec<EnrolmentId> = twins.map(|e| e.id).collect();
    let waits = managed.open().any(|command| command.minds_silence());
    if mine.owed.is_none() && twins.is_empty() && !waits {
        return Ok(());
    }
    let grace = settings::span(tx, "wipe.grace")?;
    let seen = sights::seen(tx, twins.iter().copied())?;
    let seen = twins.into_iter().zip(seen).filter_map(|(id, at)| Some((id, at?))).collect();
    happen(tx, managed, Event::Contact { enrolment, grace, seen }).map(drop)
}

/// The device speaks under a certificate or login of its own: where its record was removed it is shown again.
pub fn back(tx: &mut Tx<'_>, managed: &mut Managed) -> Result<()> {
    match managed.removed {
        Some(_) => happen(tx, managed, Event::Back).map(drop),
        None => Ok(()),
    }
}

fn kind(named: Named) -> &'static str {
    match named {
        Named::Serial => lookup::SERIAL,
        Named::Name => lookup::NAMED,
        Named::MailId => lookup::MAIL_ID,
        Named::Hardware => lookup::HARDWARE,
    }
}

fn save(tx: &mut Tx<'_>, managed: &mut Managed) -> Result<()> {
    let changed = managed.take_changed();
    for command in changed.commands.iter().filter_map(|id| managed.command(*id)) {
        // A store that is far is not asked for what cannot be there.
        let before = if changed.new.contains(&command.id) { None } else { tx.get::<Command>(command.id)? };
        timers::reset(tx, before.as_ref(), command)?;
        failed::note(tx, before.as_ref(), command)?;
        if before.is_none_or(|before| (before.state, before.enrolment) != (command.state, command.enrolment)) {
            tell(command);
        }
        tx.put(command)?;
    }
    if changed.device {
        tx.put(managed.device())?;
    }
    Ok(())
}

/// A step of a command, for the log, by ids alone: whose device it is and why it was asked for are no business of the log's. It counts
/// with the commit of its batch, and where that fails a line says so.
fn tell(command: &Command) {
    let (id, device, enrolment, state) = (command.id, command.device, command.enrolment, command.state);
    tracing::debug!(command = %id, %device, %enrolment, action = command.action().as_str(), state = state.as_str(), "command");
}

/// Notes an answer about something that was never sent.
pub fn note_unasked(tx: &mut Tx<'_>, enrolment: EnrolmentId, answer: Unasked) -> Result<()> {
    audit::note(tx, By::Device, audit::Event::AnswerUnasked { enrolment, answer })
}
