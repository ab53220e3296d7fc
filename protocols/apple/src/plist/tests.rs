//! Both forms against each other, against the `plist` crate, and against what strangers may send.

use proptest::prelude::*;

use super::{Dict, MAX_BYTES, MAX_DEPTH, MAX_VALUES, Value, parse, parse_dict};
use crate::Error;

fn doc(inner: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\">{inner}</plist>").into_bytes()
}

#[test]
fn every_kind_of_value_is_read() {
    let xml = doc("<dict><key>b</key><true/><key>f</key><false></false><key>i</key><integer>-7</integer>\
         <key>h</key><integer>0xFF</integer><key>u</key><integer>18446744073709551615</integer>\
         <key>r</key><real>1.5</real><key>d</key><date>2026-11-25T04:05:06Z</date>\
         <key>s</key><string>a &amp; b&#x21;<![CDATA[<c>]]><!-- no --></string>\
         <key>x</key><data>\n\tAQID\n\t</data><key>a</key><array><string/></array></dict>");
    let dict = parse_dict(&xml).unwrap();
    assert_eq!(dict.bool("b"), Some(true));
    assert_eq!(dict.bool("f"), Some(false));
    assert_eq!(dict.int("i"), Some(-7));
    assert_eq!(dict.int("h"), Some(255));
    assert_eq!(dict.get("u"), Some(&Value::Int(u64::MAX.into())));
    assert_eq!(dict.get("r"), Some(&Value::Real(1.5)));
    assert_eq!(dict.get("d"), Some(&Value::Date("2026-11-25T04:05:06Z".into())));
    assert_eq!(dict.text("s"), Some("a & b!<c>"));
    assert_eq!(dict.data("x"), Some(&[1, 2, 3][..]));
    assert_eq!(dict.array("a"), &[Value::Text(String::new())]);
}

#[test]
fn what_is_not_a_property_list_is_refused() {
    for (row, body) in [
        ("nothing", Vec::new()),
        ("no plist element", b"<dict/>".to_vec()),
        ("cut", b"<plist><dict><key>a</key>".to_vec()),
        ("open plist", b"<plist><dict></dict>".to_vec()),
        ("key alone", doc("<dict><key>a</key></dict>")),
        ("value alone", doc("<dict><string>a</string></dict>")),
        ("key in an array", doc("<array><key>a</key></array>")),
        ("two roots", doc("<true/><true/>")),
        ("two plists", [doc("<true/>"), doc("<true/>")].concat()),
        ("wrong end", doc("<dict></array>")),
        ("unknown element", doc("<sring>a</sring>")),
        ("prefixed element", doc("<x:string>a</x:string>")),
        ("element in a string", doc("<string><true/></string>")),
        ("text between", doc("<dict>a</dict>")),
        ("not base64", doc("<data>*</data>")),
        ("not a number", doc("<integer>1e3</integer>")),
        ("number out of range", doc("<integer>18446744073709551616</integer>")),
        ("hex without digits", doc("<integer>0x-1</integer>")),
        ("year 0", doc("<date>0000-01-01T00:00:00Z</date>")),
        ("offset date", doc("<date>9999-12-31T23:59:59-23:00</date>")),
        ("not UTF-8", vec![b'<', 0xff]),
        ("Latin-1", b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><plist><true/></plist>".to_vec()),
        ("own entity", b"<!DOCTYPE plist [<!ENTITY a \"b\">]><plist><string>&a;</string></plist>".to_vec()),
        ("unknown entity", doc("<string>&a;</string>")),
        (
            "external entity",
            b"<!DOCTYPE plist [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><plist><true/></plist>".to_vec(),
        ),
    ] {
        assert!(matches!(parse(&body), Err(Error::Xml { .. })), "{row}: {:?}", parse(&body));
    }
    assert_eq!(parse_dict(&doc("<array/>")), Err(Error::NotADictionary));
    assert_eq!(
        parse(&doc("<dict><key>a</key><true/><key>a</key><false/></dict>")),
        Err(Error::DuplicateKey { key: "a".into() })
    );
}

#[test]
fn control_characters_cost_no_message() {
    let want = Ok(Value::Text("a\u{fffd}b\u{fffd}".into()));
    assert_eq!(parse(&doc("<string>a\u{0}b&#4;</string>")), want);
    assert_eq!(parse(&binary(&[b"\x54a\0b\x04".to_vec()])), want);
}

#[test]
fn limits_hold() {
    let nested = |n: usize| doc(&format!("{}{}", "<array>".repeat(n), "</array>".repeat(n)));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(Error::TooDeep { limit: MAX_DEPTH }));
    assert_eq!(parse(&nested(400_000)), Err(Error::TooDeep { limit: MAX_DEPTH }));
    let many = doc(&format!("<array>{}</array>", "<true/>".repeat(MAX_VALUES)));
    assert_eq!(parse(&many), Err(Error::TooMany { limit: MAX_VALUES, unit: "values" }));
    let huge = vec![b' '; MAX_BYTES + 1];
    assert_eq!(parse(&huge), Err(Error::TooLarge { got: MAX_BYTES + 1, limit: MAX_BYTES }));
}

