//! The command channel: report, take the next command, do it, report again, until the server has nothing more.

use plist::{Dictionary, Value};

use super::{AppleDevice, State};
use crate::error::{Error, Result};
use crate::http::{Reading, Response};
use crate::ledger::{Channel, Effect};

/// A server that answers more commands than this in one go is stuck.
const MAX_COMMANDS: usize = 1000;

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Commands received.
    pub commands: usize,
    /// The last word was NotNow: a device polls again by itself.
    pub last_not_now: bool,
}

/// A result on its way to the server. Kept until a 2xx is read.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) id: Option<String>,
    pub(super) status: &'static str,
    pub(super) body: Dictionary,
    /// What happens once it is heard.
    pub(super) then: Then,
}

/// What a device does after its report has been heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Erase,
    Unenrol,
}

impl Report {
    pub(super) fn new(id: &str, status: &'static str) -> Report {
        Report { id: Some(id.to_owned()), status, body: Dictionary::new(), then: Then::GoOn }
    }

    fn idle() -> Report {
        Report { id: None, status: "Idle", body: Dictionary::new(), then: Then::GoOn }
    }

    fn message(&self, udid: &str) -> Dictionary {
        let mut body = self.body.clone();
        body.insert("UDID".into(), Value::String(udid.to_owned()));
        body.insert("Status".into(), Value::String(self.status.into()));
        if let Some(id) = &self.id {
            body.insert("CommandUUID".into(), Value::String(id.clone()));
        }
        body
    }
}

impl AppleDevice {
    /// Polls until there is nothing more to do. A report that nobody confirmed having heard is said first, word for word. On an error
    /// the device is as it was, and may poll again; a refusal that orders it out of management has been obeyed by then (`state`).
    pub async fn poll(&mut self) -> Result<Poll> {
        match self.state {
            State::Enrolled => {}
            State::New => return Err(Error::Gone("not enrolled")),
            State::Unenrolled => return Err(Error::Gone("unenrolled")),
            State::Erased => return Err(Error::Gone("erased")),
        }
        let mut outcome = Poll { commands: 0, last_not_now: false };
        let mut report = self.report.take().unwrap_or_else(Report::idle);
        loop {
            let answer = self.say(report).await?;
            if self.state != State::Enrolled || answer.body.is_empty() {
                return Ok(outcome);
            }
            let (id, command) = command(&answer.body)?;
            outcome.commands += 1;
            if outcome.commands > MAX_COMMANDS {
                return Err(Error::malformed("command", "no end of them"));
            }
            tokio::time::sleep(self.conduct.think).await;
            report = self.obey(&id, &command).await?;
            outcome.last_not_now = report.status == "NotNow";
        }
    }

    /// Sends one report and does what its being heard entails.
    async fn say(&mut self, report: Report) -> Result<Response> {
        let unheard = self.conduct.erase_unheard && report.then != Then::GoOn;
        let answer = match self.send_report(&report).await {
            Ok(answer) => answer,
            Err(e) => {
                match unheard {
                    true => self.follow_up(report.then).await,
                    // An idle poll has nothing worth repeating.
                    false if report.id.is_some() && self.state == State::Enrolled => self.report = Some(report),
                    false => {}
                }
                return Err(e);
            }
        };
        if let Some(id) = &report.id {
            self.world.ledger.heard(&self.facts.udid, id);
        }
        self.follow_up(report.then).await;
        Ok(answer)
    }

    async fn send_report(&mut self, report: &Report) -> Result<Response> {
        let url = self.the_profile()?.server_url.clone();
        let kind = "application/x-apple-aspen-mdm; charset=UTF-8";
        let body = report.message(&self.facts.udid);
        let mut reading = Reading::Read;
        if report.id.is_some() {
            if self.conduct.next_repeat() {
                // The first answer is as good as lost: acting on both would be acting on a command twice.
                self.put(&url, kind, body.clone(), Reading::Read).await?;
            }
            reading = self.conduct.next_reading();
        }
        let answer = self.put(&url, kind, body, reading).await?;
        if orders_unenrolment(&answer) {
            self.unenrol();
        }
        answer.accepted("poll")
    }

    async fn follow_up(&mut self, then: Then) {
        match then {
            Then::GoOn => {}
            Then::Erase => {
                self.unenrol();
                self.state = State::Erased;
                (self.passcode, self.locked) = (false, false);
            }
            Then::Unenrol => {
                // One attempt, heard or not.
                let _ = self.check_out().await;
                self.unenrol();
            }
        }
    }

    /// Does one command and writes it into the ledger; NotNow is not doing.
    async fn obey(&mut self, id: &str, command: &Dictionary) -> Result<Report> {
        let kind = command.get("RequestType").and_then(Value::as_string).unwrap_or_default().to_owned();
        let report = self.perform(id, &kind, command).await?;
        if report.status != "NotNow" {
            let effect = effect(&kind, &report);
            self.world.ledger.record(
                Channel::Apple,
                &self.facts.udid,
                id,
                (&kind, effect),
                (report.status, reason(&report.body)),
            );
        }
        Ok(report)
    }
}

fn effect(kind: &str, report: &Report) -> Effect {
    match (report.then, kind) {
        (Then::Erase, _) => Effect::Wiped,
        (Then::Unenrol, _) => Effect::Retired,
        (Then::GoOn, "DeviceLock") if report.status == "Acknowledged" => Effect::Locked,
        (Then::GoOn, "InstallProfile" | "RemoveProfile") if report.status == "Acknowledged" => Effect::Policy,
        _ => Effect::None,
    }
}

/// Words of the first error that it names, be it the command's or one of its items'.
fn reason(body: &Dictionary) -> Option<&str> {
    let items = body.get("Settings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_dictionary);
    let chain = std::iter::once(body).chain(items).find_map(|part| part.get("ErrorChain")?.as_array()?.first());
    chain?.as_dictionary()?.get("LocalizedDescription")?.as_string()
}

fn command(body: &[u8]) -> Result<(String, Dictionary)> {
    let bad = |detail: &str| Error::malformed("command", detail);
    let value = Value::from_reader(std::io::Cursor::new(body))?;
    let mut dict = value.into_dictionary().ok_or_else(|| bad("not a dictionary"))?;
    let id = dict.get("CommandUUID").and_then(Value::as_string).ok_or_else(|| bad("no CommandUUID"))?.to_owned();
    let command = dict.remove("Command").and_then(Value::into_dictionary).ok_or_else(|| bad("no Command"))?;
    Ok((id, command))
}

/// 401, or 403 with com.apple.unrecognized.device in a JSON or plist body: the MDM profile is removed.
fn orders_unenrolment(answer: &Response) -> bool {
    let kind = answer.header("content-type");
    let told = (kind.contains("json") || kind.contains("xml"))
        && String::from_utf8_lossy(&answer.body).contains("com.apple.unrecognized.device");
    answer.status == 401 || (answer.status == 403 && told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_in_the_command_or_in_one_of_its_items() {
        let body = |text: &str| Value::from_reader_xml(text.as_bytes()).unwrap().into_dictionary().unwrap();
        let chain =
            "<key>ErrorChain</key><array><dict><key>LocalizedDescription</key><string>not now</string></dict></array>";
        let whole = body(&format!("<plist><dict>{chain}</dict></plist>"));
        let item =
            body(&format!("<plist><dict><key>Settings</key><array><dict/><dict>{chain}</dict></array></dict></plist>"));
        assert_eq!((reason(&whole), reason(&item)), (Some("not now"), Some("not now")));
        assert_eq!(reason(&body("<plist><dict><key>Settings</key><array><dict/></array></dict></plist>")), None);
    }
}
