//! Mail clients let in or shut out many at once, by what they call themselves.

use super::access;
use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        life::{Access, Channel, Device, Enrolment, MAIL_AGENT, MAIL_TYPE},
        mail_rules::Gate,
    },
    ids::{DeviceId, EnrolmentId},
    store::{Record, Tx},
};

/// What a client is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    User,
    Type,
    Model,
    Os,
    Agent,
    State,
}

impl Field {
    const ALL: [(&'static str, Self); 6] = [
        ("user", Self::User),
        ("type", Self::Type),
        ("model", Self::Model),
        ("os", Self::Os),
        ("agent", Self::Agent),
        ("state", Self::State),
    ];

    fn of<'d>(self, device: &'d Device, client: &'d Enrolment, gate: &Gate) -> Option<&'d str> {
        let kept = |name: &str| client.channel_state.get(name).map(String::as_str);
        match self {
            Self::User => Some(&device.user),
            Self::Type => kept(MAIL_TYPE),
            Self::Model => device.model.as_deref(),
            Self::Os => device.os_version.as_deref(),
            Self::Agent => kept(MAIL_AGENT),
            Self::State => Some(Enrolment::shown(gate.state(device, client), device.life)),
        }
    }
}

/// Which clients: all of it must hold.
#[derive(Debug, Clone)]
pub struct Which(Vec<(Field, String)>);

impl Which {
    /// Of `FIELD=VALUE` each. Nothing at all would be everybody, and is refused.
    pub fn parse(conditions: &[String]) -> Result<Self> {
        let mut which = Vec::new();
        for condition in conditions {
            let (name, value) = condition.split_once('=').unwrap_or((condition, ""));
            let field = Field::ALL.iter().find(|(known, _)| *known == name.trim()).map(|(_, field)| *field);
            match field {
                Some(field) if !value.trim().is_empty() => which.push((field, value.trim().to_lowercase())),
                _ => {
                    let text = format!("{condition:?} is no FIELD=VALUE, with user, type, model, os, agent or state");
                    return Err(Error::invalid("where", text));
                }
            }
        }
        match which.is_empty() {
            true => Err(Error::invalid("where", "at least one FIELD=VALUE is needed")),
            false => Ok(Self(which)),
        }
    }

    /// The mail clients on the device that are meant.
    fn meant<'d>(&self, device: &'d Device, gate: &Gate) -> impl Iterator<Item = &'d Enrolment> {
        let live = device.live().filter(|e| e.channel == Channel::Activesync && device.removed.is_none());
        live.filter(|client| self.0.iter().all(|(field, wanted)| fits(field.of(device, client, gate), wanted)))
    }
}

/// Without case; a `*` at the end stands for any end.
fn fits(value: Option<&str>, wanted: &str) -> bool {
    let Some(value) = value.map(str::to_lowercase) else { return false };
    match wanted.strip_suffix('*') {
        Some(begin) => value.starts_with(begin),
        None => value == wanted,
    }
}

/// Those whom it concerns among the next devices.
#[derive(Debug)]
pub struct Page {
    /// As they stand now.
    pub devices: Vec<Device>,
    /// Those for which it was refused, and why.
    pub refused: Vec<(DeviceId, Error)>,
    /// Where to go on.
    pub next: Option<String>,
}

/// The clients that are meant, of `limit` devices after `after`; with `access` they are let in or shut out. One for which that is refused
/// (a wipe is under way) keeps none of the others from it.
pub fn page(
    tx: &mut Tx<'_>,
    actor: &Actor,
    which: &Which,
    access: Option<(Access, &str)>,
    (after, limit): (Option<&str>, usize),
) -> Result<Page> {
    let read = tx.scan::<Device>("", after, limit)?;
    let next = read.last().filter(|_| read.len() == limit).map(Record::key);
    let gate = Gate::load(tx)?;
    let mut page = Page { devices: Vec::new(), refused: Vec::new(), next };
    for device in read {
        let clients: Vec<EnrolmentId> = which.meant(&device, &gate).map(|client| client.id).collect();
        let mut concerned = (!clients.is_empty()).then_some(device);
        for client in clients {
            let (Some(device), Some((access, reason))) = (concerned.as_mut(), access) else { break };
            match access::set(tx, actor, &device.id.to_string(), Some(client), access, reason) {
                Ok(changed) => *device = changed.device().clone(),
                Err(fault @ (Error::Store(_) | Error::Internal(_))) => return Err(fault),
                Err(refused) => page.refused.push((device.id, refused)),
            }
        }
        page.devices.extend(concerned);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_a_known_field_and_a_value() {
        let parse = |conditions: &[&str]| Which::parse(&conditions.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(parse(&["type=iPhone", "agent = Outlook*"]).unwrap().0.len(), 2);
        for wrong in [&[][..], &["type"], &["type="], &["kind=iPhone"], &["=x"], &["type=iPhone", "oops=1"]] {
            assert!(matches!(parse(wrong), Err(Error::Invalid { field: "where", .. })), "{wrong:?}");
        }
    }

    #[test]
    fn values_are_compared_without_case_and_a_star_is_any_end() {
        for (value, wanted, fit) in [
            (Some("iPhone"), "iphone", true),
            (Some("iPhone14"), "iphone", false),
            (Some("iPhone14"), "iphone*", true),
            (Some(""), "*", true),
            (None, "*", false),
        ] {
            assert_eq!(fits(value, wanted), fit, "{value:?} {wanted}");
        }
    }
}
