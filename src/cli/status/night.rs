//! What the screen of `lanyard status` shows, and how: a function of what was gathered and of the screen.

use crate::{
    cli::{
        Failure,
        client::{Client, encode},
        print::{Screen, Table, shorten, visible},
        request::{Request, kind, unread},
    },
    documents::{admins::AdminView, breaker::StopView, commands::CommandView, devices::DeviceView},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Open wipes and requests that are shown one by one.
const SHOWN: usize = 20;
/// Devices of a request that are named: `approvals show` names more.
const NAMED: usize = 5;

/// All of it, at one moment.
pub(super) struct Night {
    stop: StopView,
    requests: Vec<Request>,
    /// How many requests wait.
    waiting: usize,
    wipes: Vec<CommandView>,
    /// How many wipes are open.
    open: usize,
    devices: BTreeMap<String, DeviceView>,
    /// What is wrong, worst first; what ends.
    wrong: Vec<Value>,
    ends: Vec<Value>,
    people: Vec<AdminView>,
}

/// Where a line of the list is shown.
#[derive(PartialEq, Eq)]
enum Section {
    Request,
    Wipe,
    Ends,
    Wrong,
}

fn section(line: &Value) -> Section {
    match line.get("code").and_then(Value::as_str).unwrap_or_default() {
        "approval_waits" | "approval_stuck" => Section::Request,
        "wipe_waits" | "wipe_untold" | "wipe_unanswered" | "wipe_contradicted" => Section::Wipe,
        code if code.ends_with("_ends") || matches!(code, "setting_pending" | "first_hour") => Section::Ends,
        _ => Section::Wrong,
    }
}

impl Night {
    /// What belongs to the list of what is wrong. What is gone when it is asked for is left out.
    pub(super) async fn gather(client: &Client, list: Vec<Value>) -> Result<Self, Failure> {
        let subjects = |of: Section| {
            let of = list.iter().filter(move |line| section(line) == of);
            of.filter_map(|line| line.get("subject").and_then(Value::as_str)).collect::<Vec<_>>()
        };
        let (asked, wiped) = (subjects(Section::Request), subjects(Section::Wipe));
        let (mut requests, mut wipes) = (Vec::new(), Vec::new());
        for id in asked.iter().take(SHOWN) {
            if let Some(approval) = there(unread(client, id).await)? {
                requests.extend(there(Request::of(client, approval).await)?);
            }
        }
        for id in wiped.iter().take(SHOWN) {
            let command = client.read::<CommandView>(&format!("commands/{}", encode(id))).await;
            wipes.extend(there(command)?.map(|answer| answer.said));
        }
        let devices = client.devices(wipes.iter().map(|wipe| wipe.device.clone()).collect()).await;
        let (waiting, open) = (asked.len(), wiped.len());
        let stop = client.read::<StopView>("stop").await?.said;
        let people = client.list::<AdminView>("admins").await?;
        // What nobody may decide, and what was contradicted, is wrong besides.
        let worse = |line: &Value| line.get("severity").and_then(Value::as_str) == Some("error");
        let wrong = |line: &Value| match section(line) {
            Section::Wrong => true,
            Section::Request | Section::Wipe => worse(line),
            Section::Ends => false,
        };
        let (mut ends, mut rest) = (list.clone(), list.clone());
        ends.retain(|line| section(line) == Section::Ends);
        rest.retain(wrong);
        Ok(Self { stop, requests, waiting, wipes, open, devices, wrong: rest, ends, people })
    }

    pub(super) fn print(&self, screen: &Screen) -> String {
        let parts = [
            self.stop(screen),
            self.requests(screen),
            self.wipes(screen),
            list(
                "WRONG NOW",
                &self.wrong,
                &["severity", "code", "text", "subject", "since"],
                &["since", "subject"],
                screen,
            ),
            list(
                "ENDS WITHIN 90 DAYS",
                &self.ends,
                &["severity", "code", "text", "subject", "until"],
                &["subject"],
                screen,
            ),
            self.people(screen),
        ];
        parts.join("\n")
    }

    fn stop(&self, screen: &Screen) -> String {
        let StopView { on, since, by, .. } = &self.stop;
        if !on {
            return format!("{}\n", title("EMERGENCY STOP: off", screen));
        }
        let since = since.map(|since| format!(" since {}", screen.moment(since.0))).unwrap_or_default();
        let by = visible(by.as_deref().unwrap_or("nobody known"));
        let text = screen.fitted(&format!("EMERGENCY STOP: ON{since}, set by {by}; no wipe, retire or lock leaves"));
        format!("{}\n", alarm(&text, screen))
    }

    fn requests(&self, screen: &Screen) -> String {
        let mut text = head("WAITS FOR A SECOND PERSON", self.waiting, screen);
        let mut ids: Vec<String> = self.requests.iter().map(|request| request.id().to_string()).collect();
        if screen.terminal {
            shorten(&mut ids);
        }
        for (request, id) in self.requests.iter().zip(&ids) {
            text.push_str(&format!("{}\n", request.under(id, NAMED, screen)));
        }
        text + &more(self.waiting, self.requests.len(), "lanyard approvals list")
    }

    fn wipes(&self, screen: &Screen) -> String {
        let rows: Vec<Value> = self.wipes.iter().map(|wipe| self.wipe(wipe, screen)).collect();
        let (columns, spare) =
            (["id", "what", "user", "name", "state", "last_seen", "detail"], ["id", "last_seen", "state"]);
        let table = Table { rows: &rows, columns: &columns, spare: &spare, beside: &[] };
        let text = if rows.is_empty() { String::new() } else { table.print(screen) };
        head("OPEN WIPES", self.open, screen)
            + &text
            + &more(self.open, rows.len(), "lanyard commands list --action wipe")
    }

    fn wipe(&self, wipe: &CommandView, screen: &Screen) -> Value {
        let device = self.devices.get(&wipe.device);
        let name = device.and_then(|d| [&d.name, &d.model, &d.serial].into_iter().flatten().next());
        let at = |word: &str, at: crate::documents::At| format!("{word} {}", screen.moment(at.0));
        let until = [
            wipe.leaves_at.map(|leaves| at("leaves", leaves)),
            wipe.sent.map(|sent| at("sent", sent)),
            wipe.expected_by.map(|by| at("to be heard", by)),
            wipe.expires.map(|ends| at("expires", ends)),
        ];
        let mut detail: Vec<String> = until.into_iter().flatten().collect();
        if self.stop.on && wipe.sent.is_none() {
            detail.insert(0, "the stop holds it back".into());
        } else if detail.is_empty() {
            detail.push("waits until it is heard".into());
        }
        json!({
            "id": wipe.id, "user": device.and_then(|d| d.user.as_ref()), "name": name, "what": kind(wipe), "state": wipe.state,
            "last_seen": device.and_then(|d| d.last_seen), "detail": detail.join(", "),
        })
    }

    fn people(&self, screen: &Screen) -> String {
        let name = |person: &AdminView| visible(&person.name);
        let (count, new): (Vec<_>, Vec<_>) = self.people.iter().partition(|person| person.counts_from.0 <= screen.now);
        let names = count.into_iter().map(name).collect::<Vec<_>>();
        let names = if names.is_empty() { "nobody".into() } else { names.join(", ") };
        let mut text = format!("CAN APPROVE NOW, what others asked for: {names}");
        let new = new.into_iter().map(|p| format!("{} counts from {}", name(p), screen.moment(p.counts_from.0)));
        let new: Vec<String> = new.collect();
        if !new.is_empty() {
            text.push_str(&format!(" (new here: {})", new.join(", ")));
        }
        format!("{}\n", screen.fitted(&text))
    }
}

/// What is gone meanwhile is no failure of the whole screen; a server that is away is one.
fn there<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Failed(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn list(name: &str, rows: &[Value], columns: &[&str], spare: &[&str], screen: &Screen) -> String {
    let table = Table { rows, columns, spare, beside: &[] };
    head(name, rows.len(), screen) + &if rows.is_empty() { String::new() } else { table.print(screen) }
}

fn head(name: &str, count: usize, screen: &Screen) -> String {
    let text = if count == 0 { format!("{name}: nothing") } else { format!("{name}: {count}") };
    title(&text, screen) + "\n"
}

fn title(text: &str, screen: &Screen) -> String {
    screen.painted("head", text, text)
}

fn alarm(text: &str, screen: &Screen) -> String {
    screen.painted("severity", "error", text)
}

fn more(all: usize, shown: usize, verb: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        more => format!("and {more} more ({verb})\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{
            print::tests::{golden, pipe, strange_devices, terminal},
            request::tests::{of_commands, whole},
        },
        documents::{
            At,
            breaker::Stage,
            commands::{Scope, State, sample},
        },
    };
    use std::time::Duration;

    fn at(hours: i64) -> At {
        let (now, by) = (pipe().now, Duration::from_secs(3600 * hours.unsigned_abs()));
        At(if hours < 0 { now.minus(by) } else { now.plus(by) })
    }

    fn line(severity: &str, code: &str, subject: &str, text: &str, since: Option<At>, until: Option<At>) -> Value {
        json!({"severity": severity, "code": code, "subject": subject, "text": text, "since": since, "until": until})
    }

    fn person(name: &str, counts_from: At) -> AdminView {
        AdminView { id: name.into(), name: name.into(), created: at(-900), counts_from }
    }

    fn quiet() -> Night {
        Night {
            stop: StopView { on: false, since: None, by: None, cancelled: None },
            requests: Vec::new(),
            waiting: 0,
            wipes: Vec::new(),
            open: 0,
            devices: BTreeMap::new(),
            wrong: Vec::new(),
            ends: Vec::new(),
            people: vec![person("local", at(-900))],
        }
    }

    fn bad() -> Night {
        let devices: Vec<DeviceView> = strange_devices().into_iter().map(whole).collect();
        let states = [State::Held, State::Queued, State::Sent, State::Queued];
        let wipe = |(number, device): (usize, &DeviceView)| {
            let state = states[number % states.len()];
            CommandView {
                id: format!("019d1a2b-{number:04x}-7001-8a00-0123456789ab"),
                device: device.id.clone(),
                scope: Some(if number % 2 == 0 { Scope::Full } else { Scope::Selective }),
                state,
                leaves_at: (state == State::Held).then(|| at(2)),
                sent: (state == State::Sent).then(|| at(-3)),
                expires: (number == 3).then(|| at(100)),
                ..sample()
            }
        };
        let stuck = "asked for by eve: 2 commands are held (the emergency stop is on); nobody may decide it: a second administrator is needed";
        Night {
            stop: StopView { on: true, since: Some(at(-4)), by: Some("eve\u{202e}".into()), cancelled: None },
            requests: vec![
                of_commands(40, Stage::Waiting, true, &["bob", "local"]),
                of_commands(1, Stage::Waiting, true, &[]),
            ],
            waiting: 2,
            wipes: devices.iter().enumerate().map(wipe).collect(),
            open: 10_000,
            devices: devices.into_iter().map(|device| (device.id.clone(), device)).collect(),
            wrong: vec![
                line(
                    "error",
                    "stop_on",
                    "stop",
                    "the emergency stop is on, set by eve\u{202e}: no wipe, retire or lock leaves until it is lifted",
                    Some(at(-4)),
                    None,
                ),
                line(
                    "error",
                    "approval_stuck",
                    "019d1a2b-3c4d-7001-8a00-0123456789ab",
                    stuck,
                    Some(at(-3)),
                    Some(at(165)),
                ),
                line(
                    "warning",
                    "server_cert_refused",
                    "server_cert",
                    "what lies in the files of --tls-cert was not taken",
                    None,
                    None,
                ),
            ],
            ends: vec![
                line(
                    "error",
                    "push_cert_ends",
                    "push_cert",
                    "Apple's push certificate ends within 6 days: renew it with the same Apple account",
                    None,
                    Some(at(140)),
                ),
                line("note", "setting_pending", "wipe.grace", "1h will count instead of 15m", None, Some(at(20))),
            ],
            people: vec![person("alice", at(-900)), person("local", at(-900)), person("田中", at(20))],
        }
    }

    #[test]
    fn the_screen_of_a_bad_night_fits_and_names_people() {
        for (name, night) in [("bad", bad()), ("quiet", quiet())] {
            for width in [80, 200] {
                let text = night.print(&terminal(width));
                crate::cli::print::tests::fits(&text, width);
                golden(&format!("status_{name}_{width}.txt"), &text);
            }
            golden(&format!("status_{name}_pipe.txt"), &night.print(&pipe()));
        }
    }

    #[test]
    fn each_line_stands_where_it_belongs() {
        for (code, expected) in [
            ("stop_on", Section::Wrong),
            ("approval_stuck", Section::Request),
            ("wipe_contradicted", Section::Wipe),
            ("device_cert_ends", Section::Ends),
            ("device_cert_expired", Section::Wrong),
            ("a_word_of_a_newer_server", Section::Wrong),
        ] {
            assert!(section(&json!({"code": code})) == expected, "{code}");
        }
    }
}
