//! Bytes to a tree, within limits. Nothing here recurses, and memory is bounded by the limits, not by the input's
//! claims.

use crate::encode::{END, OPAQUE, STR_I, STR_T, SWITCH_PAGE, TOKEN, WITH_ATTRIBUTES, WITH_CONTENT};
use crate::pages::CodePages;
use crate::tree::{Element, Node};
use crate::{Charset, Error, Header, PublicId};

const ENTITY: u8 = 0x02;
const LITERAL: u8 = 0x04;

/// How much a document may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the input, and of all text and opaque data together once references are resolved.
    pub max_bytes: usize,
    /// How many elements may be open at once, the root among them.
    pub max_depth: usize,
    /// How many elements and pieces of opaque data there may be; each costs some 50 to 250 bytes of memory.
    pub max_elements: usize,
    /// What to do with a tag that has attributes.
    pub attributes: Attributes,
    /// What to do with a string that is none in its character set.
    pub malformed: Malformed,
}

impl Limits {
    /// 256 kB, 32 deep, 16,384 elements, attributes and malformed strings refused.
    pub const SMALL: Limits = Limits {
        max_bytes: 256 * 1024,
        max_depth: 32,
        max_elements: 16_384,
        attributes: Attributes::Refuse,
        malformed: Malformed::Refuse,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::SMALL
    }
}

/// What becomes of attributes, which neither protocol defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    /// The document is refused.
    Refuse,
    /// They are passed over.
    Skip,
}

/// What becomes of a string with bytes that its character set does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The document is refused.
    Refuse,
    /// It is handed on as opaque data: one bad string need not spoil the rest.
    AsBytes,
}

/// A decoded document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What stood before the body.
    pub header: Header,
    /// The root element.
    pub root: Element,
}

/// Reads a whole document; nothing may follow it.
pub fn decode(bytes: &[u8], pages: &CodePages, limits: &Limits) -> Result<Document, Error> {
    if bytes.len() > limits.max_bytes {
        return Err(Error::Limit { what: "document bytes", limit: limits.max_bytes });
    }
    let mut reader = Reader { bytes, at: 0 };
    let (header, table) = head(&mut reader)?;
    let body = Body { reader, pages, limits, charset: header.charset, table, page: 0, elements: 0, text_bytes: 0 };
    Ok(Document { header, root: body.read()? })
}

fn head<'a>(reader: &mut Reader<'a>) -> Result<(Header, &'a [u8]), Error> {
    let minor_version = reader.byte("version")?;
    if !(1..=3).contains(&minor_version) {
        return Err(Error::Version(minor_version));
    }
    let number = reader.number("public id")?;
    let id_at = reader.at;
    let in_table = if number == 0 { Some(reader.number("public id")?) } else { None };
    let charset = match reader.number("character set")? {
        106 => Charset::Utf8,
        3 => Charset::UsAscii,
        other => return Err(Error::Charset(other)),
    };
    let length = reader.number("string table")?;
    let table = reader.take(length, "string table")?;
    let public_id = match in_table {
        None => PublicId::Number(number),
        Some(index) => PublicId::Text(text(referenced(table, index, id_at)?, id_at, charset)?.to_owned()),
    };
    Ok((Header { minor_version, public_id, charset }, table))
}

