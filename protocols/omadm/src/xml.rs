//! A bounded XML reader that borrows from its input, and the escaping for writing.
//!
//! For messages, not documents: no document type, no entities beyond the five, prefixes dropped, white space around
//! child elements ignored. Names are told apart without their namespace, since devices differ in prefixes and some
//! in namespaces.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::Error;

/// Bounds on one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the input.
    pub max_bytes: usize,
    /// Elements open at once.
    pub max_depth: usize,
    /// Elements in all; each costs some 150 bytes of memory while the message is read.
    pub max_elements: usize,
}

impl Limits {
    /// SOAP messages of the enrolment: 256 kB.
    pub const SOAP: Limits = Limits { max_bytes: 256 * 1024, max_depth: 32, max_elements: 4_000 };
    /// SyncML messages: 8 MB.
    pub const SYNCML: Limits = Limits { max_bytes: 8 * 1024 * 1024, max_depth: 32, max_elements: 50_000 };
}

const MAX_ATTRIBUTES: usize = 32;

/// An element: local name, attributes by local name, its own text, child elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) attributes: Vec<(&'a str, Cow<'a, str>)>,
    /// All text directly in the element, joined.
    pub(crate) text: Cow<'a, str>,
    /// The text held what is none, and has U+FFFD in its place.
    pub(crate) spoilt: bool,
    pub(crate) children: Vec<Element<'a>>,
}

impl<'a> Element<'a> {
    pub(crate) fn child(&self, name: &str) -> Option<&Element<'a>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first child of the first child … along the names.
    #[cfg(test)]
    pub(crate) fn path(&self, names: &[&str]) -> Option<&Element<'a>> {
        names.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The name of the first element in here whose text is spoilt.
    pub(crate) fn spoilt_within(&self) -> Option<&str> {
        if self.spoilt { Some(&self.name) } else { self.children.iter().find_map(Element::spoilt_within) }
    }

    pub(crate) fn trimmed(&self) -> &str {
        self.text.trim()
    }

    /// The trimmed text of a child; `None` where it is absent or empty.
    pub(crate) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(Element::trimmed).filter(|text| !text.is_empty())
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
    }
}

/// Reads a whole document. UTF-8 only, with or without a byte order mark.
pub(crate) fn parse<'a>(input: &'a [u8], limits: &Limits) -> Result<Element<'a>, Error> {
    if input.len() > limits.max_bytes {
        return Err(Error::Limit { what: "bytes of the message", limit: limits.max_bytes });
    }
    let text = std::str::from_utf8(input).map_err(|error| fault(error.valid_up_to() as u64, "not UTF-8"))?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if text.starts_with('\u{FEFF}') {
        return Err(fault(3, "a second byte order mark"));
    }
    Tree { limits, mends: false, open: Vec::new(), root: None, elements: 0 }.read(text)
}

/// Reads what [`parse`] refused for its text alone, from which [`String::from_utf8_lossy`] has taken what is not UTF-8: where a
/// character is none that XML allows, or a reference means none, stands U+FFFD, and its element is marked as spoilt.
pub(crate) fn parse_spoilt<'a>(text: &'a str, limits: &Limits) -> Result<Element<'a>, Error> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    Tree { limits, mends: true, open: Vec::new(), root: None, elements: 0 }.read(text)
}

fn fault(at: u64, reason: impl std::fmt::Display) -> Error {
    Error::Xml { at, reason: reason.to_string() }
}

struct Tree<'a, 'l> {
    limits: &'l Limits,
    /// What is no text is replaced, not refused.
    mends: bool,
    open: Vec<Element<'a>>,
    root: Option<Element<'a>>,
    elements: usize,
}

