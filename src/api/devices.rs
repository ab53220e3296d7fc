//! Devices: looking at them, and what administrators do to them.

use super::{
    call::Call,
    route::{Route, delete, get, patch, post},
};
use crate::{
    channel,
    clock::parse_duration,
    documents::{
        Empty, Page,
        breaker::ApprovalView,
        commands::CommandView,
        devices::{
            ConcernedView, DeviceView, Door, LockBody, Platform, RefusedView, RenameBody, SetAnswer, SetBody,
            WhereBody, WhichBody, WipeBody,
        },
    },
    error::{Error, Result},
    fleet::{
        enrol::{
            self,
            access::{self},
            many::{self, Which},
        },
        keeper,
        life::{Access, Act, Command, Device, Erasing, Obliteration, STATES, Scope},
        mail_rules::Gate,
        owners::{self, Set},
        policies::{self, Assigned, rollout},
        queue::{self},
        registry::lookup,
        wipe::{self, Screen},
    },
    ids::EnrolmentId,
    store::Tx,
};
use serde::Deserialize as _;
use std::time::Duration;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/devices", "All devices", list)
            .paged()
            .query(&[
                ("expiring", "only those with a certificate that ends within this, such as 60d"),
                ("state", "only those in this state"),
                ("user", "only those of this user"),
                ("platform", "only those of this platform"),
                ("removed", "true: those too whose record was removed"),
            ])
            .beside(),
        get("/api/v1/devices/{id}", "A device, by id or by any name that fits one alone", show)
            .query(&[("removed", "true: by its id also one whose record was removed")]),
        post("/api/v1/devices/where", "Let the mail of many in, or shut it out; only shown unless applied", many)
            .ok()
            .query(&[("after", "`next` of the page before"), ("limit", "how many devices are looked at, 1 to 1000")]),
        patch("/api/v1/devices/{id}", "Say whose it is, or give a shared one to a person", set),
        delete("/api/v1/devices/{id}", "Remove the record of one that has ended; it is back once it is heard", remove),
        post("/api/v1/devices/{id}/wipe", "Ask for a wipe; over a limit it is held for a second person", wipe),
        post("/api/v1/devices/{id}/lock", "Lock the screen", lock),
        post("/api/v1/devices/{id}/clear-passcode", "Remove the passcode", clear_passcode),
        post("/api/v1/devices/{id}/restart", "Restart", restart),
        post(
            "/api/v1/devices/{id}/sync",
            "Ask the device what it is and how it stands, read back what is set, and try again what it refused",
            sync,
        ),
        post("/api/v1/devices/{id}/rename", "Give it a name: a Mac, or an Apple device that is supervised", rename),
        post("/api/v1/devices/{id}/allow", "Let its mail in; frees one that was blocked, retired or wiped", allow).ok(),
        post("/api/v1/devices/{id}/block", "Shut its mail out", block).ok(),
        post("/api/v1/devices/{id}/quarantine", "Let its mail wait", quarantine).ok(),
        post("/api/v1/devices/{id}/revoke", "End its certificates and nothing else; it must enrol anew", revoke).ok(),
    ]
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<DeviceView>> {
    let (after, limit) = call.page()?;
    let within = call.query.get("expiring").map(|text| span("expiring", text)).transpose()?;
    let devices = tx.scan::<Device>("", after, limit)?;
    let next = devices.last().filter(|_| devices.len() == limit).map(|d| d.id.to_string());
    let (assigned, gate) = (Assigned::load(tx)?, Gate::load(tx)?);
    let platform = call.query.get("platform").map(|text| platform(text)).transpose()?;
    let state = call.query.get("state").map(|text| one_of("state", text, &STATES)).transpose()?;
    let (removed, user) = (removed_too(call)?, call.query.get("user").map(|user| user.trim().to_lowercase()));
    let shown = devices.into_iter().filter(|device| {
        (removed || device.removed.is_none())
            && platform.is_none_or(|platform| device.platform == platform)
            && state.is_none_or(|state| device.state_with(|e| gate.state(device, e)) == state)
            && user.as_ref().is_none_or(|user| device.user.to_lowercase() == *user)
    });
    let wanted = shown.filter(|device| within.is_none_or(|within| ends_within(tx, device, within)));
    Ok(Page { items: DeviceView::all(tx, &wanted.collect::<Vec<_>>(), &assigned)?, next })
}