/// A binary list by hand: objects, then the table, then the trailer; the first object is the root.
fn binary(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for object in objects {
        offsets.push(u32::try_from(out.len()).unwrap());
        out.extend(object);
    }
    let table = out.len() as u64;
    offsets.iter().for_each(|offset| out.extend(offset.to_be_bytes()));
    out.extend([0, 0, 0, 0, 0, 0, 4, 1]);
    out.extend((objects.len() as u64).to_be_bytes());
    out.extend(0_u64.to_be_bytes());
    out.extend(table.to_be_bytes());
    out
}

#[test]
fn shared_references_are_not_followed_without_end() {
    // Thirty lists, each of the next one twice: a billion values in 200 bytes.
    let mut laughs: Vec<Vec<u8>> = (1..30).map(|next| vec![0xa2, next, next]).collect();
    laughs.push(vec![0x09]);
    assert_eq!(parse(&binary(&laughs)), Err(Error::TooMany { limit: MAX_VALUES, unit: "values" }));
    // A list of itself.
    assert_eq!(parse(&binary(&[vec![0xa1, 0]])), Err(Error::TooDeep { limit: MAX_DEPTH }));
    // One megabyte, two hundred times.
    let mut megabyte = vec![0x4f, 0x12, 0, 0x10, 0, 0];
    megabyte.resize(6 + (1 << 20), 0);
    let mut list = vec![0xaf, 0x10, 200];
    list.resize(203, 1);
    assert_eq!(parse(&binary(&[list, megabyte])), Err(Error::TooMany { limit: MAX_BYTES, unit: "bytes" }));
}

#[test]
fn binary_dates_stay_in_the_calendar() {
    let date = |seconds: f64| [vec![0x33], seconds.to_be_bytes().to_vec()].concat();
    for (seconds, want) in [
        (0.0, Some("2001-01-01T00:00:00Z")),
        (-978_307_200.0, Some("1970-01-01T00:00:00Z")),
        (817_343_999.5, Some("2026-11-25T23:59:59Z")),
        (-70_000_000_000.0, None),
        (1e300, None),
        (f64::NAN, None),
    ] {
        let got = parse(&binary(&[date(seconds)])).ok();
        assert_eq!(got, want.map(|text| Value::Date(text.into())), "{seconds}");
    }
}

fn any_text() -> impl Strategy<Value = String> {
    // What XML can carry.
    proptest::collection::vec(any::<char>(), 0..12)
        .prop_map(|chars| chars.into_iter().filter(|&c| super::is_xml_char(c)).collect())
}

/// Any value both forms can carry.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Int(n.into())),
        any::<u64>().prop_map(|n| Value::Int(n.into())),
        (-1e9..1e9).prop_map(Value::Real),
        (0_i64..9_000_000_000).prop_map(|n| Value::Date(super::binary::date_text(n))),
        any_text().prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..90).prop_map(Value::Data),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map(any_text(), inner, 0..6)
                .prop_map(|map| Value::Dict(Dict(map.into_iter().collect()))),
        ]
    })
}

/// The same value as the `plist` crate has it.
fn theirs(value: &Value) -> plist::Value {
    match value {
        Value::Bool(v) => (*v).into(),
        Value::Int(v) => i64::try_from(*v).map_or_else(|_| u64::try_from(*v).unwrap().into(), Into::into),
        Value::Real(v) => (*v).into(),
        Value::Date(v) => plist::Date::from_xml_format(v).unwrap().into(),
        Value::Text(v) => v.as_str().into(),
        Value::Data(v) => plist::Value::Data(v.clone()),
        Value::Array(v) => plist::Value::Array(v.iter().map(theirs).collect()),
        Value::Dict(v) => plist::Value::Dictionary(v.iter().map(|(k, v)| (k.to_owned(), theirs(v))).collect()),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in any_value()) {
        prop_assert_eq!(parse(&value.to_xml()), Ok(value));
    }

    #[test]
    fn the_plist_crate_reads_what_is_written(value in any_value()) {
        prop_assert_eq!(plist::Value::from_reader_xml(&value.to_xml()[..]).unwrap(), theirs(&value));
    }

    #[test]
    fn what_the_plist_crate_writes_is_read(value in any_value()) {
        let mut bytes = Vec::new();
        theirs(&value).to_writer_binary(&mut bytes).unwrap();
        prop_assert_eq!(parse(&bytes), Ok(value.clone()));
        bytes.clear();
        theirs(&value).to_writer_xml(&mut bytes).unwrap();
        prop_assert_eq!(parse(&bytes).map(|v| theirs(&v)), Ok(theirs(&value)));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"bplist00", &bytes[..]].concat());
        let _ = parse(&[b"<plist>", &bytes[..]].concat());
    }

    #[test]
    fn no_damage_to_a_binary_list_panics(value in any_value(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = Vec::new();
        theirs(&value).to_writer_binary(&mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = parse(&bytes);
    }
}
