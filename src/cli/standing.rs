//! How a command stands, and what a wipe will take, in words for people: on stderr, beside the document.

use super::{
    Failure,
    client::Client,
    print::Screen,
    request::{deciders, kind, named, unread},
};
use crate::documents::{
    breaker::StopView,
    commands::{Channel, CommandView, Scope, State},
    devices::Platform,
};

/// How a command stands, in one line, with why it is held and who may let it go. Asks for what it needs of that.
pub(super) async fn standing(client: &Client, command: &CommandView, screen: &Screen) -> String {
    let (guarded, held) = (kind(command).is_some(), command.state == State::Held);
    // Remarks: that they cannot be had fails nothing.
    let stopped = guarded
        && (held || command.state == State::Queued)
        && client.read::<StopView>("stop").await.is_ok_and(|stop| stop.said.on);
    let held = match command.approval.as_ref().filter(|_| held) {
        // Somebody else's may be asked about by who could approve it: told of it they have not read it.
        Some(approval) => why_held(client, approval).await.ok(),
        None => None,
    };
    in_words(command, held.as_deref(), stopped, screen)
}

async fn why_held(client: &Client, approval: &str) -> Result<String, Failure> {
    let detail = unread(client, approval).await?.detail;
    Ok(format!("{detail}; may approve: {}", named(&deciders(client, approval).await?)))
}

fn in_words(command: &CommandView, held: Option<&str>, stopped: bool, screen: &Screen) -> String {
    let id = &command.id;
    match (command.state, &command.approval, command.expected_by) {
        (State::Held, Some(approval), _) => {
            let why = held.map(|why| format!(": {why}")).unwrap_or_default();
            let first = if stopped { ", once the emergency stop is lifted" } else { "" };
            format!("command {id} is held{why}{first}; it waits for a second person: lanyard approvals wait {approval}")
        }
        (State::Held, None, _) => {
            let end = command.leaves_at.map_or_else(String::new, |at| format!(", at {}", screen.moment_whole(at.0)));
            format!("command {id} leaves when its undo window ends{end}; lanyard commands cancel {id} takes it back")
        }
        (State::Queued, ..) if stopped => {
            format!("command {id} is queued, and the emergency stop holds it back: it goes out when the stop is lifted")
        }
        (State::Queued, _, None) => {
            format!("command {id} is queued; nothing wakes the device, it hears of it when it next asks")
        }
        (State::Queued, _, Some(by)) => {
            format!("command {id} is queued; the device can be expected to hear of it by {}", screen.moment_whole(by.0))
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
    use crate::{
        cli::print::tests::terminal,
        documents::{At, commands::sample},
    };

    fn command(state: State, approval: Option<&str>, expected_by: Option<&str>) -> CommandView {
        let expected_by = expected_by.map(|by| At(by.parse().unwrap()));
        CommandView { state, approval: approval.map(String::from), expected_by, ..sample() }
    }

    #[test]
    fn a_command_says_what_it_waits_for() {
        let by = "2026-11-25T13:28:29Z";
        for (row, command, stopped, part) in [
            (
                "held",
                command(State::Held, Some("7"), None),
                false,
                "is held: why; may approve: bob; it waits for a second person: lanyard approvals wait 7",
            ),
            (
                "held under the stop",
                command(State::Held, Some("7"), None),
                true,
                "may approve: bob, once the emergency stop is lifted; ",
            ),
            (
                "undo",
                CommandView { leaves_at: Some(At(by.parse().unwrap())), ..command(State::Held, None, None) },
                false,
                "undo window ends, at 2026-11-25T13:28:29Z (in ",
            ),
            ("stop", command(State::Queued, None, None), true, "emergency stop holds it back"),
            ("no push", command(State::Queued, None, None), false, "nothing wakes the device"),
            ("queued", command(State::Queued, None, Some(by)), false, by),
            ("ended", command(State::Presumed, None, None), false, "is presumed"),
        ] {
            let words = in_words(&command, Some("why; may approve: bob"), stopped, &terminal(80));
            assert!(words.contains(part), "{row}: {words}");
        }
    }
}
