//! What can be wrong with bytes from a device, or with what we were asked to send.

/// Why a message could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not well-formed XML, or a part of XML that no device needs (document types, general entities).
    #[error("XML at byte {at}: {reason}")]
    Xml {
        /// Offset in the input.
        at: u64,
        /// What the XML reader says.
        reason: String,
    },
    /// A bound on the input was passed.
    #[error("{what}: more than {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// Not WBXML, or of a kind that SyncML does not use.
    #[error("WBXML: {0}")]
    Wbxml(#[from] lanyard_wbxml::Error),
    /// WBXML of another document type.
    #[error("WBXML public id {0} is not SyncML 1.2")]
    PublicId(String),
    /// A required element is absent.
    #[error("{within}: {element} is missing")]
    Missing {
        /// The element that holds it.
        within: &'static str,
        /// The absent one.
        element: &'static str,
    },
    /// Another element, or one more, than the place allows.
    #[error("{within}: unexpected {found}")]
    Unexpected {
        /// The element that holds it.
        within: &'static str,
        /// What stands there.
        found: String,
    },
    /// The text of an element is not what its type says.
    #[error("{element}: {reason}")]
    Value {
        /// The element.
        element: &'static str,
        /// What is wrong with the text.
        reason: &'static str,
    },
    /// Text that XML cannot carry, such as control characters, was to be sent.
    #[error("{element}: a character that XML cannot carry")]
    Unencodable {
        /// Where it stands.
        element: &'static str,
    },
}

impl Error {
    /// Cuts `found` so that an error never repeats a whole hostile document.
    pub(crate) fn unexpected(within: &'static str, found: &str) -> Error {
        Error::Unexpected { within, found: found.chars().take(40).collect() }
    }
}
