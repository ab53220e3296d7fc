//! What is said of simulated devices, in words. What came from the server is made visible where it is printed.

use super::Channel;
use crate::clock::Timestamp;
use lanyard_sim::{
    Act, Effect, Error, ledger,
    mail::Verdict,
    trial::{End, News},
};

/// Of a server that nobody can be woken by.
pub(super) const UNPUSHED: &str = "this server has no push certificate of Apple's, and as long as an Apple device is enrolled that came without one, a simulated one \
                                   too, none can be set (other_topic): end all of them before that, by a wipe, or by `lanyard devices revoke`. A real device that enrols \
                                   now can never be woken by one that is set later (docs/apple-push-certificate.md)";

/// Of a PC that was reset.
pub(super) const PRESUMED: &str = "a PC says that it takes the order to reset itself, and nothing after that: its wipe reads presumed, and its record stays in the list";

/// How often they ask.
pub(super) fn pace(channel: Channel) -> &'static str {
    match channel {
        Channel::Apple => {
            "no push reaches a simulated iPhone: it asks for commands by itself every 3 s, as a real one does only when woken"
        }
        Channel::Windows => "a simulated PC holds a session every 3 s, whatever its schedule says",
        Channel::Activesync => "a simulated mail app holds a Ping open, as phones do",
    }
}

/// The zone's own clock.
pub(super) fn time(at: Timestamp) -> String {
    let moment = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// What came, and what was answered.
pub(super) fn done(act: &Act) -> String {
    let good = match act.channel {
        ledger::Channel::Apple => act.outcome == "Acknowledged",
        ledger::Channel::Omadm => act.outcome == "none" || act.outcome.starts_with('2'),
        ledger::Channel::Activesync => act.outcome == "1",
    };
    let answer = match (good, &act.reason) {
        (true, None) => "done".into(),
        // The command as a whole was taken.
        (true, Some(reason)) => format!("done, but for what is refused: {reason}"),
        (false, None) => format!("not done ({})", act.outcome),
        (false, Some(reason)) => format!("not done ({}: {reason})", act.outcome),
    };
    format!("{}: {answer}", act.kind)
}

/// As the document has it.
pub(super) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "none",
        Effect::Policy => "policy",
        Effect::Locked => "locked",
        Effect::Retired => "retired",
        Effect::Wiped => "wiped",
    }
}

/// How it ended, and by what.
pub(super) fn gone(end: End, last: Option<&Act>) -> String {
    let by = last.filter(|act| matches!(act.effect, Effect::Wiped | Effect::Retired));
    match (end, by) {
        (End::Erased, Some(act)) => format!("{} (full): erased, gone", act.kind),
        (End::Erased, None) => "erased, gone".into(),
        (End::Left, Some(act)) => format!("{} (selective): the organisation's things removed, gone", act.kind),
        (End::Left, None) => "told that it is managed no more: gone".into(),
    }
}

/// What a device says itself.
pub(super) fn news(news: &News, serial: &str) -> String {
    match news {
        News::Trouble(text) => format!("{}; it goes on asking", text.trim()),
        News::Through => "answered again".into(),
        News::Mail(Verdict::Taken) => "reads its mail".into(),
        News::Mail(Verdict::Waits) => {
            format!("in quarantine, as its inbox says; `lanyard devices allow {serial}` lets it in")
        }
        News::Mail(Verdict::Denied(status)) => {
            format!("mail refused (status {status}): blocked; `lanyard devices allow {serial}` lets it in")
        }
        News::Mail(Verdict::Gone) => "mail gone".into(),
    }
}

/// Why one could not enrol: the server's own reason, where it gave one.
pub(super) fn refused(error: &Error) -> String {
    match error {
        Error::Status { what, status, body } if !body.trim().is_empty() => {
            format!("refused by the server: {} ({what}, HTTP {status})", body.trim())
        }
        Error::Status { what, status, .. } => format!("refused by the server ({what}, HTTP {status})"),
        Error::Refused { what, code, text } => format!("refused by the server: {text} ({what}, {code})"),
        Error::Untrusted(_) => {
            format!("{error}; --ca FILE, or LANYARD_CA, names the CA that it is of (`ca.pem` of its data folder)")
        }
        error if error.is_transport() => format!("the server does not answer: {error}"),
        error => error.to_string(),
    }
}

