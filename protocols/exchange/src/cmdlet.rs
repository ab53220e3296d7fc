//! A cmdlet of Exchange's as a value: its name, its parameters, and what came back. How it gets there (HTTP, a PowerShell child) is
//! the drivers' business; that it may be called at all is decided here, by a list.

use serde_json::{Map, Value as Json};

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct Cmdlet {
    /// `Get-MobileDevice` …
    pub name: &'static str,
    /// In the order in which they were given.
    pub parameters: Vec<(&'static str, Argument)>,
    /// The properties wanted of each row; empty: all.
    pub select: &'static [&'static str],
}

/// What a parameter may be. Text is never evaluated by anybody.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// A string.
    Text(String),
    /// Several.
    Texts(Vec<String>),
    /// A number.
    Number(i64),
    /// `$true`, `$false`.
    Bool(bool),
    /// A switch that is given.
    Switch,
    /// `$null`.
    Null,
    /// `@{Add=…; Remove=…}`: a plain value would replace the list.
    Edit {
        /// What comes to the list.
        add: Vec<String>,
        /// What goes from it.
        remove: Vec<String>,
    },
}

impl Cmdlet {
    /// The parameters as JSON: a switch that is given is `true`, and an edit what `edit` makes of what comes to the list and goes from it.
    pub fn json(&self, edit: impl Fn(&[String], &[String]) -> Json) -> Map<String, Json> {
        let value = |argument: &Argument| match argument {
            Argument::Text(text) => Json::from(text.as_str()),
            Argument::Texts(texts) => Json::from(texts.as_slice()),
            Argument::Number(number) => Json::from(*number),
            Argument::Bool(on) => Json::from(*on),
            Argument::Switch => Json::from(true),
            Argument::Null => Json::Null,
            Argument::Edit { add, remove } => edit(add, remove),
        };
        self.parameters.iter().map(|(name, argument)| ((*name).to_string(), value(argument))).collect()
    }
}

/// An object that a cmdlet returned: its properties by their names.
pub type Row = Map<String, Json>;

/// Why a cmdlet brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No such object.
    #[error("Exchange has no such object: {0}")]
    NotFound(String),
    /// The account may not.
    #[error("the account may not call it: {0}")]
    Forbidden(String),
    /// Wrong arguments, or a state in which it cannot be done.
    #[error("Exchange refused: {0}")]
    Refused(String),
    /// Too many requests, or Exchange is away: to be tried again after so many seconds, where it said how many.
    #[error("Exchange cannot be had now: {text}")]
    Busy {
        /// Exchange's words.
        text: String,
        /// Seconds.
        after: Option<u64>,
    },
    /// The login was not taken.
    #[error("the login was refused: {0}")]
    Login(String),
    /// The answer cannot be read, or it was cut: what was asked may have been done.
    #[error("no answer that can be read: {0}")]
    Unread(String),
}
