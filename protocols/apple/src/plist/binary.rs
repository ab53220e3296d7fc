//! Property lists in binary form (`bplist00`): Apple's CFBinaryPList.c. Read only; devices take XML.

use super::{Budget, Dict, MAX_DEPTH, Value, clean, is_date};
use crate::error::Error;

const TRAILER: usize = 32;
/// Seconds from 1970 to 2001, when Apple's clock begins.
const EPOCH: i64 = 978_307_200;

pub(super) fn parse(bytes: &[u8]) -> Result<Value, Error> {
    if !bytes.starts_with(b"bplist00") {
        return Err(fail(6, "another version"));
    }
    let end =
        bytes.len().checked_sub(TRAILER).filter(|end| *end > 8).ok_or_else(|| fail(bytes.len(), "it ends early"))?;
    let trailer = bytes.get(end..).unwrap_or_default();
    let size = |at: usize| trailer.get(at).map(|&size| usize::from(size)).filter(|size| (1..=8).contains(size));
    let number = |at: usize| trailer.get(at..at + 8).and_then(be_uint);
    let (Some(offset_size), Some(ref_size)) = (size(6), size(7)) else { return Err(fail(end, "sizes in the trailer")) };
    let (Some(count), Some(root), Some(table)) = (number(8), number(16), number(24)) else {
        return Err(fail(end, "numbers in the trailer"));
    };
    let fits = count.checked_mul(offset_size).and_then(|size| size.checked_add(table)).is_some_and(|at| at <= end);
    if !fits {
        return Err(fail(end, "an offset table outside the file"));
    }
    let body = bytes.get(..end).unwrap_or_default();
    let mut reader = BinaryReader { body, offset_size, ref_size, count, table, budget: Budget::new() };
    reader.object(root, 0)
}

struct BinaryReader<'a> {
    body: &'a [u8],
    offset_size: usize,
    ref_size: usize,
    count: usize,
    table: usize,
    budget: Budget,
}

impl<'a> BinaryReader<'a> {
    /// Recursion ends at the depth limit: a list that contains itself is an error like any that is too deep.
    fn object(&mut self, index: usize, depth: usize) -> Result<Value, Error> {
        if index >= self.count {
            return Err(fail(self.table, "a reference outside the table"));
        }
        self.budget.value()?;
        let at = self.uint(self.table + index * self.offset_size, self.offset_size)?;
        let marker = *self.slice(at, 1)?.first().unwrap_or(&0);
        let (kind, low) = (marker >> 4, marker & 0x0f);
        match (kind, low) {
            (0x0, 0x8) => Ok(Value::Bool(false)),
            (0x0, 0x9) => Ok(Value::Bool(true)),
            (0x1, 0..=4) => self.integer(at + 1, 1 << low).map(Value::Int),
            (0x2, 2 | 3) => self.real(at + 1, 1 << low).map(Value::Real),
            (0x3, 3) => self.date(at + 1),
            (0x4..=0x6, _) => self.string(kind, at, low),
            (0xa, _) => self.array(at, low, depth),
            (0xd, _) => self.dict(at, low, depth),
            _ => Err(fail(at, "an unknown object")),
        }
    }

