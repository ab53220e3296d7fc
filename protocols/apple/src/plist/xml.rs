//! Property lists in XML, as devices send and read them. No entities but XML's five, no internal DTD, UTF-8 alone.

use base64::{Engine, engine::general_purpose::STANDARD};
use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

use super::{Budget, Dict, MAX_DEPTH, Value, clean, is_date, is_xml_char};
use crate::error::Error;

const PROLOGUE: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    "\n",
    r#"<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">"#,
    "\n",
    r#"<plist version="1.0">"#,
    "\n"
);

/// Columns of base64 on a line.
const DATA_COLUMNS: usize = 76;

pub(super) fn parse(bytes: &[u8]) -> Result<Value, Error> {
    let text = std::str::from_utf8(bytes).map_err(|e| Error::Xml { at: e.valid_up_to(), what: "not UTF-8" })?;
    read(text, Care::Strict)
}

/// See [`super::parse_spoilt`].
pub(super) fn parse_spoilt(bytes: &[u8]) -> Result<Value, Error> {
    read(&String::from_utf8_lossy(bytes), Care::Spoilt)
}

fn read(text: &str, care: Care) -> Result<Value, Error> {
    let mut xml = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    xml.config_mut().expand_empty_elements = true;
    let reader = XmlReader { xml, open: Vec::new(), root: None, place: Place::Before, budget: Budget::new(), care };
    reader.run()
}

struct XmlReader<'a> {
    xml: Reader<&'a [u8]>,
    open: Vec<Open>,
    root: Option<Value>,
    place: Place,
    budget: Budget,
    care: Care,
}

/// What becomes of a value that is spoilt.
#[derive(Clone, Copy, PartialEq)]
enum Care {
    /// It is an error.
    Strict,
    /// The rest counts.
    Spoilt,
}

/// What says who a message is from and what it is about: two of one, and it says neither.
const WHO_AND_WHAT: [&str; 7] =
    ["UDID", "EnrollmentID", "UserID", "EnrollmentUserID", "UserShortName", "Status", "CommandUUID"];

/// A collection whose end has not come yet.
enum Open {
    Array(Vec<Value>),
    Dict(Vec<(String, Value)>, Option<String>),
}

/// Where the reader is, seen from the plist element.
#[derive(PartialEq)]
enum Place {
    Before,
    Inside,
    After,
}

impl<'a> XmlReader<'a> {
    fn run(mut self) -> Result<Value, Error> {
        loop {
            match self.next()? {
                Event::Start(tag) => self.start(&tag)?,
                Event::End(tag) => self.end(tag.name().as_ref())?,
                Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                Event::Decl(decl) => {
                    if let Some(Ok(encoding)) = decl.encoding()
                        && !encoding.eq_ignore_ascii_case(b"utf-8")
                    {
                        return Err(self.fail("an encoding other than UTF-8"));
                    }
                }
                Event::DocType(doctype) if self.place == Place::Before && !doctype.contains(&b'[') => {}
                Event::DocType(_) => return Err(self.fail("a DTD of its own")),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => break,
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Empty(_) => {
                    return Err(self.fail("text between elements"));
                }
            }
        }
        match self.root.take() {
            Some(root) if self.place == Place::After => Ok(root),
            _ => Err(self.fail("it ends early")),
        }
    }