/// What is needed for so many.
pub(super) fn more(channel: Channel, count: usize) -> String {
    match channel {
        Channel::Apple => invite("apple", count),
        Channel::Windows => invite("windows", count),
        Channel::Activesync => {
            "; an invitation for mail is good for one device: more come by --user and the password alone".into()
        }
    }
}

fn invite(channel: &str, count: usize) -> String {
    format!(
        "; for so many an invitation is needed that is good for them: lanyard invite --channel {channel} --uses {count} --group G"
    )
}

/// Of those that are enrolled and have lost their keys.
pub(super) fn left_behind(serials: &[String]) -> String {
    format!(
        "these are still enrolled, and their keys are gone: they stay in `lanyard devices list` and are never heard again (wiped while this ran, they \
         would have ended with proof). To end their records:{}",
        verbs("revoke", serials)
    )
}

/// Of those that have ended.
pub(super) fn over(serials: &[String]) -> String {
    format!("to take what has ended off the list:{}", verbs("remove", serials))
}

fn verbs(verb: &str, serials: &[String]) -> String {
    serials.iter().map(|serial| format!("\n    lanyard devices {verb} {serial}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn act(channel: ledger::Channel, kind: &str, effect: Effect, outcome: &str) -> Act {
        let (device, id, at) = ("A".into(), "1".into(), SystemTime::UNIX_EPOCH);
        let (kind, outcome) = (kind.into(), outcome.into());
        Act { device, channel, id, kind, effect, at, outcome, reason: None, heard: None }
    }

    #[test]
    fn an_act_is_said_with_its_answer() {
        use ledger::Channel::{Activesync, Apple, Omadm};
        for (channel, kind, outcome, want) in [
            (Apple, "RestartDevice", "Acknowledged", "RestartDevice: done"),
            (Apple, "Settings", "Error", "Settings: not done (Error)"),
            (Omadm, "Replace ./X", "200", "Replace ./X: done"),
            (Omadm, "Exec ./X", "404", "Exec ./X: not done (404)"),
            (Activesync, "Policy", "1", "Policy: done"),
            (Activesync, "Policy", "2", "Policy: not done (2)"),
        ] {
            assert_eq!(done(&act(channel, kind, Effect::None, outcome)), want);
        }
        for (outcome, want) in [
            ("Error", "Settings: not done (Error: not supervised)"),
            ("Acknowledged", "Settings: done, but for what is refused: not supervised"),
        ] {
            let reason = Some("not supervised".to_string());
            assert_eq!(done(&Act { reason, ..act(Apple, "Settings", Effect::None, outcome) }), want);
        }
    }

    #[test]
    fn an_end_is_said_with_what_brought_it() {
        let erase = act(ledger::Channel::Apple, "EraseDevice", Effect::Wiped, "Acknowledged");
        assert_eq!(gone(End::Erased, Some(&erase)), "EraseDevice (full): erased, gone");
        let other = act(ledger::Channel::Apple, "DeviceLock", Effect::Locked, "Acknowledged");
        assert_eq!(gone(End::Left, Some(&other)), "told that it is managed no more: gone");
    }

    #[test]
    fn a_refusal_is_said_in_the_servers_words() {
        let status = Error::Status { what: "OPTIONS", status: 503, body: "no mail server\n".into() };
        assert_eq!(refused(&status), "refused by the server: no mail server (OPTIONS, HTTP 503)");
        assert!(refused(&Error::Untrusted("UnknownIssuer".into())).contains("--ca FILE"));
        assert!(refused(&Error::Late("poll")).starts_with("the server does not answer"));
    }
}
