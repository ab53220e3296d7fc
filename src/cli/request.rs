//! What waits for a second person, in words: what it would do and to whose devices, why it waits, and who may decide. Nobody decides on ids.

use super::{
    Failure,
    client::{Client, encode},
    print::{Screen, visible},
};
use crate::documents::{
    admins::AdminView,
    breaker::{ApprovalView, Stage, StopView},
    commands::{Action, CommandView, Scope, State},
    devices::DeviceView,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Devices that are named one by one.
pub(super) const NAMED: usize = 20;

/// Who may approve it now.
pub(super) async fn deciders(client: &Client, approval: &str) -> Result<Vec<String>, Failure> {
    let people = client.list::<AdminView>(&format!("admins?may_approve={}", encode(approval))).await?;
    Ok(people.into_iter().map(|person| person.name).collect())
}

/// Who may approve, in words.
pub(super) fn named(deciders: &[String]) -> String {
    match deciders {
        [] => "nobody: a second administrator is needed, who counts".into(),
        names => names.iter().map(|name| visible(name)).collect::<Vec<_>>().join(", "),
    }
}

/// The same without having read the request: who reads it may approve it.
pub(super) async fn unread(client: &Client, id: &str) -> Result<ApprovalView, Failure> {
    Ok(client.read::<ApprovalView>(&format!("approvals/{}?unread=true", encode(id))).await?.said)
}

/// A request, and what is needed to tell of it.
pub(super) struct Request {
    approval: ApprovalView,
    /// What it holds, or what would leave by it.
    commands: Vec<CommandView>,
    /// Those that are named, by id.
    devices: BTreeMap<String, DeviceView>,
    deciders: Vec<String>,
    stopped: bool,
}

impl Request {
    /// Gathers it.
    pub(super) async fn of(client: &Client, approval: ApprovalView) -> Result<Self, Failure> {
        let waits = approval.state == Stage::Waiting;
        let commands = match &*approval.subject {
            "commands" => client.list(&format!("commands?approval={}", encode(&approval.id))).await?,
            "stop.off" if waits => {
                let mut queued = client.list::<CommandView>("commands?state=queued").await?;
                queued.retain(|command| kind(command).is_some());
                queued
            }
            _ => Vec::new(),
        };
        let mut wanted = BTreeSet::new();
        for (_, commands) in by_kind(&commands, |_| true) {
            wanted.extend(commands.iter().take(NAMED).map(|command| command.device.clone()));
        }
        let devices = client.devices(wanted).await;
        let deciders = if waits { deciders(client, &approval.id).await? } else { Vec::new() };
        let stopped = waits && client.read::<StopView>("stop").await?.said.on;
        Ok(Self { approval, commands, devices, deciders, stopped })
    }

    /// What it is about, why it waits and who may decide.
    pub(super) fn words(&self, screen: &Screen) -> String {
        screen.fitted(&self.lines(NAMED, screen).join("\n"))
    }

    /// The same under its id as it is shown, and no more than so many devices of each kind by name.
    pub(super) fn under(&self, id: &str, named: usize, screen: &Screen) -> String {
        let lines = self.lines(named, screen).join("\n  ");
        screen.fitted(&format!("{id}  {lines}"))
    }

    /// Which it is.
    pub(super) fn id(&self) -> &str {
        &self.approval.id
    }

    fn lines(&self, named_one_by_one: usize, screen: &Screen) -> Vec<String> {
        let mut lines = self.asked(named_one_by_one, screen);
        let Self { approval, deciders, .. } = self;
        let commands = &*approval.subject == "commands";
        if approval.state == Stage::Waiting {
            let held = if commands { format!("held: {}; ", visible(&approval.detail)) } else { String::new() };
            let stopped = if commands && self.stopped { " (once the emergency stop is lifted)" } else { "" };
            lines.push(format!("{held}may approve: {}{stopped}", named(deciders)));
        } else {
            let by = approval.decided_by.as_deref().map(|by| format!(" by {}", visible(by))).unwrap_or_default();
            let held = if commands { format!("; it was held: {}", visible(&approval.detail)) } else { String::new() };
            lines.push(format!("{}{by}{held}", state(approval.state)));
        }
        lines
    }

    fn asked(&self, most: usize, screen: &Screen) -> Vec<String> {
        let Self { approval, .. } = self;
        let asks = if approval.state == Stage::Waiting { "asks" } else { "asked" };
        let who = format!("{} {asks}", visible(&approval.requested_by));
        let when = screen.moment(approval.created.0);
        match &*approval.subject {
            "commands" => {
                let held = |c: &CommandView| approval.state != Stage::Waiting || c.state == State::Held;
                let mut lines = self.acts(&format!("{who} to"), most, held, screen);
                let gone = self.commands.iter().filter(|command| !held(command)).count();
                if gone > 0 {
                    lines.push(format!("({gone} more of it have ended or gone already)"));
                }
                if lines.is_empty() {
                    lines.push(format!("{who} for nothing that is left ({when})"));
                }
                lines
            }
            "stop.off" => {
                let mut lines = vec![format!("{who} to LIFT THE EMERGENCY STOP ({when})")];
                lines.extend(self.acts("it lets go", most, |_| true, screen));
                lines
            }
            "admin.remove" => vec![format!("{who} to {} ({when})", visible(&approval.detail))],
            _ => vec![format!("{who} ({when}): {}", visible(&approval.detail))],
        }
    }

    /// A paragraph for each kind of act; what is one alone stands on one line.
    fn acts(&self, begin: &str, most: usize, which: impl Fn(&CommandView) -> bool, screen: &Screen) -> Vec<String> {
        let mut lines = Vec::new();
        for (kind, commands) in by_kind(&self.commands, which) {
            let head = format!("{begin} {kind} {}:", commands.len());
            if let [one] = commands.as_slice() {
                lines.push(format!("{head} {}", self.item(one, screen)));
                continue;
            }
            lines.push(head);
            lines.extend(commands.iter().take(most).map(|command| format!("  {}", self.item(command, screen))));
            if let Some(more) = commands.len().checked_sub(most).filter(|more| *more > 0) {
                lines.push(format!("  and {more} more"));
            }
        }
        lines
    }

    fn item(&self, command: &CommandView, screen: &Screen) -> String {
        let device = self.devices.get(&command.device);
        let whose = device.map_or_else(|| format!("device {}", command.device), |device| called(device, screen));
        let reason = command.reason.as_ref().map(|reason| format!(", reason '{}'", visible(reason)));
        let how =
            command.erasing.as_ref().and_then(|erasing| serde_json::to_value(erasing).ok()).map(|how| erasing(&how));
        format!("{whose}{}{}", reason.unwrap_or_default(), how.unwrap_or_default())
    }
}

/// How it would be erased, where something was said of that.
fn erasing(how: &Value) -> String {
    let told = how.as_object().into_iter().flatten().filter_map(|(name, value)| match value {
        Value::Bool(true) => Some(name.replace('_', " ")),
        Value::String(text) => Some(format!("{name} {}", visible(text))),
        _ => None,
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { String::new() } else { format!(", {}", told.join(", ")) }
}

/// A device as people know it: whose, what it is called, when it was last heard.
pub(super) fn called(device: &DeviceView, screen: &Screen) -> String {
    let user = device.user.as_deref().unwrap_or("nobody in particular");
    let name = [&device.name, &device.model, &device.serial].into_iter().flatten().find(|text| !text.is_empty());
    let name = name.map_or_else(|| format!("device {}", device.id), |name| visible(name));
    let seen = device.last_seen.map_or_else(|| "never seen".into(), |at| format!("last seen {}", screen.moment(at.0)));
    format!("{}, {name}, {seen}", visible(user))
}

/// What is done by it, where that is guarded: the loud words are those that destroy.
pub(super) fn kind(command: &CommandView) -> Option<&'static str> {
    match (command.action, command.scope) {
        (Action::Wipe, Some(Scope::Full)) => Some("ERASE"),
        (Action::Wipe, _) => Some("RETIRE"),
        (Action::Lock, _) => Some("lock"),
        (Action::ClearPasscode, _) => Some("clear the passcode of"),
        _ => None,
    }
}

/// The worst kind first.
fn by_kind(commands: &[CommandView], which: impl Fn(&CommandView) -> bool) -> Vec<(&'static str, Vec<&CommandView>)> {
    let of = |wanted: &'static str| {
        let found: Vec<&CommandView> = commands.iter().filter(|c| kind(c) == Some(wanted) && which(c)).collect();
        (wanted, found)
    };
    let kinds = ["ERASE", "RETIRE", "lock", "clear the passcode of"].into_iter().map(of);
    kinds.filter(|(_, found)| !found.is_empty()).collect()
}

fn state(stage: Stage) -> &'static str {
    match stage {
        Stage::Waiting => "waiting",
        Stage::Approved => "approved",
        Stage::Rejected => "rejected",
        Stage::Expired => "expired",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        cli::print::tests::{golden, pipe, strange_devices, terminal},
        documents::{At, commands::sample},
    };
    use serde_json::json;

    /// The strange devices, of which the first two are to be locked and retired, the others erased.
    pub(in crate::cli) fn of_commands(count: usize, stage: Stage, stopped: bool, deciders: &[&str]) -> Request {
        let devices: Vec<DeviceView> = strange_devices().into_iter().map(whole).collect();
        let command = |at: usize| {
            let device = &devices[at % devices.len()];
            let (action, scope) = match at {
                1 => (Action::Lock, None),
                2 => (Action::Wipe, Some(Scope::Selective)),
                _ => (Action::Wipe, Some(Scope::Full)),
            };
            let reason = Some(if at == 5 { "\u{202e}tsol".into() } else { "lost".to_string() });
            CommandView {
                id: at.to_string(),
                device: device.id.clone(),
                action,
                scope,
                state: State::Held,
                reason,
                ..sample()
            }
        };
        let commands: Vec<CommandView> = (0..count).map(command).collect();
        Request {
            approval: approval("commands", stage, "the emergency stop is on"),
            commands,
            devices: devices.into_iter().map(|device| (device.id.clone(), device)).collect(),
            deciders: deciders.iter().map(ToString::to_string).collect(),
            stopped,
        }
    }

    pub(in crate::cli) fn whole(mut row: Value) -> DeviceView {
        let more = json!({"ownership": "corporate", "os_version": null, "facts": {}, "enrolments": [], "problems": [], "events": []});
        let fields = row.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        serde_json::from_value(row).unwrap()
    }

    fn approval(subject: &'static str, state: Stage, detail: &str) -> ApprovalView {
        ApprovalView {
            id: "019d1a2b-3c4d-7001-8a00-0123456789ab".into(),
            revision: 2,
            state,
            subject: subject.into(),
            requested_by: "alice".into(),
            decided_by: (state != Stage::Waiting).then(|| "bob".into()),
            commands: Vec::new(),
            detail: detail.into(),
            created: At(terminal(80).now.minus(std::time::Duration::from_secs(180))),
        }
    }

    #[test]
    fn a_request_says_what_it_would_do_to_whose_devices() {
        let words = |request: &Request, screen: &Screen| request.words(screen) + "\n";
        for width in [80, 200] {
            let many = words(&of_commands(40, Stage::Waiting, true, &["bob", "田中"]), &terminal(width));
            golden(&format!("request_{width}.txt"), &many);
        }
        let one = words(&of_commands(1, Stage::Waiting, false, &[]), &pipe());
        let seen = one.split_once("last seen ").unwrap().1.split(',').next().unwrap();
        let expected = format!(
            "alice asks to ERASE 1: ann@example.org, iPhone 07E6, last seen {seen}, reason 'lost'\nheld: the emergency stop is on; \
             may approve: nobody: a second administrator is needed, who counts\n"
        );
        assert_eq!(one, expected);
        let decided = words(&of_commands(1, Stage::Approved, false, &[]), &terminal(200));
        assert!(decided.ends_with("approved by bob; it was held: the emergency stop is on\n"), "{decided}");
        let mut gone = of_commands(2, Stage::Waiting, false, &["bob"]);
        gone.commands[0].state = State::Cancelled;
        let gone = words(&gone, &terminal(200));
        assert!(gone.contains("asks to lock 1: ") && gone.contains("(1 more of it have ended"), "{gone}");
    }

    #[test]
    fn a_request_to_lift_the_stop_says_what_leaves_then() {
        let stop = Request {
            approval: approval("stop.off", Stage::Waiting, "lift the emergency stop"),
            ..of_commands(1, Stage::Waiting, true, &["bob"])
        };
        let words = stop.words(&terminal(200));
        assert!(
            words.starts_with("alice asks to LIFT THE EMERGENCY STOP (3 min ago)\nit lets go ERASE 1: ann@example.org"),
            "{words}"
        );
        assert!(words.ends_with("\nmay approve: bob"), "nothing else must be lifted first: {words}");
        let remove = approval("admin.remove", Stage::Waiting, "remove the administrator eve\u{202e}");
        let words = Request { approval: remove, commands: Vec::new(), ..stop }.words(&pipe());
        assert!(words.starts_with("alice asks to remove the administrator eve\\u{202e} ("), "{words}");
    }
}
