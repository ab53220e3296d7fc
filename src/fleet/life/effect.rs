//! What follows from an event beside the new value: what is to be done elsewhere, in the same transaction.

use super::command::State;
use crate::{
    fleet::audit,
    ids::{CommandId, EnrolmentId, Fingerprint},
};
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub enum Effect {
    /// An entry of the audit log.
    Note(audit::By, audit::Event),
    /// A wipe ended: the administrators are told.
    WipeEnded(CommandId, State),
    /// A device whose wipe was presumed is heard: the administrators are told.
    WipeContradicted(CommandId),
    /// A device that was erased is heard: likewise.
    HeardAfterWipe(CommandId),
    /// The device ended its management by itself, without being asked to: likewise.
    DeviceLeft,
    /// A certificate counts for nothing after so long.
    Revoke(Fingerprint, Duration),
    /// The device goes by this name no more.
    Unname(Named, String),
    /// The device goes by this name from now on.
    Name(Named, String),
    /// The device is to be woken.
    Wake,
    /// Something was answered that was never sent to this enrolment.
    Unasked(EnrolmentId, CommandId),
}

/// What a name of a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Its serial number.
    Serial,
    /// What people call it.
    Name,
    /// Its mail client's id, as another channel told it.
    MailId,
    /// Its hardware's own id.
    Hardware,
}
