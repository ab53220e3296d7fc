//! Raw parts of a policy: what is sent as the administrator wrote it.

/// A configuration profile that is installed as it is (and signed by the channel).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppleProfile {
    /// Its PayloadIdentifier.
    pub identifier: String,
    /// XML plist, written anew from what was checked.
    pub bytes: Vec<u8>,
    /// The fewest wrong tries that any of its payloads allows.
    pub max_failed: Option<i64>,
    /// Whether it has rules for the passcode.
    pub passcode: bool,
}

/// A Windows node and what it is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsCsp {
    /// LocURI, from `./Device` or `./User`.
    pub path: String,
    /// The SyncML Format.
    pub format: CspFormat,
    /// As it goes into Data, before XML's escapes.
    pub data: String,
}

/// The Format of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the wire's")]
pub enum CspFormat {
    Int,
    Chr,
    Bool,
    B64,
    Xml,
}

impl CspFormat {
    pub(super) const ALL: [CspFormat; 5] =
        [CspFormat::Int, CspFormat::Chr, CspFormat::Bool, CspFormat::B64, CspFormat::Xml];

    /// The name on the wire and in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            CspFormat::Int => "int",
            CspFormat::Chr => "chr",
            CspFormat::Bool => "bool",
            CspFormat::B64 => "b64",
            CspFormat::Xml => "xml",
        }
    }
}
