//! Tokenised XML (WBXML 1.1 to 1.3) for OMA-DM and Exchange ActiveSync; code pages are tables handed in.
//!
//! [`decode`] turns bytes into a tree of [`Element`]s, [`encode`] turns a tree into bytes. Both protocols use a small
//! part of the format: tags, inline strings, strings by reference and opaque data. All else is refused, save
//! attributes, which a caller may have skipped. Tags that the tables lack are kept as unknown, so that a reader can
//! pass over them as both protocols ask.

mod decode;
mod encode;
mod pages;
mod tree;

pub use decode::{Attributes, Document, Limits, Malformed, decode};
pub use encode::encode;
pub use pages::{CodePages, Page};
pub use tree::{Element, Node, Tag};

/// What stands before the body. [WBXML 1.3] 5.4 to 5.7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// 1, 2 or 3: the minor version of WBXML.
    pub minor_version: u8,
    /// Which document type the tokens belong to.
    pub public_id: PublicId,
    /// How strings are written.
    pub charset: Charset,
}

impl Header {
    /// WBXML 1.3, public id 1 (unknown), UTF-8: all ActiveSync ever uses.
    pub const ACTIVESYNC: Header = Header { minor_version: 3, public_id: PublicId::Number(1), charset: Charset::Utf8 };
}

/// The document type: a registered number, or a formal public identifier out of the string table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicId {
    /// Such as 1 (unknown) or 0x1201 (SyncML 1.2). Zero means "in the string table" on the wire, and is never here.
    Number(u32),
    /// Such as `-//SYNCML//DTD SyncML 1.2//EN`.
    Text(String),
}

/// The character sets that are taken, by their IANA number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// 106.
    Utf8,
    /// 3. Bytes above 0x7F are refused.
    UsAscii,
}

/// Why bytes are not a document that we take. `at` is the byte where it went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input ends in the middle of something.
    #[error("{field}: input ends at byte {at}")]
    Short {
        /// What was being read.
        field: &'static str,
        /// Where the input ends.
        at: usize,
    },
    /// A multi-byte integer above 32 bits.
    #[error("{field}: number too large at byte {at}")]
    Number {
        /// What was being read.
        field: &'static str,
        /// Where the number starts.
        at: usize,
    },
    /// Not WBXML 1.1, 1.2 or 1.3.
    #[error("WBXML version byte {0:#04x} is not 1.1 to 1.3")]
    Version(u8),
    /// Neither UTF-8 nor US-ASCII.
    #[error("character set {0} is neither UTF-8 (106) nor US-ASCII (3)")]
    Charset(u32),
    /// A string that its character set does not allow.
    #[error("string at byte {at} does not fit its character set")]
    Text {
        /// Where the string starts.
        at: usize,
    },
    /// A reference that points outside the string table.
    #[error("string reference {index} at byte {at} points outside the string table")]
    Reference {
        /// The offset that was asked for.
        index: u32,
        /// Where the reference stands.
        at: usize,
    },
    /// A global token that neither protocol uses: LITERAL, ENTITY, PI and the extensions.
    #[error("global token {token:#04x} at byte {at} is not supported")]
    Unsupported {
        /// The token.
        token: u8,
        /// Where it stands.
        at: usize,
    },
    /// A tag with attributes, where they are not skipped.
    #[error("tag {token:#04x} at byte {at} has attributes")]
    Attributes {
        /// The token with its attribute bit.
        token: u8,
        /// Where it stands.
        at: usize,
    },
    /// Text, END or the end of the input where the root element belongs.
    #[error("no root element at byte {at}")]
    NoRoot {
        /// Where it should stand.
        at: usize,
    },
    /// Something after the root element.
    #[error("content after the root element at byte {at}")]
    Trailing {
        /// Where it starts.
        at: usize,
    },
    /// More than [`Limits`] allow.
    #[error("{what} over the limit of {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}
