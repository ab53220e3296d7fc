//! Property lists within bounds: what all of Apple's messages are made of.
//!
//! Not the `plist` crate, which tests here use as the second opinion: its version 1.10.3 panics on dates outside the
//! years 0 to 9999 (XML and binary alike), overflows the stack on deep nesting, follows shared references of the
//! binary form without end and drops CDATA, so that what was checked need not be what a device reads.

mod binary;
mod xml;

use crate::error::{Error, cut};

/// Bytes of a body that are read at most.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Collections inside each other; real messages stay under ten.
pub const MAX_DEPTH: usize = 32;
/// Values in one property list. The longest real answers, lists of some thousand applications, have a tenth of it.
pub const MAX_VALUES: usize = 200_000;

/// One value of a property list. Apple's `UID` is for archives and not read.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// -2^63 to 2^64-1.
    Int(i128),
    /// A floating point number.
    Real(f64),
    /// `YYYY-MM-DDTHH:MM:SSZ`, years 1 to 9999.
    Date(String),
    /// Text.
    Text(String),
    /// Bytes.
    Data(Vec<u8>),
    /// Values in order.
    Array(Vec<Value>),
    /// Values by name.
    Dict(Dict),
}

/// Values by name, in the order of the document; no name twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dict(Vec<(String, Value)>);

/// Reads XML, or binary by its first bytes. The outermost value may be any.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge { got: bytes.len(), limit: MAX_BYTES });
    }
    if bytes.starts_with(b"bplist") { binary::parse(bytes) } else { xml::parse(bytes) }
}

/// Reads what a device reports though a value in it is spoilt: text that is not UTF-8 or holds what XML cannot carry, a date or number
/// that is none (it is kept as text), a key twice (the first counts). XML alone. Never for what is to be checked: readers differ in what
/// they make of such.
pub(crate) fn parse_spoilt(bytes: &[u8]) -> Result<Dict, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge { got: bytes.len(), limit: MAX_BYTES });
    }
    match xml::parse_spoilt(bytes)? {
        Value::Dict(dict) => Ok(dict),
        _ => Err(Error::NotADictionary),
    }
}

/// Reads a property list whose outermost value is a dictionary, as all messages are.
pub fn parse_dict(bytes: &[u8]) -> Result<Dict, Error> {
    match parse(bytes)? {
        Value::Dict(dict) => Ok(dict),
        _ => Err(Error::NotADictionary),
    }
}

impl Value {
    /// As XML with Apple's prologue. Characters that XML cannot carry become U+FFFD.
    pub fn to_xml(&self) -> Vec<u8> {
        xml::write(self)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The bytes, if it is data.
    pub fn as_data(&self) -> Option<&[u8]> {
        if let Self::Data(data) = self { Some(data) } else { None }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The number, if it is whole and fits.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self { i64::try_from(*value).ok() } else { None }
    }

    /// The members, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }

    /// The dictionary, if it is one.
    pub fn as_dict(&self) -> Option<&Dict> {
        if let Self::Dict(dict) = self { Some(dict) } else { None }
    }
}

/// Looks without complaint: `None` for what is absent and for what has another type.
impl Dict {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value under a name.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text under a name.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// The bytes under a name.
    pub fn data(&self, key: &str) -> Option<&[u8]> {
        self.get(key)?.as_data()
    }

    /// The truth value under a name.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// The whole number under a name.
    pub fn int(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_int()
    }

    /// The members of the array under a name; none where there is no such array.
    pub fn array(&self, key: &str) -> &[Value] {
        self.get(key).and_then(Value::as_array).unwrap_or_default()
    }

    /// The dictionary under a name.
    pub fn dict(&self, key: &str) -> Option<&Dict> {
        self.get(key)?.as_dict()
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As an XML property list.
    pub fn to_xml(self) -> Vec<u8> {
        Value::Dict(self).to_xml()
    }
}

/// Builds: later values replace earlier ones.
impl Dict {
    /// With one more name.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// With one more name where there is a value.
    #[must_use]
    pub fn with_opt(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// With `true` under a name, or nothing: what is absent is false throughout the protocol.
    #[must_use]
    pub fn with_flag(self, key: &str, value: bool) -> Self {
        if value { self.with(key, true) } else { self }
    }

    /// Adds or replaces.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// From a parser's pairs, the first of those with one name.
    fn from_spoilt(pairs: Vec<(String, Value)>) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        Self(pairs.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect())
    }

