//! Large objects: a value that comes in several messages. [OMA DM Protocol] 7.2.

use serde::{Deserialize, Serialize};

use super::MAX_OBJECT_BYTES;

/// The part of a value that has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub(super) msg_ref: u32,
    pub(super) cmd_ref: String,
    uri: Option<String>,
    format: String,
    size: usize,
    text: String,
}

/// Why a chunk is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// 411: the first chunk does not say how long the whole is.
    NoSize,
    /// 413: longer than we take.
    TooLarge,
    /// 424: not as long as the first chunk said.
    SizeMismatch,
}

impl Refused {
    pub(super) fn code(self) -> u16 {
        match self {
            Refused::NoSize => 411,
            Refused::TooLarge => 413,
            Refused::SizeMismatch => 424,
        }
    }
}

/// A value that is complete.
pub(super) struct Whole {
    pub(super) uri: Option<String>,
    pub(super) format: String,
    pub(super) data: String,
}

impl Chunk {
    pub(super) fn begin(
        msg_ref: u32,
        cmd_ref: &str,
        uri: Option<&str>,
        format: &str,
        size: Option<u64>,
    ) -> Result<Chunk, Refused> {
        let size = usize::try_from(size.ok_or(Refused::NoSize)?).map_err(|_| Refused::TooLarge)?;
        // Names are kept with the session, so they count.
        if size > MAX_OBJECT_BYTES || uri.is_some_and(|uri| uri.len() > 4_096) || format.len() > 64 {
            return Err(Refused::TooLarge);
        }
        let (cmd_ref, uri, format) = (cmd_ref.to_owned(), uri.map(str::to_owned), format.to_owned());
        Ok(Chunk { msg_ref, cmd_ref, uri, format, size, text: String::new() })
    }

    /// Whether a further item belongs to this value. Later chunks may leave the node's name out.
    pub(super) fn is(&self, msg_ref: u32, cmd_ref: &str, uri: Option<&str>) -> bool {
        self.msg_ref == msg_ref && self.cmd_ref == cmd_ref && (uri.is_none() || uri == self.uri.as_deref())
    }

    /// Takes one more piece, within the promised size (base64 is a third longer than what it stands for).
    pub(super) fn push(&mut self, piece: &str) -> Result<(), Refused> {
        if self.text.len().saturating_add(piece.len()) > self.size.saturating_mul(3) / 2 + 4 {
            return Err(Refused::SizeMismatch);
        }
        self.text.push_str(piece);
        Ok(())
    }

    /// The whole, where it is as long as was said: as text, or, for bytes, as what the base64 stands for.
    pub(super) fn finish(self) -> Result<Whole, Refused> {
        let is_bytes = matches!(self.format.as_str(), "b64" | "bin");
        let padding = self.text.bytes().rev().take_while(|byte| *byte == b'=').count();
        let decoded = (self.text.len() / 4 * 3).saturating_sub(padding);
        if self.text.len() == self.size || is_bytes && decoded == self.size {
            Ok(Whole { uri: self.uri, format: self.format, data: self.text })
        } else {
            Err(Refused::SizeMismatch)
        }
    }
}
