//! How a command stands, and what a wipe will take, in words for people: on stderr, beside the document.

use super::client::Client;
use crate::documents::{
    breaker::StopView,
    commands::{Action, Channel, CommandView, Scope, State},
    devices::Platform,
};

/// How a command stands, in one line. Asks how the emergency stop stands, where it may hold the command back.
pub(super) async fn standing(client: &Client, command: &CommandView) -> String {
    let guarded = matches!(command.action, Action::Wipe | Action::Lock);
    // A remark: that it cannot be had fails nothing.
    let stopped = guarded
        && command.state == State::Queued
        && client.read::<StopView>("stop").await.is_ok_and(|stop| stop.said.on);
    in_words(command, stopped)
}

fn in_words(command: &CommandView, stopped: bool) -> String {
    let id = &command.id;
    match (command.state, &command.approval, command.expected_by) {
        (State::Held, Some(approval), _) => {
            format!("command {id} is held for a second person: lanyard approvals wait {approval}")
        }
        (State::Held, None, _) => {
            format!("command {id} waits for its undo window to end; lanyard commands cancel {id} takes it back")
        }
        (State::Queued, ..) if stopped => {
            format!("command {id} is queued, and the emergency stop holds it back: it goes out when the stop is lifted")
        }
        (State::Queued, _, None) => {
            format!("command {id} is queued; nothing wakes the device, it hears of it when it next asks")
        }
        (State::Queued, _, Some(by)) => {
            format!("command {id} is queued; the device can be expected to hear of it by {by}")
        }
        (state, ..) => format!("command {id} is {}", state.as_str()),
    }
}

/// What a wipe will take, by the channel that carries it.
pub(super) fn what_goes(channel: Option<Channel>, platform: Platform, scope: Scope) -> &'static str {
    use {Channel::*, Scope::*};
    match (channel, scope) {
        (Some(Apple), Selective) => {
            "the management profile will go, and with it the profiles, accounts and apps that came by it; the user's own data will stay"
        }
        (Some(Apple), Full) if platform == Platform::Macos => {
            "the Mac will be erased: every user's data, the user's own too; it will need the PIN to start again"
        }
        (Some(Apple), Full) => "the device will be erased: all apps and data, the user's own too",
        (Some(Omadm), Selective) => {
            "the PC will leave management, and the settings and certificates that came by it will go; files will stay, the organisation's too"
        }
        (Some(Omadm), Full) => "the PC will be reset: all users' files and programs will go",
        (Some(Activesync | Exchange), Selective) => {
            "the mail app will remove its account where it speaks ActiveSync 16.1; an older one will only lose its access, and mail that it holds will stay"
        }
        (Some(Activesync | Exchange), Full) => {
            "the mail app will have the whole phone erased, the user's own data too, or, as Outlook does, remove its account alone"
        }
        (None, Selective) => "what the organisation put there will go",
        (None, Full) => "everything on the device will go",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::{At, commands::sample};

    fn command(state: State, approval: Option<&str>, expected_by: Option<&str>) -> CommandView {
        let expected_by = expected_by.map(|by| At(by.parse().unwrap()));
        CommandView { state, approval: approval.map(String::from), expected_by, ..sample() }
    }

    #[test]
    fn a_command_says_what_it_waits_for() {
        let by = "2026-11-25T13:28:29Z";
        for (row, command, stopped, part) in [
            ("held", command(State::Held, Some("7"), None), false, "lanyard approvals wait 7"),
            ("undo", command(State::Held, None, None), false, "undo window"),
            ("stop", command(State::Queued, None, None), true, "emergency stop holds it back"),
            ("no push", command(State::Queued, None, None), false, "nothing wakes the device"),
            ("queued", command(State::Queued, None, Some(by)), false, by),
            ("ended", command(State::Presumed, None, None), false, "is presumed"),
        ] {
            let words = in_words(&command, stopped);
            assert!(words.contains(part), "{row}: {words}");
        }
    }
}