    /// From a parser's pairs, none twice.
    fn from_pairs(pairs: Vec<(String, Value)>) -> Result<Self, Error> {
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair.first() == pair.last()).and_then(<[_]>::first) {
            Some(twice) => Err(Error::DuplicateKey { key: cut(twice) }),
            None => Ok(Self(pairs)),
        }
    }
}

/// Looks with a reason: what is absent, and what has another type, is an error that names the field.
impl Dict {
    pub(crate) fn need_text(&self, field: &'static str) -> Result<&str, Error> {
        self.opt_text(field)?.ok_or(Error::Missing { field })
    }

    pub(crate) fn opt_text(&self, field: &'static str) -> Result<Option<&str>, Error> {
        self.typed(field, "a string", Value::as_text)
    }

    pub(crate) fn need_data(&self, field: &'static str) -> Result<&[u8], Error> {
        self.opt_data(field)?.ok_or(Error::Missing { field })
    }

    pub(crate) fn opt_data(&self, field: &'static str) -> Result<Option<&[u8]>, Error> {
        self.typed(field, "data", Value::as_data)
    }

    pub(crate) fn flag(&self, field: &'static str) -> Result<bool, Error> {
        Ok(self.typed(field, "a boolean", Value::as_bool)?.unwrap_or(false))
    }

    pub(crate) fn need_dict(&self, field: &'static str) -> Result<&Dict, Error> {
        self.typed(field, "a dictionary", Value::as_dict)?.ok_or(Error::Missing { field })
    }

    pub(crate) fn opt_dict(&self, field: &'static str) -> Result<Option<&Dict>, Error> {
        self.typed(field, "a dictionary", Value::as_dict)
    }

    pub(crate) fn opt_texts(&self, field: &'static str) -> Result<Vec<String>, Error> {
        let wrong = Error::WrongType { field, want: "an array of strings" };
        let Some(values) = self.typed(field, "an array of strings", Value::as_array)? else { return Ok(Vec::new()) };
        values.iter().map(|value| value.as_text().map(str::to_owned)).collect::<Option<_>>().ok_or(wrong)
    }

    fn typed<'a, T>(
        &'a self,
        field: &'static str,
        want: &'static str,
        cast: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.get(field).map(|value| cast(value).ok_or(Error::WrongType { field, want })).transpose()
    }
}

macro_rules! into_value {
    ($($from:ty, $name:ident => $value:expr;)+) => {
        $(impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $value
            }
        })+
    };
}

into_value! {
    bool, value => Self::Bool(value);
    i64, value => Self::Int(value.into());
    u32, value => Self::Int(value.into());
    &str, value => Self::Text(value.to_owned());
    String, value => Self::Text(value);
    Vec<u8>, value => Self::Data(value);
    &[u8], value => Self::Data(value.to_vec());
    Vec<Value>, value => Self::Array(value);
    Dict, value => Self::Dict(value);
    Vec<Dict>, values => Self::Array(values.into_iter().map(Self::Dict).collect());
}

impl From<&[String]> for Value {
    fn from(texts: &[String]) -> Self {
        Self::Array(texts.iter().map(|text| text.as_str().into()).collect())
    }
}

/// What a parser may still make; both forms count the same.
struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    fn new() -> Self {
        Self { values: MAX_VALUES, bytes: MAX_BYTES }
    }

    fn value(&mut self) -> Result<(), Error> {
        self.values = self.values.checked_sub(1).ok_or(Error::TooMany { limit: MAX_VALUES, unit: "values" })?;
        Ok(())
    }

    fn bytes(&mut self, count: usize) -> Result<(), Error> {
        self.bytes = self.bytes.checked_sub(count).ok_or(Error::TooMany { limit: MAX_BYTES, unit: "bytes" })?;
        Ok(())
    }
}

/// Whether XML can carry it.
fn is_xml_char(c: char) -> bool {
    c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}' || matches!(c, '\t' | '\n' | '\r')
}

/// Text as it is kept. Apple writes names of applications as they are, control characters and all: those become
/// U+FFFD, since neither our own XML nor every store can carry them, and the message is good for all that.
fn clean(text: String) -> String {
    if text.chars().all(is_xml_char) {
        return text;
    }
    text.chars().map(|c| if is_xml_char(c) { c } else { '\u{fffd}' }).collect()
}

/// `YYYY-MM-DDTHH:MM:SSZ` with every part in its range: the only form Apple writes.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 20
        && bytes.iter().zip(b"0000-00-00T00:00:00Z").all(|(&got, &want)| match want {
            b'0' => got.is_ascii_digit(),
            _ => got == want,
        });
    let part = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<u32>().ok()).unwrap_or(99);
    shape
        && part(0, 4) != 0
        && (1..=12).contains(&part(5, 7))
        && (1..=31).contains(&part(8, 10))
        && part(11, 13) < 24
        && part(14, 16) < 60
        && part(17, 19) < 61
}

#[cfg(test)]
pub(crate) mod tests;