fn removed_too(call: &Call) -> Result<bool> {
    match call.query.get("removed").map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Error::invalid("removed", "true or false is needed")),
    }
}

/// Of a device whose record was removed: that it was there, and where the rest is told.
fn what_it_was(device: &Device) -> String {
    let name = [&device.name, &device.model, &device.serial].into_iter().flatten().find(|text| !text.is_empty());
    let name = name.map_or("a device", String::as_str);
    let user = if device.user.is_empty() { "nobody in particular" } else { &device.user };
    let (platform, state, id) = (device.platform.as_str(), device.state(), device.id);
    let when = device.removed.map(|at| format!(" on {at}")).unwrap_or_default();
    format!(
        "the record of {id} was removed{when}: it was {name} of {user} ({platform}, {state}); what was done is still told (lanyard commands \
         list --device {id}, lanyard audit list --device {id})"
    )
}

fn platform(text: &str) -> Result<Platform> {
    let word = one_of("platform", text, &Platform::ALL.map(Platform::as_str))?;
    let read = Platform::deserialize(serde_json::Value::from(word));
    read.map_err(|e| Error::Internal(e.to_string()))
}

/// A word that is one of these.
pub(super) fn one_of<'a>(field: &'static str, text: &'a str, words: &[&str]) -> Result<&'a str> {
    match words.contains(&text) {
        true => Ok(text),
        false => Err(Error::invalid(field, format!("{text:?} is none of {}", words.join(", ")))),
    }
}

/// Lets mail clients in or shuts them out by what they call themselves, a page of devices at a time.
fn many(tx: &mut Tx<'_>, call: &Call, body: WhereBody) -> Result<ConcernedView> {
    let (which, reason) = (Which::parse(&body.which)?, reason(body.reason)?);
    let access = match body.access {
        Door::Allow => Access::Allow,
        Door::Block => Access::Block,
    };
    let page = many::page(tx, &call.actor, &which, body.apply.then_some((access, reason.as_str())), call.page()?)?;
    let refused = page.refused.into_iter().map(|(id, error)| {
        let code =
            if let Error::Refused { code, .. } | Error::Forbidden { code, .. } = error { code } else { "invalid" };
        RefusedView { id: id.to_string(), code: code.into(), text: error.to_string() }
    });
    let refused = refused.collect();
    let assigned = Assigned::load(tx)?;
    Ok(ConcernedView { items: DeviceView::all(tx, &page.devices, &assigned)?, refused, next: page.next })
}

