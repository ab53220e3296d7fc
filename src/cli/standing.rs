//! How a command stands, and what a wipe will take, in words for people: on stderr, beside the document.

use super::client::Client;
use serde_json::Value;

/// How a command stands, in one line. Asks how the emergency stop stands, where it may hold the command back.
pub(super) async fn standing(client: &Client, command: &Value) -> String {
    let guarded = matches!(text(command, "action"), "wipe" | "lock");
    let stopped = guarded && text(command, "state") == "queued" && {
        // A remark: that it cannot be had fails nothing.
        let stop = client.get("stop").await.unwrap_or_default();
        stop.get("on").and_then(Value::as_bool) == Some(true)
    };
    in_words(command, stopped)
}

fn in_words(command: &Value, stopped: bool) -> String {
    let (id, state) = (text(command, "id"), text(command, "state"));
    let by = text(command, "expected_by");
    match state {
        "held" if !text(command, "approval").is_empty() => {
            format!("command {id} is held for a second person: lanyard approvals wait {}", text(command, "approval"))
        }
        "held" => format!("command {id} waits for its undo window to end; lanyard commands cancel {id} takes it back"),
        "queued" if stopped => {
            format!("command {id} is queued, and the emergency stop holds it back: it goes out when the stop is lifted")
        }
        "queued" if by.is_empty() => {
            format!("command {id} is queued; nothing wakes the device, it hears of it when it next asks")
        }
        "queued" => format!("command {id} is queued; the device can be expected to hear of it by {by}"),
        _ => format!("command {id} is {state}"),
    }
}

/// Whether nothing more is to come of it.
pub(super) fn is_over(command: &Value) -> bool {
    !matches!(text(command, "state"), "held" | "queued" | "sent" | "not_now")
}

/// What a wipe will take, by the channel that carries it.
pub(super) fn what_goes(channel: &str, platform: &str, scope: &str) -> &'static str {
    match (channel, scope) {
        ("apple", "selective") => {
            "the management profile will go, and with it the profiles, accounts and apps that came by it; the user's own data will stay"
        }
        ("apple", _) if platform == "macos" => {
            "the Mac will be erased: every user's data, the user's own too; it will need the PIN to start again"
        }
        ("apple", _) => "the device will be erased: all apps and data, the user's own too",
        ("omadm", "selective") => {
            "the PC will leave management, and the settings and certificates that came by it will go; files will stay, the organisation's too"
        }
        ("omadm", _) => "the PC will be reset: all users' files and programs will go",
        ("activesync" | "exchange", "selective") => {
            "the mail app will remove its account where it speaks ActiveSync 16.1; an older one will only lose its access, and mail that it holds will stay"
        }
        ("activesync" | "exchange", _) => {
            "the mail app will have the whole phone erased, the user's own data too, or, as Outlook does, remove its account alone"
        }
        (_, "selective") => "what the organisation put there will go",
        (..) => "everything on the device will go",
    }
}

/// A field that is text; empty where it is null.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_says_what_it_waits_for() {
        let by = "2026-11-25T13:28:29Z";
        for (row, command, stopped, part) in [
            ("held", json!({"id": "1", "state": "held", "approval": "7"}), false, "lanyard approvals wait 7"),
            ("undo", json!({"id": "1", "state": "held", "approval": null}), false, "undo window"),
            ("stop", json!({"id": "1", "state": "queued", "expected_by": null}), true, "emergency stop holds it back"),
            ("no push", json!({"id": "1", "state": "queued", "expected_by": null}), false, "nothing wakes the device"),
            ("queued", json!({"id": "1", "state": "queued", "expected_by": by}), false, by),
            ("ended", json!({"id": "1", "state": "presumed"}), false, "is presumed"),
        ] {
            let words = in_words(&command, stopped);
            assert!(words.contains(part), "{row}: {words}");
        }
    }
}
