//! What can be wrong with a policy file.

/// Bytes of a policy file, its profiles included.
pub const MAX_TEXT: usize = 1024 * 1024;

/// What is wrong with a policy file. All are the administrator's to mend; [`PolicyError::place`] is the field to name.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PolicyError {
    /// Not YAML, or not the YAML we take. The text names line and column where they are known.
    #[error("not a readable policy file: {text}")]
    Yaml { line: usize, column: usize, text: String },
    #[error("{place}: larger than {limit}")]
    TooLarge { place: String, limit: usize },
    #[error("{place}: unknown key; the nearest known one is `{nearest}`")]
    UnknownKey { place: String, nearest: String },
    #[error("{place}: missing")]
    Missing { place: String },
    #[error("{place}: takes {expected}, not {found}")]
    WrongType { place: String, expected: &'static str, found: String },
    /// Readable, but out of range, contradictory, twice there, or no setting that a policy may hold.
    #[error("{place}: {why}")]
    Refused { place: String, why: String },
    #[error("{place}: {path} is a file: `lanyard policy apply` puts its content here before it sends the policy")]
    FileName { place: String, path: String },
    #[error("{place}: cannot read {path}")]
    Read {
        place: String,
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl PolicyError {
    /// The place in the file, as `passcode.min_length`; `None` where it is no key's fault.
    pub fn place(&self) -> Option<&str> {
        match self {
            PolicyError::Yaml { .. } => None,
            PolicyError::TooLarge { place, .. }
            | PolicyError::UnknownKey { place, .. }
            | PolicyError::Missing { place }
            | PolicyError::WrongType { place, .. }
            | PolicyError::Refused { place, .. }
            | PolicyError::FileName { place, .. }
            | PolicyError::Read { place, .. } => Some(place),
        }
    }

    pub(super) fn refused<T>(place: &str, why: impl Into<String>) -> Result<T, PolicyError> {
        Err(PolicyError::Refused { place: place.to_owned(), why: why.into() })
    }
}
