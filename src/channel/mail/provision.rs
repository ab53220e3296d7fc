//! Provision: the policy in two phases, and the wipe with its acknowledgement. Answered here always; the mail server never sees it.

use super::{
    kept::{Foreign, TOLD},
    order,
    partnership::{Partnership, scope},
};
use crate::{
    error::{Error, Result},
    fleet::{
        audit::{self, By, Unasked},
        keeper,
        life::{Channel, Claim, Command, Contact, Device, Event, Fate, Leaving, Outcome},
        queue,
        terms::EvidenceKind,
    },
    ids::EnrolmentId,
    policy::{Outcome as Answered, Part, PartId},
    store::Tx,
};
use lanyard_activesync::{
    Answer, PolicyKey, Request,
    policy::ProvisionDoc,
    provision::{self, PolicyOutcome, Reply, WipeScope},
    settings::DeviceInformation,
    state::{Message, Output},
};

/// One Provision. `proved` says that login or certificate stand behind it; without, the wipe is told and nothing is believed.
pub(super) fn take(
    tx: &mut Tx<'_>,
    partnership: &mut Partnership,
    head: &Request,
    body: &provision::Request,
    proved: bool,
) -> Result<Answer> {
    let mut message = Message::new(body, head.version);
    if !proved {
        if let Message::WipeAck { ok, .. } = message {
            unproved(tx, partnership, ok)?;
        }
        if !matches!(message, Message::PolicyRequest | Message::NoDeviceInformation) {
            message = Message::Empty;
        }
    } else if let Some(said) = &body.device_information {
        learn(tx, partnership, said)?;
    }
    let (state, outputs) = partnership.kept.state.step(message, head.version, partnership.wanted.due, fresh(tx)?);
    partnership.kept.state = state;
    let mut answer = Reply::Ok;
    for output in outputs {
        match output {
            Output::Reply(reply) => answer = reply,
            Output::Confirmed(_, outcome) => applied(tx, partnership, Some(outcome), outcome)?,
            Output::Declined(_, outcome) => applied(tx, partnership, None, outcome)?,
            Output::Erased(scope) | Output::StrayWipeAck(scope) => erased(tx, partnership, scope)?,
            Output::WipeFailed(_) => {
                let (command, device) = (partnership.kept.told, partnership.who.device.id);
                if let Some(command) = command {
                    order::note_word(tx, &mut partnership.who.device, partnership.who.enrolment, command, false)?;
                }
                audit::note(tx, By::Device, audit::Event::WipeDeclined { command, device })?;
            }
        }
    }
    before_reply(tx, partnership, answer, proved)?;
    Ok(answer.answer(body, head.version, &partnership.wanted.document))
}

/// Somebody who proved no login says what became of a wipe. It ends nothing; that it erases counts where it is not heard from then on.
fn unproved(tx: &mut Tx<'_>, partnership: &mut Partnership, ok: bool) -> Result<()> {
    if partnership.kept.unproved != partnership.kept.told {
        partnership.kept.unproved = partnership.kept.told;
        let (enrolment, device) = (partnership.who.enrolment, partnership.who.device.id);
        audit::note(tx, By::Stranger, audit::Event::AnswerUnproved { enrolment, device })?;
    }
    match partnership.kept.told {
        Some(told) if ok => keeper::happen(tx, &mut partnership.who.device, Event::DoneUnproved(told)).map(drop),
        _ => Ok(()),
    }
}

/// A random key, never 0.
fn fresh(tx: &mut Tx<'_>) -> Result<PolicyKey> {
    let number = u32::from_be_bytes(tx.random::<4>());
    PolicyKey::new(number.max(1)).ok_or_else(|| Error::Internal("a policy key of 0".into()))
}

/// What must be stored before a reply may leave.
fn before_reply(tx: &mut Tx<'_>, partnership: &mut Partnership, reply: Reply, proved: bool) -> Result<()> {
    match reply {
        Reply::Policy(_) => {
            let wanted = &partnership.wanted;
            partnership.kept.offered = wanted.part.as_ref().map(|part| part.hash.clone());
            partnership.kept.sent = Some(wanted.document.clone());
            let leaving = match &wanted.part {
                Some(Part { id, hash, of, .. }) => {
                    Some(Leaving::Set { part: id.clone(), hash: hash.clone(), of: of.clone() })
                }
                None => wanted.leaves.then_some(Leaving::Away(PartId::Document)),
            };
            let (enrolment, parts) = (partnership.who.enrolment, leaving.into_iter().collect());
            keeper::happen(tx, &mut partnership.who.device, Event::PartsLeave { enrolment, parts })?;
        }
        Reply::Wipe(_) | Reply::WipeBesidePolicy(..) => {
            let enrolment = partnership.who.enrolment;
            if !proved && partnership.who.device.open().any(|c| c.later(enrolment).is_some()) {
                // It is told once: strangers must not use that up.
                return Ok(());
            }
            let sent = queue::take_next(tx, &mut partnership.who.device, partnership.who.enrolment, Contact::Fresh)?;
            partnership.kept.told = sent.map(|c| c.id).or(partnership.kept.told);
        }
        _ => {}
    }
    Ok(())
}