impl<'a> Tree<'a, '_> {
    fn read(mut self, text: &'a str) -> Result<Element<'a>, Error> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().allow_dangling_amp = self.mends;
        loop {
            let at = reader.buffer_position();
            let event = reader.read_event().map_err(|error| fault(reader.error_position(), error))?;
            match event {
                Event::Start(start) => self.start(element(&start, text, at)?, at)?,
                Event::Empty(start) => {
                    self.start(element(&start, text, at)?, at)?;
                    self.end();
                }
                Event::End(_) => self.end(),
                Event::Text(content) => self.text(content.xml10_content().map_err(|e| fault(at, e))?, at)?,
                Event::CData(content) => self.text(content.xml10_content().map_err(|e| fault(at, e))?, at)?,
                Event::GeneralRef(reference) => match resolve(&reference, at) {
                    Err(_) if self.mends => self.text(Cow::Borrowed(MENDED), at)?,
                    character => self.text(character?, at)?,
                },
                Event::DocType(_) => return Err(fault(at, "document types are not taken")),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        let end = text.len() as u64;
        if !self.open.is_empty() {
            return Err(fault(end, "the input ends within an element"));
        }
        self.root.ok_or_else(|| fault(end, "no element"))
    }

    fn start(&mut self, element: Element<'a>, at: u64) -> Result<(), Error> {
        if self.root.is_some() {
            return Err(fault(at, "a second root element"));
        }
        if self.open.len() >= self.limits.max_depth {
            return Err(Error::Limit { what: "elements within each other", limit: self.limits.max_depth });
        }
        self.elements += 1;
        if self.elements > self.limits.max_elements {
            return Err(Error::Limit { what: "elements", limit: self.limits.max_elements });
        }
        self.open.push(element);
        Ok(())
    }

    /// The reader has checked that start and end names match.
    fn end(&mut self) {
        let Some(done) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => self.root = Some(done),
        }
    }

    fn text(&mut self, mut text: Cow<'a, str>, at: u64) -> Result<(), Error> {
        if !is_text(&text) {
            if !self.mends {
                return Err(fault(at, "a character that XML does not allow"));
            }
            text = Cow::Owned(mended(&text));
        }
        let spoilt = self.mends && text.contains(MENDED);
        let Some(element) = self.open.last_mut() else {
            return if text.trim().is_empty() { Ok(()) } else { Err(fault(at, "text outside the root element")) };
        };
        element.spoilt |= spoilt;
        if element.text.is_empty() {
            element.text = text;
        } else {
            element.text.to_mut().push_str(&text);
        }
        Ok(())
    }
}

/// Names are cut out of the input itself, since the reader lends them only until its next event.
fn element<'a>(start: &BytesStart<'_>, text: &'a str, at: u64) -> Result<Element<'a>, Error> {
    let from = usize::try_from(at).unwrap_or(usize::MAX).saturating_add(1);
    let name = text.get(from..from.saturating_add(start.name().as_ref().len())).unwrap_or_default();
    let local = local(name);
    if local.is_empty() {
        return Err(fault(at, "an element without a name"));
    }
    let mut attributes = Vec::new();
    if !start.attributes_raw().is_empty() {
        for (count, attribute) in start.attributes().enumerate() {
            // The reader compares each with all before it.
            if count >= MAX_ATTRIBUTES {
                return Err(Error::Limit { what: "attributes of an element", limit: MAX_ATTRIBUTES });
            }
            let attribute = attribute.map_err(|error| fault(at, error))?;
            let key = std::str::from_utf8(attribute.key.as_ref()).map_err(|error| fault(at, error))?;
            // Namespace declarations are of no use once prefixes are dropped.
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            let value = attribute.unescape_value().map_err(|error| fault(at, error))?.into_owned();
            if !is_text(&value) {
                return Err(fault(at, "a character that XML does not allow"));
            }
            // The key as the input has it: borrowed, so found again by its place.
            let head = text.get(from..).unwrap_or_default();
            let place = head.find(key).unwrap_or_default();
            let key = head.get(place..place + key.len()).unwrap_or_default();
            attributes.push((self::local(key), Cow::Owned(value)));
        }
    }
    Ok(Element { name: Cow::Borrowed(local), attributes, ..Element::default() })
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn resolve(reference: &BytesRef<'_>, at: u64) -> Result<Cow<'static, str>, Error> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| fault(at, error))? {
        return Ok(Cow::Owned(character.to_string()));
    }
    let name = reference.decode().map_err(|error| fault(at, error))?;
    quick_xml::escape::resolve_predefined_entity(&name)
        .map(Cow::Borrowed)
        .ok_or_else(|| fault(at, "an entity beyond the five"))
}

/// Whether XML 1.0 can carry all characters of the text.
pub(crate) fn is_text(text: &str) -> bool {
    let plain = |byte: u8| byte >= 0x20 && byte != 0xEF || matches!(byte, b'\t' | b'\n' | b'\r');
    text.bytes().all(plain)
        || text.chars().all(|c| match c {
            '\t' | '\n' | '\r' => true,
            '\u{FFFE}' | '\u{FFFF}' => false,
            c => c >= ' ',
        })
}