    fn string(&mut self, kind: u8, at: usize, low: u8) -> Result<Value, Error> {
        let (count, from) = self.count(at, low)?;
        let size = if kind == 0x6 { count.checked_mul(2).ok_or_else(|| fail(at, "a length"))? } else { count };
        let bytes = self.slice(from, size)?;
        self.budget.bytes(size)?;
        match kind {
            0x4 => Ok(Value::Data(bytes.to_vec())),
            0x5 => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Value::Text(clean(text.to_owned()))),
                Err(_) => Err(fail(from, "not ASCII")),
            },
            _ => {
                let units = bytes.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
                let text: Result<String, _> = char::decode_utf16(units).collect();
                text.map(clean).map(Value::Text).map_err(|_| fail(from, "not UTF-16"))
            }
        }
    }

    fn array(&mut self, at: usize, low: u8, depth: usize) -> Result<Value, Error> {
        let (count, from) = self.collection(at, low, depth, 1)?;
        let mut values = Vec::with_capacity(count.min(1024));
        for n in 0..count {
            let index = self.uint(from + n * self.ref_size, self.ref_size)?;
            values.push(self.object(index, depth + 1)?);
        }
        Ok(Value::Array(values))
    }

    fn dict(&mut self, at: usize, low: u8, depth: usize) -> Result<Value, Error> {
        let (count, from) = self.collection(at, low, depth, 2)?;
        let mut pairs = Vec::with_capacity(count.min(1024));
        for n in 0..count {
            let key = self.uint(from + n * self.ref_size, self.ref_size)?;
            let value = self.uint(from + (count + n) * self.ref_size, self.ref_size)?;
            let Value::Text(key) = self.object(key, depth + 1)? else {
                return Err(fail(at, "a key that is no string"));
            };
            pairs.push((key, self.object(value, depth + 1)?));
        }
        Dict::from_pairs(pairs).map(Value::Dict)
    }

    /// Members and where their references begin; all references lie inside the file.
    fn collection(&self, at: usize, low: u8, depth: usize, refs_each: usize) -> Result<(usize, usize), Error> {
        if depth >= MAX_DEPTH {
            return Err(Error::TooDeep { limit: MAX_DEPTH });
        }
        let (count, from) = self.count(at, low)?;
        let size = count.checked_mul(refs_each * self.ref_size).ok_or_else(|| fail(at, "a length"))?;
        self.slice(from, size)?;
        Ok((count, from))
    }

    /// The length of an object and where its content begins: in the marker, or in an integer behind it.
    fn count(&self, at: usize, low: u8) -> Result<(usize, usize), Error> {
        if low != 0xf {
            return Ok((low.into(), at + 1));
        }
        let marker = *self.slice(at + 1, 1)?.first().unwrap_or(&0);
        if marker >> 4 != 0x1 || marker & 0x0f > 3 {
            return Err(fail(at + 1, "a length that is no integer"));
        }
        let size = 1 << (marker & 0x0f);
        Ok((self.uint(at + 2, size)?, at + 2 + size))
    }

    fn integer(&self, at: usize, size: usize) -> Result<i128, Error> {
        let bytes = self.slice(at, size)?;
        let value = bytes.iter().fold(0_u128, |value, &byte| value << 8 | u128::from(byte));
        // One, two and four bytes have no sign, eight have one; sixteen hold what needs 64 bits without a sign.
        let value = match size {
            8 => i128::from(value as u64 as i64),
            16 => i128::try_from(value).unwrap_or(i128::MAX),
            _ => value as i128,
        };
        if value > u64::MAX.into() { Err(fail(at, "an integer out of range")) } else { Ok(value) }
    }

    fn real(&self, at: usize, size: usize) -> Result<f64, Error> {
        let bytes = self.slice(at, size)?;
        let short = <[u8; 4]>::try_from(bytes).map(|b| f64::from(f32::from_be_bytes(b)));
        let long = <[u8; 8]>::try_from(bytes).map(f64::from_be_bytes);
        short.or(long).map_err(|_| fail(at, "a real number"))
    }

    fn date(&self, at: usize) -> Result<Value, Error> {
        let seconds = self.real(at, 8)?;
        // Far beyond year 9999 either way; `date_text` refuses what is left of that.
        if !seconds.is_finite() || seconds.abs() > 1e12 {
            return Err(fail(at, "a date out of range"));
        }
        let text = date_text(seconds.floor() as i64 + EPOCH);
        if is_date(&text) { Ok(Value::Date(text)) } else { Err(fail(at, "a date out of range")) }
    }

    fn uint(&self, at: usize, size: usize) -> Result<usize, Error> {
        be_uint(self.slice(at, size)?).ok_or_else(|| fail(at, "a number out of range"))
    }

    fn slice(&self, at: usize, size: usize) -> Result<&'a [u8], Error> {
        at.checked_add(size)
            .and_then(|end| self.body.get(at..end))
            .ok_or_else(|| fail(at, "an object outside the file"))
    }
}

fn be_uint(bytes: &[u8]) -> Option<usize> {
    let value = bytes.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    usize::try_from(value).ok().filter(|value| *value <= super::MAX_BYTES)
}

/// Unix seconds as a date of the Gregorian calendar (days to civil, era by era of 400 years).
pub(super) fn date_text(unix: i64) -> String {
    let (days, seconds) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn fail(at: usize, what: &'static str) -> Error {
    Error::Binary { at, what }
}