/// What the client says of the policy that it was offered last.
fn applied(
    tx: &mut Tx<'_>,
    partnership: &mut Partnership,
    held: Option<PolicyOutcome>,
    said: PolicyOutcome,
) -> Result<()> {
    let outcome = match (held, said) {
        (Some(PolicyOutcome::Applied), _) => Answered::Enforced,
        (Some(_), _) => Answered::partly("the client acknowledged it in part (status 2)"),
        (None, PolicyOutcome::ManagedElsewhere) => {
            Answered::failed("the client is managed by somebody else (status 4)")
        }
        (None, _) => Answered::failed("the client did not apply it (status 3)"),
    };
    let taken = matches!(held, Some(PolicyOutcome::Applied | PolicyOutcome::Partly));
    let sent = partnership.kept.sent.take().filter(|_| taken);
    let gone = partnership.wanted.leaves && sent.as_ref() == Some(&partnership.wanted.document);
    if taken {
        partnership.kept.said = Some(said);
    }
    partnership.kept.holds = sent.or(partnership.kept.holds.take());
    let fate = match &partnership.kept.offered {
        Some(hash) => Fate::Sent { hash: hash.clone(), outcome },
        // The document that restricts nothing took a former one's place.
        None if gone => Fate::Gone,
        None => match outcome {
            Answered::Failed(text) => Fate::Stuck(text),
            _ => return Ok(()),
        },
    };
    let (enrolment, part) = (partnership.who.enrolment, PartId::Document);
    let device = &mut partnership.who.device;
    keeper::happen(tx, device, Event::Part { enrolment, part: part.clone(), fate })?;
    // What it holds now is this document and no more a former one.
    let offered = partnership.wanted.part.as_ref();
    let of = offered.filter(|due| held.is_some() && partnership.kept.offered.as_ref() == Some(&due.hash));
    let parts = of.map(|due| (part, due.of.clone())).into_iter().collect();
    keeper::happen(tx, device, Event::PartsAdopted { enrolment, parts })?;
    Ok(())
}

/// The client says that it erases. It is about the wipe that it was told last, and counts even where that has expired meanwhile.
fn erased(tx: &mut Tx<'_>, partnership: &mut Partnership, what: WipeScope) -> Result<()> {
    let (device, enrolment) = (&mut partnership.who.device, partnership.who.enrolment);
    let told = match partnership.kept.told {
        Some(id) => tx.get::<Command>(id)?.filter(|c| scope(c) == what),
        None => None,
    };
    let Some(wipe) = told else {
        return keeper::note_unasked(tx, enrolment, Unasked::MailWipe);
    };
    let directive = match what {
        WipeScope::Device => "RemoteWipe",
        WipeScope::Account => "AccountOnlyRemoteWipe",
    };
    let force = in_force(device, enrolment, partnership.kept.holds.as_ref());
    let detail = format!("the client acknowledged {directive} with status 1; {force}");
    let outcome = Outcome::Done { kind: EvidenceKind::Acknowledged, detail };
    queue::settle(tx, device, enrolment, wipe.id, outcome)?;
    order::note_word(tx, device, enrolment, wipe.id, true)
}

/// Which policy a client held when it said that it erases: an app that has none may be no device administrator, and say so all the same.
fn in_force(device: &Device, enrolment: EnrolmentId, holds: Option<&ProvisionDoc>) -> String {
    let applied = device.enrolment(enrolment).and_then(|mine| mine.applied.get(&PartId::Document));
    let names: Vec<&str> =
        applied.filter(|part| part.held).iter().flat_map(|p| p.of.keys()).map(String::as_str).collect();
    let theirs = Foreign::of(device, enrolment).and_then(|foreign| foreign.document).is_some_and(|doc| doc.restricts());
    let theirs = theirs.then_some("the mail server's own");
    let names: Vec<&str> = names.into_iter().chain(theirs).collect();
    match holds {
        Some(holds) if holds.restricts() && names.is_empty() => "a former policy was in force there".into(),
        _ if !names.is_empty() => format!("policy in force there: {}", names.join(", ")),
        _ => "no policy was in force there, without which an app may have no right to erase the device".into(),
    }
}

/// What a client says of its device: kept for the mail server, and taken here where no stronger channel tells.
pub(super) fn learn(tx: &mut Tx<'_>, partnership: &mut Partnership, said: &DeviceInformation) -> Result<()> {
    let (enrolment, device) = (partnership.who.enrolment, &mut partnership.who.device);
    let text = serde_json::to_string(said).map_err(|e| Error::Internal(e.to_string()))?;
    keeper::happen(tx, device, Event::Noted { enrolment, name: TOLD, value: Some(text) })?;
    if device.enrolments.iter().any(|e| e.channel != Channel::Activesync) {
        return Ok(());
    }
    let (name, model, os_version) = (said.friendly_name.clone(), said.model.clone(), said.os.clone());
    let claim = Claim { name, model, os_version, ..Claim::default() };
    keeper::happen(tx, device, Event::Told(Box::new(claim)))?;
    Ok(())
}