    fn next(&mut self) -> Result<Event<'a>, Error> {
        self.xml.read_event().map_err(|_| self.fail("not well-formed XML"))
    }

    fn fail(&self, what: &'static str) -> Error {
        Error::Xml { at: usize::try_from(self.xml.buffer_position()).unwrap_or(usize::MAX), what }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), Error> {
        if tag.name().as_ref() == b"plist" {
            let first = self.place == Place::Before;
            self.place = Place::Inside;
            return if first { Ok(()) } else { Err(self.fail("a second plist element")) };
        }
        if self.place != Place::Inside {
            return Err(self.fail("no plist element around it"));
        }
        self.budget.value()?;
        match tag.name().as_ref() {
            b"dict" => self.open(Open::Dict(Vec::new(), None)),
            b"array" => self.open(Open::Array(Vec::new())),
            b"key" => self.key(),
            scalar => {
                let value = self.scalar(scalar)?;
                self.put(value)
            }
        }
    }

    fn open(&mut self, collection: Open) -> Result<(), Error> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Error::TooDeep { limit: MAX_DEPTH });
        }
        self.open.push(collection);
        Ok(())
    }

    fn key(&mut self) -> Result<(), Error> {
        let name = self.content()?;
        match self.open.last_mut() {
            Some(Open::Dict(_, key @ None)) => {
                *key = Some(name);
                Ok(())
            }
            _ => Err(self.fail("a key where a value belongs")),
        }
    }

    fn scalar(&mut self, kind: &[u8]) -> Result<Value, Error> {
        let text = self.content()?;
        match self.value(kind, &text) {
            Err(Error::Xml { .. }) if self.care == Care::Spoilt => Ok(Value::Text(text)),
            read => read,
        }
    }

    fn value(&self, kind: &[u8], text: &str) -> Result<Value, Error> {
        match kind {
            b"string" => Ok(Value::Text(text.to_owned())),
            b"true" | b"false" => Ok(Value::Bool(kind == b"true")),
            b"integer" => integer(text.trim()).map(Value::Int).ok_or_else(|| self.fail("not an integer")),
            b"real" => text.trim().parse().map(Value::Real).map_err(|_| self.fail("not a real number")),
            b"date" if is_date(text.trim()) => Ok(Value::Date(text.trim().to_owned())),
            b"date" => Err(self.fail("not a date")),
            b"data" => {
                let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
                STANDARD.decode(packed).map(Value::Data).map_err(|_| self.fail("data that is not base64"))
            }
            _ => Err(self.fail("an unknown element")),
        }
    }

    /// The text up to the end tag; that it is the right one is the XML reader's business.
    fn content(&mut self) -> Result<String, Error> {
        let mut text = String::new();
        loop {
            match self.next()? {
                Event::Text(part) => text.push_str(&part.decode().map_err(|_| self.fail("not UTF-8"))?),
                Event::CData(part) => text.push_str(&part.decode().map_err(|_| self.fail("not UTF-8"))?),
                Event::GeneralRef(name) => text.push(self.entity(&name)?),
                Event::Comment(_) | Event::PI(_) => {}
                Event::End(_) => return Ok(clean(text)),
                _ => return Err(self.fail("an element where text belongs")),
            }
        }
    }

    fn entity(&self, name: &BytesRef<'_>) -> Result<char, Error> {
        match name.resolve_char_ref() {
            Ok(Some(c)) => return Ok(c),
            Err(_) if self.care == Care::Spoilt => return Ok('\u{fffd}'),
            Err(_) => return Err(self.fail("not a character")),
            Ok(None) => {}
        }
        match &**name {
            b"lt" => Ok('<'),
            b"gt" => Ok('>'),
            b"amp" => Ok('&'),
            b"apos" => Ok('\''),
            b"quot" => Ok('"'),
            _ => Err(self.fail("an entity that XML does not define")),
        }
    }

    fn end(&mut self, name: &[u8]) -> Result<(), Error> {
        if name == b"plist" {
            self.place = Place::After;
            return Ok(());
        }
        let value = match self.open.pop() {
            Some(Open::Array(values)) => Value::Array(values),
            Some(Open::Dict(pairs, None)) => Value::Dict(self.dict(pairs)?),
            Some(Open::Dict(_, Some(_))) => return Err(self.fail("a key without a value")),
            None => return Err(self.fail("an end tag without its start")),
        };
        self.put(value)
    }

    fn dict(&self, pairs: Vec<(String, Value)>) -> Result<Dict, Error> {
        let twice = |name: &&str| pairs.iter().filter(|(known, _)| known == name).count() > 1;
        let outermost = self.open.is_empty();
        if self.care == Care::Strict || outermost && WHO_AND_WHAT.iter().any(twice) {
            return Dict::from_pairs(pairs);
        }
        Ok(Dict::from_spoilt(pairs))
    }

    fn put(&mut self, value: Value) -> Result<(), Error> {
        match self.open.last_mut() {
            Some(Open::Array(values)) => values.push(value),
            Some(Open::Dict(pairs, key)) => match key.take() {
                Some(key) => pairs.push((key, value)),
                None => return Err(self.fail("a value without a key")),
            },
            None if self.root.is_none() => self.root = Some(value),
            None => return Err(self.fail("a second outermost value")),
        }
        Ok(())
    }
}

/// Decimal, or hexadecimal as Apple's own reader takes it, in the range that property lists have.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let size = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => i128::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    let value = if negative { -size } else { size };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

pub(super) fn write(value: &Value) -> Vec<u8> {
    let mut out = String::from(PROLOGUE);
    write_value(&mut out, value, 0);
    out.push_str("</plist>\n");
    out.into_bytes()
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    indent(out, depth);
    match value {
        Value::Bool(true) => out.push_str("<true/>\n"),
        Value::Bool(false) => out.push_str("<false/>\n"),
        Value::Int(number) => element(out, "integer", &number.to_string()),
        Value::Real(number) => element(out, "real", &number.to_string()),
        Value::Date(date) => element(out, "date", date),
        Value::Text(text) => element(out, "string", text),
        Value::Data(data) => write_data(out, data, depth),
        Value::Array(values) if values.is_empty() => out.push_str("<array/>\n"),
        Value::Array(values) => {
            out.push_str("<array>\n");
            for value in values {
                write_value(out, value, depth + 1);
            }
            indent(out, depth);
            out.push_str("</array>\n");
        }
        Value::Dict(dict) if dict.is_empty() => out.push_str("<dict/>\n"),
        Value::Dict(dict) => {
            out.push_str("<dict>\n");
            for (key, value) in dict.iter() {
                indent(out, depth + 1);
                element(out, "key", key);
                write_value(out, value, depth + 1);
            }
            indent(out, depth);
            out.push_str("</dict>\n");
        }
    }
}

fn write_data(out: &mut String, data: &[u8], depth: usize) {
    out.push_str("<data>");
    let encoded = STANDARD.encode(data);
    let mut rest = encoded.as_str();
    while rest.len() > DATA_COLUMNS {
        let (line, more) = rest.split_at(DATA_COLUMNS);
        out.push('\n');
        indent(out, depth);
        out.push_str(line);
        rest = more;
    }
    if encoded.len() > DATA_COLUMNS {
        out.push('\n');
        indent(out, depth);
    }
    out.push_str(rest);
    out.push_str("</data>\n");
}

fn element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A bare carriage return is a line feed to XML readers.
            '\r' => out.push_str("&#13;"),
            c if !is_xml_char(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push_str(">\n");
}

fn indent(out: &mut String, depth: usize) {
    (0..depth).for_each(|_| out.push('\t'));
}
