//! What a call on the fleet or the store can answer besides success. No status codes: each channel decides on its own.

use crate::clock::Timestamp;

/// Something that went wrong below the domain.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// More calls wait than we keep, or the batch came to nothing; nothing was done.
    #[error("the store is busy")]
    Busy,
    /// The store stopped or cannot be reached; whether the call was carried out may be unknown.
    #[error("the store is away: {0}")]
    Away(String),
    /// What lies in the store cannot be read.
    #[error("the record {key} cannot be read: {why}")]
    Corrupt {
        /// Its key.
        key: String,
        /// What the decoder said.
        why: String,
    },
    /// The store belongs to a newer version of the program.
    #[error("the store has layout {found}, this program knows {known}: use the newer program")]
    Newer {
        /// The layout found.
        found: u32,
        /// The highest that is known.
        known: u32,
    },
    /// What lies there is not what was acknowledged: behind, damaged, cut short, gone, or another one.
    #[error("{0}")]
    Refused(String),
    /// No key of ours: it holds a control character or is too long.
    #[error("a name holds a control character or is too long")]
    Key,
}

impl Fault {
    /// The cause alone, for a place that says besides that it is about the store.
    pub fn cause(&self) -> String {
        match self {
            Self::Away(why) => why.clone(),
            other => other.to_string(),
        }
    }
}

/// Why a call was not carried out. Nothing of it was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store is busy or away; the caller may ask again.
    #[error("{0}")]
    Store(Fault),
    /// There is no such thing.
    #[error("there is no {what} {id:?}{}", near.map(|near| format!("; the nearest is {near}")).unwrap_or_default())]
    NotFound {
        /// What was looked for: device, command, policy …
        what: &'static str,
        /// The name it was looked for by.
        id: String,
        /// What may have been meant.
        near: Option<&'static str>,
    },
    /// There was such a thing, and its record was removed: what it was, for people.
    #[error("{0}")]
    Removed(String),
    /// A value that cannot be taken.
    #[error("{field}: {text}")]
    Invalid {
        /// The field of the request.
        field: &'static str,
        /// What is wrong with it.
        text: String,
    },
    /// The act is possible in form, and refused.
    #[error("{text}")]
    Refused {
        /// A stable code for scripts.
        code: &'static str,
        /// The ground, for people.
        text: String,
        /// The ids of what it is about, where there are such: what was added to an approval since it was read.
        added: Box<[String]>,
    },
    /// A name that fits several devices, and no single one that lives.
    #[error("{}", several(name, candidates))]
    Ambiguous {
        /// As it was given.
        name: String,
        /// Those that it fits, the living ones first.
        candidates: Box<[Candidate]>,
    },
    /// Who asks may not do this.
    #[error("{text}")]
    Forbidden {
        /// A stable code for scripts.
        code: &'static str,
        /// The ground, for people.
        text: String,
    },
    /// A fault of ours.
    #[error("internal fault: {0}")]
    Internal(String),
}

/// A device that a name may mean, and by what people tell it from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id, which means it alone.
    pub id: String,
    /// Whose it is; none: nobody's yet.
    pub user: Option<String>,
    /// As the API shows it.
    pub state: &'static str,
    /// When it was last heard.
    pub last_seen: Option<Timestamp>,
}

/// Candidates that are put into words; who asks the API gets all of them.
const IN_WORDS: usize = 10;

fn several(name: &str, candidates: &[Candidate]) -> String {
    let mut text = format!("{name:?} fits several devices, use an id:");
    for (at, Candidate { id, user, state, last_seen }) in candidates.iter().take(IN_WORDS).enumerate() {
        let seen = last_seen.map_or("never seen".into(), |at| format!("last seen {at}"));
        let user = user.as_deref().unwrap_or("nobody's");
        text += &format!("{} {id} ({user}, {state}, {seen})", if at > 0 { "," } else { "" });
    }
    match candidates.len().saturating_sub(IN_WORDS) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// What can be no key is the caller's text, and no fault of the store's.
impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Key => Self::invalid("name", fault.to_string()),
            other => Self::Store(other),
        }
    }
}

impl Error {
    /// What an operator reads whose start failed by it: the cause first.
    pub fn cause(&self) -> String {
        match self {
            Self::Store(fault) => format!("store: {}", fault.cause()),
            other => other.to_string(),
        }
    }
    /// Shorthand for [`Error::NotFound`].
    pub fn not_found(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound { what, id: id.to_string(), near: None }
    }
    /// Likewise, with the known name that is nearest.
    pub fn not_found_near(what: &'static str, id: impl ToString, near: &'static str) -> Self {
        Self::NotFound { what, id: id.to_string(), near: Some(near) }
    }
    /// Shorthand for [`Error::Invalid`].
    pub fn invalid(field: &'static str, text: impl Into<String>) -> Self {
        Self::Invalid { field, text: text.into() }
    }
    /// Shorthand for [`Error::Refused`].
    pub fn refused(code: &'static str, text: impl Into<String>) -> Self {
        Self::Refused { code, text: text.into(), added: Box::default() }
    }
    /// Shorthand for [`Error::Forbidden`].
    pub fn forbidden(code: &'static str, text: impl Into<String>) -> Self {
        Self::Forbidden { code, text: text.into() }
    }
}

/// The result of such a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call on the store that judges ended early.
#[derive(Debug, Clone)]
pub enum Denial<R> {
    /// Refused: what the call noted until then (who was refused, and why) stands.
    Refused(R),
    /// Failed: nothing of it was written.
    Failed(Error),
}

impl<R> From<Error> for Denial<R> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<R> From<Fault> for Denial<R> {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

/// What such a call comes to.
pub type Judged<T, R> = std::result::Result<T, Denial<R>>;
