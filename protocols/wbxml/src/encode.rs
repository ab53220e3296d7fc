//! A tree to bytes. Pages are switched only where the page changes; empty elements are one byte.

use crate::tree::{Element, Node, Tag};
use crate::{Charset, Header, PublicId};

pub(crate) const SWITCH_PAGE: u8 = 0x00;
pub(crate) const END: u8 = 0x01;
pub(crate) const STR_I: u8 = 0x03;
pub(crate) const STR_T: u8 = 0x83;
pub(crate) const OPAQUE: u8 = 0xC3;
pub(crate) const WITH_CONTENT: u8 = 0x40;
pub(crate) const WITH_ATTRIBUTES: u8 = 0x80;
pub(crate) const TOKEN: u8 = 0x3F;

/// Writes a document. A public id in words goes into a string table of its own; strings are always inline.
///
/// A string with a NUL in it is written as opaque bytes, since an inline string would end there. Strings
/// are written as they are: a header that says US-ASCII is the caller's promise.
pub fn encode(header: &Header, root: &Element) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    start(header, &mut out);
    let mut page = 0;
    element(root, &mut page, &mut out);
    out
}

fn start(header: &Header, out: &mut Vec<u8>) {
    out.push(header.minor_version);
    let table = match &header.public_id {
        PublicId::Number(number) => {
            multi_byte(*number, out);
            None
        }
        PublicId::Text(text) => {
            out.extend([0, 0]);
            Some(text)
        }
    };
    multi_byte(
        match header.charset {
            Charset::Utf8 => 106,
            Charset::UsAscii => 3,
        },
        out,
    );
    match table {
        None => out.push(0),
        Some(text) => {
            length(text.len() + 1, out);
            out.extend(text.bytes());
            out.push(0);
        }
    }
}

/// Iterative, so that a deep tree costs no stack.
fn element(root: &Element, page: &mut u8, out: &mut Vec<u8>) {
    let mut open: Vec<std::slice::Iter<'_, Node>> = Vec::new();
    if tag(root, page, out) {
        open.push(root.children.iter());
    }
    while let Some(children) = open.last_mut() {
        match children.next() {
            None => {
                out.push(END);
                open.pop();
            }
            Some(Node::Element(child)) => {
                if tag(child, page, out) {
                    open.push(child.children.iter());
                }
            }
            Some(Node::Text(text)) if text.contains('\0') => opaque(text.as_bytes(), out),
            Some(Node::Text(text)) => {
                out.push(STR_I);
                out.extend(text.bytes());
                out.push(0);
            }
            Some(Node::Opaque(bytes)) => opaque(bytes, out),
        }
    }
}

/// Writes the tag; true where content and an END follow.
fn tag(element: &Element, page: &mut u8, out: &mut Vec<u8>) -> bool {
    let Tag { page: wanted, token, .. } = element.tag;
    if wanted != *page {
        out.extend([SWITCH_PAGE, wanted]);
        *page = wanted;
    }
    let content = !element.children.is_empty();
    out.push(token & TOKEN | if content { WITH_CONTENT } else { 0 });
    content
}

fn opaque(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(OPAQUE);
    length(bytes.len(), out);
    out.extend(bytes);
}

/// Lengths are 32 bits on the wire; nothing that we write comes near.
fn length(length: usize, out: &mut Vec<u8>) {
    multi_byte(u32::try_from(length).unwrap_or(u32::MAX), out);
}

/// Seven bits a byte, most significant first, all but the last with the high bit. [WBXML 1.3] 5.1.
fn multi_byte(number: u32, out: &mut Vec<u8>) {
    for shift in [28, 21, 14, 7] {
        if number >> shift != 0 {
            out.push((number >> shift & 0x7F) as u8 | 0x80);
        }
    }
    out.push((number & 0x7F) as u8);
}
