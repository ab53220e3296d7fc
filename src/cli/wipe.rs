//! `lanyard wipe`: asks once more, asks for it, and waits for its end where that is wanted.

use super::{
    Done, Failure, Outcome, Shown,
    client::{Answer, Client, encode},
    confirm,
    print::{self, Screen},
    standing::{standing, what_goes},
};
use crate::{
    clock::{self, parse_duration, print_duration},
    documents::{
        At,
        commands::{self, CommandView, State},
        devices::{DeviceView, Obliteration, Ownership, WipeBody},
    },
};
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// A wipe.
#[derive(clap::Args)]
pub struct Wipe {
    /// The device's id, or any name that fits it alone.
    device: String,
    /// What the organisation put there, or everything.
    #[arg(long, value_enum)]
    scope: Scope,
    /// Why; kept with the command and in the audit log.
    #[arg(long)]
    reason: String,
    /// Six digits for a Mac; made where none are given.
    #[arg(long, value_parser = six_digits)]
    pin: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Undo window, such as 10m.
    #[arg(long, value_parser = parse_duration)]
    delay: Option<Duration>,
    /// After so long without being sent it comes to nothing.
    #[arg(long, value_parser = parse_duration)]
    expires: Option<Duration>,
    /// A full wipe of an iPhone or iPad: it keeps its eSIM.
    #[arg(long)]
    preserve_data_plan: bool,
    /// A full wipe of an iPhone or iPad: it sets itself up again without a person. It needs a network by cable or mobile, and automated enrolment
    /// by Apple's portal: it is given no Wi-Fi and no enrolment profile.
    #[arg(long)]
    return_to_service: bool,
    /// What a Mac does that cannot erase itself the quick way: Default, DoNotObliterate, ObliterateWithWarning or Always.
    #[arg(long, value_parser = obliteration)]
    obliteration: Option<Obliteration>,
    /// Wait for its end.
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this.
    #[arg(long, requires = "wait", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Scope {
    Selective,
    Full,
}

impl From<Scope> for commands::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Selective => Self::Selective,
            Scope::Full => Self::Full,
        }
    }
}

/// As the API has it.
fn scope_in_words(scope: Option<commands::Scope>) -> &'static str {
    match scope {
        Some(commands::Scope::Selective) => "selective",
        Some(commands::Scope::Full) => "full",
        None => "",
    }
}

/// What starts an erased or locked Mac again.
pub(super) fn six_digits(text: &str) -> Result<String, String> {
    let fine = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| text.to_string()).ok_or_else(|| "six digits are needed".to_string())
}

fn obliteration(text: &str) -> Result<Obliteration, String> {
    Obliteration::parse(text).ok_or_else(|| format!("one of {} is needed", Obliteration::names()))
}

impl Wipe {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        let device = client.read::<DeviceView>(&format!("devices/{}", encode(&self.device))).await?.said;
        match self.yes {
            true => print::say(format!("the device is {}", named(&device))),
            false => self.ask_once_more(&device)?,
        }
        let id = encode(&device.id);
        // For a remark alone: that it cannot be had keeps nobody from wiping.
        let before = client.list::<CommandView>(&format!("commands?device={id}")).await.unwrap_or_default();
        let answer = client.ask::<CommandView>(&format!("devices/{id}/wipe"), &self.body()).await?;
        let command = &answer.said;
        let known = before.iter().find(|known| known.id == command.id);
        if let Some(known) = known {
            print::say(asked_before(known, command, self.says_how()));
        }
        if !command.state.is_final() {
            let scope = command.scope.unwrap_or(self.scope.into());
            let words = what_goes(Some(command.channel), device.platform, scope);
            print::say(words);
        }
        if self.return_to_service {
            print::say(RETURNS);
        }
        print::say(standing(client, command, &how.screen.now()).await);
        if let Some(words) = silence(device.last_seen, command.created).filter(|_| !command.state.is_final()) {
            print::say(words);
        }
        if !self.wait {
            return Ok(Outcome::record(answer.document));
        }
        let ended = wait(client, answer, self.timeout, &how.screen).await?;
        let good = matches!(ended.said.state, State::Confirmed | State::Presumed);
        Ok(Outcome::record(ended.document).good_if(good))
    }

    /// Says what is asked for, and asks whether it is meant.
    fn ask_once_more(&self, device: &DeviceView) -> Result<(), Failure> {
        // The server refuses it too: nobody shall say yes to it in vain.
        if matches!(self.scope, Scope::Full) && device.ownership == Ownership::Personal {
            let text = "the device is its user's own: only the organisation's data can be removed (a selective wipe) (personal)";
            return Err(Failure::Failed(text.into()));
        }
        let words = what_goes(device.channel, device.platform, self.scope.into());
        print::say(format!("if you say yes, {words}"));
        if confirm(&question(device, self.scope))? {
            return Ok(());
        }
        Err(Failure::Failed("nothing was done".into()))
    }

    fn says_how(&self) -> bool {
        self.preserve_data_plan || self.return_to_service || self.obliteration.is_some()
    }

    fn body(&self) -> WipeBody {
        WipeBody {
            scope: self.scope.into(),
            reason: self.reason.clone(),
            pin: self.pin.clone(),
            delay: self.delay.map(print_duration),
            expires: self.expires.map(print_duration),
            preserve_data_plan: self.preserve_data_plan,
            return_to_service: self.return_to_service,
            obliteration: self.obliteration.map(|one| one.as_str().to_string()),
        }
    }
}

