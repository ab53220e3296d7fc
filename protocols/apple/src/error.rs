//! What can be wrong with bytes from a device, or with what we are asked to build.

/// Text from outside is cut to 80 characters in these, so that an error fits a log line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than any message of the protocol has.
    #[error("body of {got} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes that came.
        got: usize,
        /// Bytes that would be read.
        limit: usize,
    },
    /// Nested deeper than any message of the protocol.
    #[error("property list nested deeper than {limit}")]
    TooDeep {
        /// Collections that may lie inside each other.
        limit: usize,
    },
    /// More values, or in binary form more bytes behind shared references, than any message has.
    #[error("property list of more than {limit} {unit}")]
    TooMany {
        /// How many are read.
        limit: usize,
        /// What was counted.
        unit: &'static str,
    },
    /// Not a property list in XML.
    #[error("not an XML property list: {what}, at byte {at}")]
    Xml {
        /// Offset in the body.
        at: usize,
        /// What was found or missing.
        what: &'static str,
    },
    /// Not a property list in binary form.
    #[error("not a binary property list: {what}, at byte {at}")]
    Binary {
        /// Offset in the body.
        at: usize,
        /// What was found or missing.
        what: &'static str,
    },
    /// Two values for one key: readers differ in which they take.
    #[error("key {key:?} twice in one dictionary")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The outermost value is something else.
    #[error("the outermost value is not a dictionary")]
    NotADictionary,
    /// A key that this message must have.
    #[error("{field} is missing")]
    Missing {
        /// The key.
        field: &'static str,
    },
    /// A key with a value of another type.
    #[error("{field} is not {want}")]
    WrongType {
        /// The key.
        field: &'static str,
        /// The type it has by the specification.
        want: &'static str,
    },
    /// A key whose value cannot be used.
    #[error("{field}: {why}")]
    BadValue {
        /// The key, or the argument.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Neither a check-in nor a report.
    #[error("neither MessageType nor Status")]
    NeitherKind,
    /// A check-in that this crate does not know.
    #[error("unknown MessageType {0:?}")]
    UnknownMessageType(String),
    /// A report with a status that this crate does not know.
    #[error("unknown Status {0:?}")]
    UnknownStatus(String),
    /// A command that this crate does not know.
    #[error("unknown RequestType {0:?}")]
    UnknownRequestType(String),
    /// A declarative management request for something that does not exist.
    #[error("unknown Endpoint {0:?}")]
    UnknownEndpoint(String),
    /// Neither UDID nor EnrollmentID, or not the user's name on a user channel.
    #[error("the message does not say which device it is from")]
    Unidentified,
    /// A profile with a payload that profiles of administrators must not have.
    #[error("the payload {payload_type} is refused: {why}")]
    ForbiddenPayload {
        /// Its PayloadType.
        payload_type: String,
        /// What it could do.
        why: &'static str,
    },
    /// A profile with a key that profiles of administrators must not have.
    #[error("the key {key} is refused: {why}")]
    ForbiddenKey {
        /// The key, in small letters.
        key: &'static str,
        /// What it could do.
        why: &'static str,
    },
    /// A profile that would erase devices after very few wrong passcodes.
    #[error(
        "maxFailedAttempts {got} is refused: it must be a whole number from {least}, since so many wrong tries erase the device"
    )]
    FailedAttempts {
        /// What the profile asks for.
        got: i64,
        /// The least that is accepted.
        least: i64,
    },
    /// A profile in which nothing can be checked.
    #[error("the profile is encrypted: what cannot be read cannot be checked")]
    Encrypted,
    /// A profile that carries another one in data, signed or in a form that is not taken.
    #[error("data in the profile holds a property list that cannot be read, and so not be checked")]
    Unreadable,
}

/// The start of text from outside, for an error.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