/// The string at an offset of the string table. The last one may lack its NUL: some encoders count it out.
fn referenced(table: &[u8], index: u32, at: usize) -> Result<&[u8], Error> {
    let outside = Error::Reference { index, at };
    let rest = usize::try_from(index).ok().and_then(|start| table.get(start..)).filter(|rest| !rest.is_empty());
    Ok(rest.ok_or(outside)?.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn text(bytes: &[u8], at: usize, charset: Charset) -> Result<&str, Error> {
    if charset == Charset::UsAscii && !bytes.is_ascii() {
        return Err(Error::Text { at });
    }
    std::str::from_utf8(bytes).map_err(|_| Error::Text { at })
}

struct Body<'a> {
    reader: Reader<'a>,
    pages: &'a CodePages,
    limits: &'a Limits,
    charset: Charset,
    table: &'a [u8],
    page: u8,
    elements: usize,
    text_bytes: usize,
}

impl Body<'_> {
    fn read(mut self) -> Result<Element, Error> {
        let mut open: Vec<Element> = Vec::new();
        loop {
            let at = self.reader.at;
            if open.is_empty() && self.reader.is_done() {
                return Err(Error::NoRoot { at });
            }
            let node = match self.reader.byte("body")? {
                SWITCH_PAGE => {
                    self.page = self.reader.byte("page")?;
                    continue;
                }
                END | STR_I | STR_T | OPAQUE if open.is_empty() => return Err(Error::NoRoot { at }),
                END => open.pop().map(Node::Element),
                STR_I => Some(self.inline(at)?),
                STR_T => Some(self.reference(at)?),
                OPAQUE => Some(self.opaque()?),
                token if matches!(token & TOKEN, 0..=LITERAL) => {
                    return Err(Error::Unsupported { token, at });
                }
                token => self.tag(token, at, &mut open)?.map(Node::Element),
            };
            match (node, open.last_mut()) {
                (None, _) => {}
                (Some(node), Some(parent)) => attach(parent, node),
                (Some(Node::Element(root)), None) if self.reader.is_done() => return Ok(root),
                (Some(_), None) => return Err(Error::Trailing { at: self.reader.at }),
            }
        }
    }

    /// Opens an element, or returns it where it has no content.
    fn tag(&mut self, token: u8, at: usize, open: &mut Vec<Element>) -> Result<Option<Element>, Error> {
        if token & WITH_ATTRIBUTES != 0 {
            match self.limits.attributes {
                Attributes::Refuse => return Err(Error::Attributes { token, at }),
                Attributes::Skip => self.skip_attributes()?,
            }
        }
        self.count()?;
        if open.len() >= self.limits.max_depth {
            return Err(Error::Limit { what: "depth", limit: self.limits.max_depth });
        }
        let element = Element::empty(self.pages.tag(self.page, token & TOKEN));
        if token & WITH_CONTENT == 0 {
            return Ok(Some(element));
        }
        open.push(element);
        Ok(None)
    }

    /// Up to the END of the list. Attribute pages are a space of their own and do not move the tag page.
    fn skip_attributes(&mut self) -> Result<(), Error> {
        loop {
            let at = self.reader.at;
            match self.reader.byte("attributes")? {
                END => return Ok(()),
                SWITCH_PAGE => drop(self.reader.byte("attribute page")?),
                ENTITY | STR_T => drop(self.reader.number("attribute")?),
                STR_I => drop(self.reader.until_nul("attribute")?),
                OPAQUE => {
                    let length = self.reader.number("attribute")?;
                    self.reader.take(length, "attribute")?;
                }
                token if matches!(token & TOKEN, 0..=LITERAL) => return Err(Error::Unsupported { token, at }),
                _ => {}
            }
        }
    }

    fn inline(&mut self, at: usize) -> Result<Node, Error> {
        let bytes = self.reader.until_nul("string")?;
        self.string(bytes, at)
    }

    fn reference(&mut self, at: usize) -> Result<Node, Error> {
        let index = self.reader.number("string reference")?;
        self.string(referenced(self.table, index, at)?, at)
    }

    fn string(&mut self, bytes: &[u8], at: usize) -> Result<Node, Error> {
        self.spend(bytes.len())?;
        match text(bytes, at, self.charset) {
            Ok(text) => Ok(Node::Text(text.to_owned())),
            Err(error) if self.limits.malformed == Malformed::Refuse => Err(error),
            Err(_) => {
                self.count()?;
                Ok(Node::Opaque(bytes.to_vec()))
            }
        }
    }

    fn opaque(&mut self) -> Result<Node, Error> {
        let length = self.reader.number("opaque length")?;
        let bytes = self.reader.take(length, "opaque data")?;
        self.count()?;
        self.spend(bytes.len())?;
        Ok(Node::Opaque(bytes.to_vec()))
    }

    /// Elements and opaque pieces, even empty ones, cost memory. Strings do not need it: neighbours are joined.
    fn count(&mut self) -> Result<(), Error> {
        self.elements += 1;
        if self.elements > self.limits.max_elements {
            return Err(Error::Limit { what: "elements", limit: self.limits.max_elements });
        }
        Ok(())
    }

    /// Two bytes can refer to a string of any length: what comes out is counted, not only what goes in.
    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        self.text_bytes = self.text_bytes.saturating_add(bytes);
        if self.text_bytes > self.limits.max_bytes {
            return Err(Error::Limit { what: "text bytes", limit: self.limits.max_bytes });
        }
        Ok(())
    }
}

/// Joins neighbouring strings and drops empty ones, so that equal content makes equal trees.
fn attach(parent: &mut Element, node: Node) {
    match (node, parent.children.last_mut()) {
        (Node::Text(text), _) if text.is_empty() => {}
        (Node::Text(text), Some(Node::Text(before))) => before.push_str(&text),
        (node, _) => parent.children.push(node),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn short(&self, field: &'static str) -> Error {
        Error::Short { field, at: self.bytes.len() }
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, Error> {
        let byte = self.rest().first().copied().ok_or_else(|| self.short(field))?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: u32, field: &'static str) -> Result<&'a [u8], Error> {
        let taken = usize::try_from(length).ok().and_then(|length| self.rest().get(..length));
        let taken = taken.ok_or_else(|| self.short(field))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn until_nul(&mut self, field: &'static str) -> Result<&'a [u8], Error> {
        let rest = self.rest();
        let length = rest.iter().position(|byte| *byte == 0).ok_or_else(|| self.short(field))?;
        self.at += length + 1;
        Ok(rest.get(..length).unwrap_or_default())
    }

    /// A multi-byte integer. [WBXML 1.3] 5.1.
    fn number(&mut self, field: &'static str) -> Result<u32, Error> {
        let at = self.at;
        let mut number: u32 = 0;
        loop {
            let byte = self.byte(field)?;
            if number >> 25 != 0 || self.at - at > 5 {
                return Err(Error::Number { field, at });
            }
            number = number << 7 | u32::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
    }
}
