//! Meta information about an item, a command or the sender. [OMA MetInf 1.2].

use super::{Notes, leaf, number, parent};
use crate::xml::Element;

/// What MetInf says; absent fields are not written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// `chr` where absent; `int`, `bool`, `b64`, `bin`, `xml`, `node`, `null` …
    pub format: Option<String>,
    /// A media type, or the name of an alert or authentication scheme.
    pub kind: Option<String>,
    /// Importance of an alert: `fatal`, `critical`, `minor`, `warning`, `informational`, `harmless`, `indeterminate`.
    pub mark: Option<String>,
    /// Length in bytes of a large object, in its first chunk.
    pub size: Option<u64>,
    /// Base64 of the nonce for the next authentication.
    pub next_nonce: Option<String>,
    /// Largest message that the sender takes, in bytes.
    pub max_msg_size: Option<u64>,
    /// Largest object that the sender takes, in bytes.
    pub max_obj_size: Option<u64>,
}

impl Meta {
    /// Only a format.
    pub fn of_format(format: &str) -> Meta {
        Meta { format: Some(format.to_owned()), ..Meta::default() }
    }

    /// Whether nothing is said, and no element written.
    pub fn is_empty(&self) -> bool {
        *self == Meta::default()
    }

    /// The Meta of an element of this command; an absent one is an empty one, and so is a size that is no number.
    pub(super) fn of(element: &Element<'_>, command: &Element<'_>, notes: &mut Notes) -> Meta {
        let Some(meta) = element.child("Meta") else { return Meta::default() };
        // Some clients keep the root element of the MetInf document type.
        let meta = meta.child("MetInf").unwrap_or(meta);
        let text = |name| meta.child_text(name).map(str::to_owned);
        let mut size = |name| notes.take(command, meta.child_text(name).map(|text| number(text, name)).transpose())?;
        Meta {
            format: text("Format"),
            kind: text("Type"),
            mark: text("Mark"),
            size: size("Size"),
            next_nonce: text("NextNonce"),
            max_msg_size: size("MaxMsgSize"),
            max_obj_size: size("MaxObjSize"),
        }
    }

    /// The element, none where it would be empty.
    pub(super) fn to_tree(&self) -> Option<Element<'_>> {
        if self.is_empty() {
            return None;
        }
        fn text<'a>(name: &'static str, value: &'a Option<String>) -> Option<Element<'a>> {
            value.as_deref().map(|value| leaf(name, value))
        }
        let size = |name, value: Option<u64>| value.map(|value| leaf(name, value.to_string()));
        let children = [
            text("Format", &self.format),
            text("Type", &self.kind),
            text("Mark", &self.mark),
            size("Size", self.size),
            text("NextNonce", &self.next_nonce),
            size("MaxMsgSize", self.max_msg_size),
            size("MaxObjSize", self.max_obj_size),
        ];
        Some(parent("Meta", children.into_iter().flatten()))
    }
}
