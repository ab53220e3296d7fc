//! What is kept so that nobody has to read all: as reading all finds it.

use crate::truth::{Verdict, must};
use lanyard::{
    error::Result,
    fleet::{
        audit,
        keeper::timers::{Timer, Unsent},
        life::{
            Action, Command, Device, State,
            command::{Hold, OfDevice, SILENCE},
        },
    },
    ids::CommandId,
    store::{Record, Tx},
};
use std::collections::{BTreeMap, BTreeSet};

/// Timers, unsent ones, commands of a device, counts, and the audit log's chain.
pub fn agree(tx: &mut Tx<'_>) -> Result<Verdict> {
    let commands = tx.all::<Command>("")?;
    let timers: BTreeSet<String> = tx.all::<Timer>("")?.iter().map(Record::key).collect();
    let unsent: BTreeSet<CommandId> = tx.all::<Unsent>("")?.iter().map(|unsent| unsent.command).collect();
    let of_device: BTreeSet<String> = tx.all::<OfDevice>("")?.iter().map(Record::key).collect();
    let mut counted = BTreeMap::<String, u64>::new();
    for name in tx.all::<Device>("")?.iter().filter_map(Record::counted) {
        *counted.entry(name).or_default() += 1;
    }
    let counts: BTreeMap<String, u64> = tx.counts::<Device>()?.into_iter().collect();
    let verdict = audit::verify(tx, None)?;
    let agree = || {
        let wanted: BTreeSet<String> = commands.iter().flat_map(due).collect();
        must!(timers == wanted, "(e) timers are {timers:?}, wanted {wanted:?}");
        let wanted: BTreeSet<CommandId> = commands.iter().filter(|c| is_unsent(c)).map(|c| c.id).collect();
        must!(unsent == wanted, "(e) unsent are {unsent:?}, wanted {wanted:?}");
        let of = |c: &Command| OfDevice { device: c.device, command: c.id }.key();
        let wanted: BTreeSet<String> = commands.iter().map(of).collect();
        must!(of_device == wanted, "(e) commands of devices are {of_device:?}, wanted {wanted:?}");
        must!(counts == counted, "(e) devices are counted as {counts:?}, and are {counted:?}");
        must!(verdict.ok, "(e) the audit log: {:?}", verdict.broken);
        Ok(())
    };
    Ok(agree())
}

fn is_unsent(command: &Command) -> bool {
    command.action().is_guarded() && matches!(command.state, State::Held | State::Queued | State::NotNow)
}

/// The keys of a command's timers: its undo window, its next wake, a month of silence, by steady time; its expiry by the wall clock.
fn due(command: &Command) -> Vec<String> {
    let open = !command.state.is_final();
    let release = command.release_at.filter(|_| open && command.hold == Some(Hold::Delay));
    let wake = command.wake_at.filter(|_| command.state != State::Held);
    let is_out = matches!(command.state, State::Queued | State::Sent | State::NotNow);
    let is_wipe = command.action() == Action::Wipe && is_out;
    // Where what enrolled since took nobody's place, nobody is missed.
    let owed = command.heard.filter(|_| is_wipe && !command.later.is_empty());
    let said = command.unproved.filter(|_| is_wipe);
    let silence = owed.into_iter().chain(said).min().map(|at| at.plus(SILENCE));
    let steady = [release, wake, silence].into_iter().flatten().min().map(|at| ("s", at.0));
    let wall = command.expires.filter(|_| open).map(|at| ("w", at.0));
    let key = |(hand, at): (&str, i64)| format!("{hand}{at:016x}/{}", command.id);
    steady.into_iter().chain(wall).map(key).collect()
}
