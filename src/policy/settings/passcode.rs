//! The section `passcode`: its rules, and what holds of them together.

mod alphanumeric;
mod expire_days;
mod history;
mod max_failed;
mod max_idle_minutes;
mod min_length;
mod required;

use super::super::error::PolicyError;
use super::super::support::Support;
use super::super::target::Platform;
use super::{Setting, Settings, Value, words};

pub(super) use alphanumeric::Alphanumeric;
pub(super) use expire_days::ExpireDays;
pub(super) use history::History;
pub(super) use max_failed::MaxFailed;
pub(super) use max_idle_minutes::MaxIdleMinutes;
pub(super) use min_length::MinLength;
pub(super) use required::Required;

/// The section's name.
pub(in crate::policy) const SECTION: &str = "passcode";

/// What is said to a number that is out of range.
const NONE: &str = "leave it out for no such rule";
/// What is said to a Windows PC's rules that hold for local accounts alone.
const LOCAL_ACCOUNTS: Support = Support::Noted("holds for local accounts; domain accounts follow their domain");

/// Whether a setting is one of this section.
pub(in crate::policy) fn is_rule(setting: Setting) -> bool {
    setting.place().0 == Some(SECTION)
}

/// Any rule asks for a passcode as well. `refused`: the file says `required: false`.
pub(in crate::policy) fn complete(settings: &mut Settings, refused: bool) -> Result<(), PolicyError> {
    let any = settings.values().any(|value| is_rule(value.setting()));
    // On Windows and ActiveSync every rule is void while no passcode is required: a rule without it would be a promise
    // that nobody keeps.
    if any && refused {
        let why = "false, while other passcode rules stand: take them out or make it true";
        return PolicyError::refused(Setting::PasscodeRequired.name(), why);
    }
    if any {
        settings.set(Value::PasscodeRequired(words::Required));
    }
    Ok(())
}

/// What becomes of a rule on an Apple platform: of any on an Apple TV, else as its own file says. What a Mac's users have for passwords it
/// does not tell.
fn unless_without(platform: Platform, support: Support) -> Support {
    match (platform, support) {
        (Platform::Tvos, _) => Support::No("an Apple TV has no passcode"),
        (Platform::Macos, Support::Full) => {
            Support::Noted("installed; a Mac does not say whether its users' passwords comply already")
        }
        _ => support,
    }
}