/// Whether a certificate that still binds ends soon, or has ended.
fn ends_within(tx: &Tx<'_>, device: &Device, within: Duration) -> bool {
    let until = tx.now().plus(within);
    device.live().filter_map(|e| e.certificate.as_ref()).any(|c| c.not_after <= until)
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<DeviceView> {
    let (wanted, with_removed) = (call.named("id")?, removed_too(call)?);
    let device = match lookup::device(tx, wanted) {
        Err(error @ Error::NotFound { .. }) => match lookup::removed(tx, wanted)? {
            Some(device) if with_removed => device,
            Some(device) => return Err(Error::Removed(what_it_was(&device))),
            None => return Err(error),
        },
        device => device?,
    };
    let assigned = Assigned::load(tx)?;
    DeviceView::of(tx, &device, &assigned)
}

fn set(tx: &mut Tx<'_>, call: &Call, body: SetBody) -> Result<SetAnswer> {
    let id = lookup::device(tx, call.named("id")?)?.id;
    if let Some(user) = body.user {
        owners::give(tx, &call.actor, &id.to_string(), &user)?;
    }
    if let Some(ownership) = body.ownership {
        if let Set::Waits(approval) = owners::own(tx, &call.actor, &id.to_string(), ownership)? {
            return Ok(SetAnswer::Approval(ApprovalView::of(tx, &approval)?));
        }
        // What is asked of it by policy goes by whose it is.
        rollout::nudge(tx, id)?;
    }
    let (device, assigned) = (lookup::by_id(tx, id)?, Assigned::load(tx)?);
    Ok(SetAnswer::Device(Box::new(DeviceView::of(tx, &device, &assigned)?)))
}

fn remove(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<DeviceView> {
    let device = owners::remove(tx, &call.actor, call.named("id")?)?;
    let assigned = Assigned::load(tx)?;
    DeviceView::of(tx, &device, &assigned)
}

fn wipe(tx: &mut Tx<'_>, call: &Call, body: WipeBody) -> Result<CommandView> {
    let device = lookup::device(tx, call.named("id")?)?;
    let pin = match body.scope {
        Scope::Full => pin(tx, call, &device, body.pin)?,
        Scope::Selective if body.pin.is_some() => {
            return Err(Error::invalid("pin", "only a full wipe of a Mac takes one"));
        }
        Scope::Selective => None,
    };
    let delay = body.delay.map(|text| span("delay", &text)).transpose()?;
    let expires = body.expires.map(|text| span("expires", &text)).transpose()?;
    let how = Erasing {
        preserve_data_plan: body.preserve_data_plan,
        return_to_service: body.return_to_service,
        obliteration: body.obliteration.map(|text| obliteration(&text)).transpose()?,
    };
    let request = wipe::Request { scope: body.scope, reason: body.reason, pin, how, delay, expires };
    let command = wipe::ask(tx, &call.actor, &device.id.to_string(), request, &channel::support)?;
    CommandView::of(tx, call, &command)
}

fn obliteration(text: &str) -> Result<Obliteration> {
    let unknown = || Error::invalid("obliteration", format!("{text:?} is none of {}", Obliteration::names()));
    Obliteration::parse(text).ok_or_else(unknown)
}

/// A Mac's six digits, sealed.
fn pin(tx: &mut Tx<'_>, call: &Call, device: &Device, given: Option<String>) -> Result<Option<String>> {
    if !wipe::needs_pin(device.platform) {
        return match given {
            Some(_) => Err(Error::invalid("pin", "only a Mac takes one")),
            None => Ok(None),
        };
    }
    let digits = match given {
        Some(pin) if pin.len() == 6 && pin.bytes().all(|b| b.is_ascii_digit()) => pin,
        Some(_) => return Err(Error::invalid("pin", "six digits are needed")),
        // The bias of the remainder (2^32 is no multiple of a million) is 1 in 4000: of no use to a thief with six tries.
        None => format!("{:06}", u32::from_be_bytes(tx.random()) % 1_000_000),
    };
    Ok(Some(call.server.seal(queue::PIN, digits.as_bytes())?))
}

fn lock(tx: &mut Tx<'_>, call: &Call, body: LockBody) -> Result<CommandView> {
    let device = lookup::device(tx, call.named("id")?)?;
    let pin = pin(tx, call, &device, body.pin)?;
    let reason = reason(body.reason)?;
    let (message, phone) = (shown("message", body.message, 500)?, shown("phone", body.phone, 64)?);
    let screen = Screen { pin, message, phone };
    let command = wipe::ask_lock(tx, &call.actor, &device.id.to_string(), &reason, screen, &channel::support)?;
    CommandView::of(tx, call, &command)
}

/// A line for a locked screen.
fn shown(field: &'static str, given: Option<String>, most: usize) -> Result<Option<String>> {
    let line = given.map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
    match line {
        Some(text) if text.len() > most || text.chars().any(|c| c.is_control() && c != '\n') => {
            Err(Error::invalid(field, format!("at most {most} bytes and no control characters")))
        }
        line => Ok(line),
    }
}

fn clear_passcode(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<CommandView> {
    let command = wipe::ask_clear_passcode(tx, &call.actor, call.named("id")?, &channel::support)?;
    CommandView::of(tx, call, &command)
}

fn restart(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<CommandView> {
    ask(tx, call, Act::Restart)
}

fn sync(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<CommandView> {
    let asked = ask(tx, call, Act::Refresh)?;
    let mut device = keeper::find(tx, call.named("id")?)?;
    policies::look_again(tx, &mut device)?;
    Ok(asked)
}

fn rename(tx: &mut Tx<'_>, call: &Call, body: RenameBody) -> Result<CommandView> {
    ask(tx, call, Act::Rename { name: name(&body.name)? })
}

fn ask(tx: &mut Tx<'_>, call: &Call, act: Act) -> Result<CommandView> {
    let mut device = keeper::find(tx, call.named("id")?)?;
    let command: Command = queue::ask(tx, &call.actor, &mut device, act, &channel::support)?;
    CommandView::of(tx, call, &command)
}

fn allow(tx: &mut Tx<'_>, call: &Call, body: WhichBody) -> Result<DeviceView> {
    set_access(tx, call, body, Access::Allow)
}

fn block(tx: &mut Tx<'_>, call: &Call, body: WhichBody) -> Result<DeviceView> {
    set_access(tx, call, body, Access::Block)
}

fn quarantine(tx: &mut Tx<'_>, call: &Call, body: WhichBody) -> Result<DeviceView> {
    set_access(tx, call, body, Access::Quarantine)
}

fn set_access(tx: &mut Tx<'_>, call: &Call, body: WhichBody, wanted: Access) -> Result<DeviceView> {
    let reason = reason(body.reason)?;
    let only = enrolment(body.enrolment)?;
    let device = access::set(tx, &call.actor, call.named("id")?, only, wanted, &reason)?;
    let assigned = Assigned::load(tx)?;
    DeviceView::of(tx, &device, &assigned)
}

fn revoke(tx: &mut Tx<'_>, call: &Call, body: WhichBody) -> Result<DeviceView> {
    let device = lookup::device(tx, call.named("id")?)?;
    let (reason, only) = (reason(body.reason)?, enrolment(body.enrolment)?);
    wipe::count_act(tx, &call.actor)?;
    let device = enrol::revoke(tx, &call.actor.id, device.id, only, &reason)?;
    let assigned = Assigned::load(tx)?;
    DeviceView::of(tx, &device, &assigned)
}

fn enrolment(given: Option<String>) -> Result<Option<EnrolmentId>> {
    let id = |text: String| text.parse().map_err(|_| Error::not_found("enrolment", text));
    given.map(id).transpose()
}

fn reason(given: Option<String>) -> Result<String> {
    let reason = given.unwrap_or_default();
    if reason.len() > 1000 {
        return Err(Error::invalid("reason", "at most 1000 bytes"));
    }
    Ok(reason.trim().to_string())
}

/// What a device can be called.
fn name(given: &str) -> Result<String> {
    let name = given.trim();
    if !(1..=63).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", "1 to 63 characters, no control characters"));
    }
    Ok(name.to_string())
}

pub(super) fn span(field: &'static str, text: &str) -> Result<Duration> {
    parse_duration(text).map_err(|e| Error::invalid(field, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many words the API's description of this type has.
    fn described<T: schemars::JsonSchema>() -> usize {
        let schema = serde_json::to_value(schemars::schema_for!(T)).unwrap();
        let words =
            |part: &serde_json::Value| part["enum"].as_array().map_or(usize::from(!part["const"].is_null()), Vec::len);
        words(&schema) + schema["oneOf"].as_array().into_iter().flatten().map(words).sum::<usize>()
    }

    #[test]
    fn filters_know_every_word() {
        use crate::fleet::life::{Action, State};
        assert_eq!(described::<Platform>(), Platform::ALL.len());
        assert_eq!(described::<State>(), State::ALL.len());
        assert_eq!(described::<Action>(), Action::ALL.len());
        let read = |word: &str| serde_json::Value::from(word);
        for platform in Platform::ALL {
            assert_eq!(Platform::deserialize(read(platform.as_str())).unwrap(), platform);
        }
        for state in State::ALL {
            assert_eq!(State::deserialize(read(state.as_str())).unwrap(), state);
        }
        for action in Action::ALL {
            assert_eq!(Action::deserialize(read(action.as_str())).unwrap(), action);
        }
    }

    #[test]
    fn a_name_is_of_1_to_63_characters_without_its_outer_blanks() {
        let (most, more) = ("ü".repeat(63), "ü".repeat(64));
        for (given, want) in [
            ("Ward 3", Some("Ward 3")),
            (" \tWard 3\n", Some("Ward 3")),
            ("3", Some("3")),
            (most.as_str(), Some(most.as_str())),
            (&format!(" {most} "), Some(most.as_str())),
            (more.as_str(), None),
            ("", None),
            (" \n", None),
            ("Ward\n3", None),
            ("Ward\u{7f}3", None),
            ("Ward\u{85}3", None),
        ] {
            let got = name(given);
            assert_eq!(got.as_deref().ok(), want, "{given:?}");
            assert!(want.is_some() || matches!(got, Err(Error::Invalid { field: "name", .. })), "{given:?}");
        }
    }
}
