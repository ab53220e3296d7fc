//! The packed query: base64 of version, command, who asks and parameters. [MS-ASHTTP] 2.2.1.1.1.1.
//!
//! Since 12.1. It carries the policy key, which plain queries leave to a header.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::{Error, PolicyKey};

/// Padding is lost on the way at times.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The longest query taken: far above what its fields of at most 255 bytes need.
const MAX_QUERY_BYTES: usize = 8192;

/// All of a packed query, nothing interpreted yet; numbers are little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Ten times the protocol version.
    pub version: u8,
    /// The command's code.
    pub command: u8,
    /// A Windows language id.
    pub locale: u16,
    /// ASCII, or the bytes of a GUID. At most 255, as all fields.
    pub device_id: Vec<u8>,
    /// `None`: the field is empty. 0 is "no policy yet".
    pub key: Option<u32>,
    /// ASCII.
    pub device_type: Vec<u8>,
    /// Tag and value, in order.
    pub parameters: Vec<(u8, Vec<u8>)>,
}

/// Tags of [`Query::parameters`].
pub mod tag {
    /// The user's name: a hint for logs.
    pub const USER: u8 = 8;
}

impl Query {
    /// Reads the bytes under the base64.
    pub fn parse(bytes: &[u8]) -> Result<Query, Error> {
        let mut cursor = Cursor { bytes, at: 0 };
        let [version, command] = cursor.array("version and command")?;
        let locale = u16::from_le_bytes(cursor.array("locale")?);
        let device_id = cursor.counted("device id")?.to_vec();
        let key = match cursor.counted("policy key")? {
            [] => None,
            &[a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d])),
            other => return Err(Error::Length { field: "policy key", got: other.len() }),
        };
        let device_type = cursor.counted("device type")?.to_vec();
        let mut parameters = Vec::new();
        while cursor.at < bytes.len() {
            let [tag] = cursor.array("parameter")?;
            parameters.push((tag, cursor.counted("parameter")?.to_vec()));
        }
        Ok(Query { version, command, locale, device_id, key, device_type, parameters })
    }

    /// The bytes under the base64. Fields are cut at 255 bytes, which none that was parsed reaches.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.version, self.command];
        out.extend(self.locale.to_le_bytes());
        counted(&self.device_id, &mut out);
        match self.key {
            None => out.push(0),
            Some(key) => counted(&key.to_le_bytes(), &mut out),
        }
        counted(&self.device_type, &mut out);
        for (tag, value) in &self.parameters {
            out.push(*tag);
            counted(value, &mut out);
        }
        out
    }

    /// Reads the query as it stands in the URL, percent-encoded or not.
    pub fn from_url(query: &str) -> Result<Query, Error> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(Error::Length { field: "query", got: query.len() });
        }
        let mut text = percent_decode(query).ok_or(Error::Query)?;
        // A form decoder on the way makes blanks of plus signs.
        text.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'+');
        Query::parse(&BASE64.decode(text).map_err(|_| Error::Query)?)
    }

    /// The query as it stands in the URL.
    pub fn to_url(&self) -> String {
        BASE64.encode(self.encode())
    }
}

/// The query with our policy key replaced by the mail server's own, or by 0 where there is none: without the field some let a client in
/// with no policy at all. All else stays as it was. A plain query carries no key and comes back unchanged (its key is the header
/// `X-MS-PolicyKey`).
pub fn with_key(query: &str, key: Option<PolicyKey>) -> Result<String, Error> {
    if is_plain(query) {
        return Ok(query.to_owned());
    }
    let mut packed = Query::from_url(query)?;
    packed.key = Some(key.map_or(0, PolicyKey::get));
    let url = packed.to_url();
    let encoded = query.contains('%');
    Ok(if encoded { url.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D") } else { url })
}

/// Base64 knows `=` at its end only, and no `&`.
pub(crate) fn is_plain(query: &str) -> bool {
    query.contains('&') || query.trim_end_matches('=').contains('=')
}

/// `None` where a percent sign is not followed by two hex digits.
pub fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(out)
}

fn counted(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = bytes.get(..255).unwrap_or(bytes);
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend(bytes);
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], Error> {
        let short = Error::Short { field, at: self.bytes.len() };
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..length)).ok_or(short)?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, field)?);
        Ok(array)
    }

    fn counted(&mut self, field: &'static str) -> Result<&'a [u8], Error> {
        let [length] = self.array(field)?;
        self.take(usize::from(length), field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHEET: &str = "jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l";

    #[test]
    fn a_query_as_clients_send_it() {
        let query = Query::from_url(SHEET).unwrap();
        let want = Query {
            version: 140,
            command: 0,
            locale: 0x0409,
            device_id: b"v140Device".to_vec(),
            key: None,
            device_type: b"SmartPhone".to_vec(),
            parameters: vec![],
        };
        assert_eq!(query, want);
        assert_eq!(query.to_url(), SHEET);
    }

    #[test]
    fn the_key_is_the_mail_servers_or_0_and_nothing_else_changes() {
        let mut query = Query::from_url(SHEET).unwrap();
        query.parameters.push((tag::USER, b"ann".to_vec()));
        let absent = query.to_url();
        query.key = Some(0);
        let without = query.to_url();
        assert_eq!(with_key(&absent, None).unwrap(), without);
        query.key = Some(0xDEAD_BEEF);
        assert_eq!(with_key(&query.to_url(), None).unwrap(), without);
        assert_eq!(with_key(&without, PolicyKey::new(0xDEAD_BEEF)).unwrap(), query.to_url());
        query.device_id = vec![0xFF; 16];
        let escape = |url: String| url.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let escaped = escape(query.to_url());
        assert!(escaped.contains('%'));
        query.key = Some(0);
        assert_eq!(with_key(&escaped, None).unwrap(), escape(query.to_url()));
        let plain = "Cmd=Sync&User=a%40b&DeviceId=d&DeviceType=t";
        assert_eq!(with_key(plain, None).unwrap(), plain);
    }

    #[test]
    fn a_cut_query_says_where_it_ends() {
        let bytes = Query::from_url(SHEET).unwrap().encode();
        for (row, end, want) in [
            ("empty", 0, Error::Short { field: "version and command", at: 0 }),
            ("in the id", 9, Error::Short { field: "device id", at: 9 }),
            ("before the key", 15, Error::Short { field: "policy key", at: 15 }),
            ("in the type", 20, Error::Short { field: "device type", at: 20 }),
        ] {
            assert_eq!(Query::parse(&bytes[..end]), Err(want), "{row}");
        }
        assert_eq!(
            Query::parse(&[140, 0, 9, 4, 1, b'd', 3, 1, 2, 3, 0]),
            Err(Error::Length { field: "policy key", got: 3 })
        );
        assert_eq!(Query::from_url("!"), Err(Error::Query));
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses_to_the_same(
            version: u8, command: u8, locale: u16, key: Option<u32>,
            device_id in prop::collection::vec(any::<u8>(), 0..=255),
            device_type in prop::collection::vec(any::<u8>(), 0..40),
            parameters in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..20)), 0..5),
        ) {
            let query = Query { version, command, locale, device_id, key, device_type, parameters };
            prop_assert_eq!(Query::parse(&query.encode()), Ok(query.clone()));
            prop_assert_eq!(Query::from_url(&query.to_url()), Ok(query));
        }

        #[test]
        fn no_query_panics(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = with_key(&text, None);
            let _ = Query::parse(&bytes);
        }
    }
}