/// What a device needs that is told to return to service.
const RETURNS: &str = "it comes back by itself only with a network by cable or mobile and automated enrolment by Apple's portal; else it is erased, and waits \
                       for a person";

/// That the answer is a command from before, and whether this call changed anything about it.
fn asked_before(known: &CommandView, command: &CommandView, says_how: bool) -> String {
    let (id, created, by, scope) = (&known.id, known.created, &known.requested_by, scope_in_words(known.scope));
    let given = if *by == command.requested_by {
        "--delay, --expires, --reason and --pin given now do not count"
    } else {
        "it was held, and goes on by your word and with what you gave now"
    };
    let how = if says_how && *by == command.requested_by { ", nor does how to erase it" } else { "" };
    format!("this is command {id} of {created}, asked for by {by}, scope {scope}; {given}{how}")
}

/// A device that was not heard for so long is off, or gone.
const SILENT: Duration = Duration::from_secs(2 * 86_400);

/// That a device was not heard for long, and what that means for what was asked of it now.
fn silence(last_seen: Option<At>, asked: At) -> Option<String> {
    let Some(At(heard)) = last_seen else {
        return Some("the device was never heard: the wipe waits until it is".into());
    };
    let silent = asked.0.since(heard);
    let days = silent.as_secs() / 86_400;
    (silent >= SILENT)
        .then(|| format!("the device was last heard {days} days ago ({heard}): the wipe waits until it is on again"))
}

/// All the ways people know a device by.
fn named(device: &DeviceView) -> String {
    let names = [device.user.as_ref(), device.name.as_ref(), device.model.as_ref(), device.serial.as_ref()];
    let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).filter(|t| !t.is_empty()).collect();
    format!("{} ({})", names.join(", "), device.id)
}

/// Names the device, and says what will be gone.
fn question(device: &DeviceView, scope: Scope) -> String {
    let what = match scope {
        Scope::Selective => "Remove the organisation's data from",
        Scope::Full => "Erase everything on",
    };
    format!("{what} {}?", named(device))
}

async fn wait(
    client: &Client,
    mut command: Answer<CommandView>,
    timeout: Option<Duration>,
    screen: &Screen,
) -> Result<Answer<CommandView>, Failure> {
    let until = timeout.and_then(|limit| clock::monotonic().checked_add(limit));
    let path = format!("commands/{}", encode(&command.said.id));
    while !command.said.state.is_final() {
        let next = match until.is_some_and(|until| clock::monotonic() >= until) {
            true => None,
            false => client.read_in_time::<CommandView>(&path, until).await?,
        };
        let Some(next) = next else {
            let (id, state) = (&command.said.id, command.said.state.as_str());
            print::say(format!("not ended within the time given; command {id} was {state} when last heard of"));
            break;
        };
        if next.said.state != command.said.state {
            print::say(standing(client, &next.said, &screen.now()).await);
        }
        command = next;
        tokio::time::sleep(LOOK).await;
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_from_before_says_whose_word_counts() {
        let command = |by: &str| CommandView { requested_by: by.into(), ..commands::sample() };
        assert!(asked_before(&command("eve"), &command("eve"), false).ends_with("given now do not count"));
        assert!(asked_before(&command("eve"), &command("eve"), true).ends_with(", nor does how to erase it"));
        let taken = asked_before(&command("eve"), &command("bob"), true);
        assert!(taken.contains("asked for by eve") && taken.ends_with("with what you gave now"), "{taken}");
    }

    #[test]
    fn a_device_that_was_not_heard_for_long_is_said_to_be_so() {
        let at = |text: &str| At(text.parse().unwrap());
        let asked = at("2026-11-30T12:00:00Z");
        assert_eq!(silence(Some(at("2026-11-29T12:00:00Z")), asked), None);
        let words = silence(Some(at("2026-10-21T11:00:00Z")), asked).unwrap();
        assert!(words.starts_with("the device was last heard 40 days ago (2026-10-21T11:00:00"), "{words}");
        assert!(silence(None, asked).unwrap().contains("never heard"));
    }

    #[test]
    fn a_pin_is_six_digits() {
        for (text, good) in [("012345", true), ("12345", false), ("1234567", false), ("12345a", false), ("１２", false)]
        {
            assert_eq!(six_digits(text).is_ok(), good, "{text}");
        }
    }
}