/// Appends text, escaped so that any reader gives back the same characters: a bare CR would come back as LF. Also
/// right within an attribute's double quotes.
pub(crate) fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\r']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let mut chars = from.chars();
        out.push_str(match chars.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            _ => "&#13;",
        });
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// The text escaped; what XML cannot carry becomes U+FFFD. For our own texts and echoes, not for settings.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    if is_text(text) {
        escape(text, &mut out);
    } else {
        escape(&mended(text), &mut out);
    }
    out
}

/// What stands where there was no text.
const MENDED: &str = "\u{FFFD}";

/// The text with U+FFFD for what XML cannot carry.
pub(crate) fn mended(text: &str) -> String {
    text.chars().map(|c| if is_text(c.encode_utf8(&mut [0; 4])) { c } else { '\u{FFFD}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(input: &str) -> String {
        parse(input.as_bytes(), &Limits::SOAP).unwrap_err().to_string()
    }

    #[test]
    fn prefixes_are_dropped_and_text_is_joined() {
        let root = parse(
            b"\xEF\xBB\xBF<?xml version='1.0'?><s:A xmlns:s='u'><B q:k='a&amp;b' l=\"c\">x<!-- c -->&lt;&#65;<![CDATA[<&]]>\r\ny</B> <C/></s:A>",
            &Limits::SOAP,
        )
        .unwrap();
        assert_eq!(root.name, "A");
        let b = root.child("B").unwrap();
        assert_eq!((b.text.as_ref(), b.attribute("k"), b.attribute("l")), ("x<A<&\ny", Some("a&b"), Some("c")));
        assert_eq!(root.child("C").unwrap().text, "");
    }

    #[test]
    fn what_no_device_needs_is_refused() {
        for (row, input, want) in [
            ("document type", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "document types"),
            ("entity", "<a>&b;</a>", "entity beyond the five"),
            ("entity in an attribute", "<a b='&c;'/>", "XML at byte 0"),
            ("control character", "<a>\u{1}</a>", "does not allow"),
            ("control character by number", "<a>&#1;</a>", "does not allow"),
            ("NUL by number", "<a>&#0;</a>", "XML at byte 3"),
            ("not a character", "<a>\u{FFFF}</a>", "does not allow"),
            ("cut short", "<a><b></b>", "ends within an element"),
            ("wrong end", "<a><b></a></b>", "XML at byte"),
            ("two roots", "<a/><b/>", "second root"),
            ("text outside", "<a/>b", "outside the root"),
            ("nothing", "", "no element"),
            ("twice the same attribute", "<a b='1' b='2'/>", "XML at byte 0"),
        ] {
            assert!(refused(input).contains(want), "{row}: {}", refused(input));
        }
        assert!(parse(b"<a>\xFF</a>", &Limits::SOAP).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { max_bytes: 60, max_depth: 3, max_elements: 5 };
        assert!(parse("<a><b><c/></b></a>".as_bytes(), &limits).is_ok());
        let many: String = (0..33).map(|n| format!(" a{n}=''")).collect();
        assert!(matches!(parse(format!("<a{many}/>").as_bytes(), &Limits::SOAP), Err(Error::Limit { .. })));
        for input in
            ["<a><b><c><d/></c></b></a>".to_owned(), "<a><b/><b/><b/><b/><b/></a>".to_owned(), "<a>".repeat(30)]
        {
            assert!(matches!(parse(input.as_bytes(), &limits), Err(Error::Limit { .. })), "{input}");
        }
    }

    #[test]
    fn escaping_survives_any_reader() {
        let mut out = "<a b=\"".to_owned();
        let text = "a&b<c>d\"e'f\r\ng\u{FFFD}é";
        escape(text, &mut out);
        out.push_str("\">");
        escape(text, &mut out);
        out.push_str("</a>");
        let root = parse(out.as_bytes(), &Limits::SOAP).unwrap();
        assert_eq!(root.text, text);
        assert_eq!(escaped("a\u{1}b\u{FFFE}&"), "a\u{FFFD}b\u{FFFD}&amp;");
    }
}
