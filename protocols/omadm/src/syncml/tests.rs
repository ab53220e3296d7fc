use proptest::prelude::*;

use super::*;

const HEADER: &str = "<SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>7</SessionID><MsgID>1</MsgID>\
    <Target><LocURI>https://mdm.example/omadm</LocURI></Target><Source><LocURI>DEVICE</LocURI></Source></SyncHdr>";

fn parse(body: &str) -> Result<Message, Error> {
    let text = format!("<SyncML xmlns=\"SYNCML:SYNCML1.2\">{HEADER}<SyncBody>{body}</SyncBody></SyncML>");
    Message::parse(text.as_bytes(), ContentType::DmXml)
}

fn encoded(body: &str) -> String {
    let header = HEADER.replace("DEVICE", "d").replace(">7<", ">5<");
    format!("<SyncML>{header}<SyncBody>{body}<Final/></SyncBody></SyncML>")
}

proptest! {
    #[test]
    fn xml_comes_back_as_it_was(message in arbitrary::message()) {
        let bytes = message.encode(ContentType::DmXml).unwrap();
        prop_assert_eq!(Message::parse(&bytes, ContentType::DmXml).unwrap(), message);
    }

    #[test]
    fn wbxml_comes_back_as_it_was(message in arbitrary::message()) {
        let bytes = message.encode(ContentType::DmWbxml).unwrap();
        prop_assert_eq!(Message::parse(&bytes, ContentType::Wbxml).unwrap(), message);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::parse(&bytes, ContentType::DmXml);
        let _ = Message::parse(&bytes, ContentType::DmWbxml);
    }

    #[test]
    fn no_damage_panics(message in arbitrary::message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for kind in [ContentType::DmXml, ContentType::DmWbxml] {
            let mut bytes = message.encode(kind).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Message::parse(&bytes, kind);
            bytes.truncate(at);
            let _ = Message::parse(&bytes, kind);
        }
    }
}

#[test]
fn the_order_is_that_of_the_document_type() {
    let message = Message {
        header: SyncHdr {
            ver_dtd: "1.2".into(),
            ver_proto: "DM/1.2".into(),
            session_id: "4F".into(),
            msg_id: 2,
            target: Location { uri: "DEVICE".into(), name: Some("u".into()) },
            source: Location::of("https://mdm.example/omadm"),
            resp_uri: None,
            no_resp: false,
            cred: None,
            meta: Meta { max_obj_size: Some(9), max_msg_size: Some(8), ..Meta::default() },
        },
        body: vec![
            Command::Status(Status {
                cmd_id: "1".into(),
                msg_ref: 2,
                cmd_ref: "0".into(),
                cmd: "SyncHdr".into(),
                target_refs: vec!["t".into()],
                source_refs: vec!["s".into()],
                chal: Some(Chal { meta: Meta { kind: Some("syncml:auth-md5".into()), ..Meta::of_format("b64") } }),
                code: 407,
                items: vec![],
            }),
            Command::Request(Request {
                verb: Verb::Exec,
                cmd_id: "2".into(),
                no_resp: false,
                meta: Meta::default(),
                correlator: Some("c".into()),
                items: vec![Item {
                    target: Some(Location::of("./Device/X")),
                    data: Some(" a<b ".into()),
                    meta: Meta::of_format("chr"),
                    ..Item::default()
                }],
            }),
        ],
        is_final: true,
        spoilt: vec![],
    };
    let want = "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
        <SessionID>4F</SessionID><MsgID>2</MsgID><Target><LocURI>DEVICE</LocURI><LocName>u</LocName></Target>\
        <Source><LocURI>https://mdm.example/omadm</LocURI></Source><Meta><MaxMsgSize xmlns=\"syncml:metinf\">8\
        </MaxMsgSize><MaxObjSize xmlns=\"syncml:metinf\">9</MaxObjSize></Meta></SyncHdr><SyncBody><Status>\
        <CmdID>1</CmdID><MsgRef>2</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><TargetRef>t</TargetRef>\
        <SourceRef>s</SourceRef><Chal><Meta><Format xmlns=\"syncml:metinf\">b64</Format>\
        <Type xmlns=\"syncml:metinf\">syncml:auth-md5</Type></Meta></Chal><Data>407</Data></Status><Exec>\
        <CmdID>2</CmdID><Correlator>c</Correlator><Item><Target><LocURI>./Device/X</LocURI></Target><Meta>\
        <Format xmlns=\"syncml:metinf\">chr</Format></Meta><Data> a&lt;b </Data></Item></Exec><Final/>\
        </SyncBody></SyncML>";
    let got = message.encode(ContentType::DmXml).unwrap();
    assert_eq!(String::from_utf8(got.clone()).unwrap(), want);
    assert_eq!(Message::parse(&got, ContentType::DmXml).unwrap(), message);
}

#[test]
fn prefixes_white_space_and_other_namespaces_are_taken() {
    let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<s:SyncML xmlns:s='SYNCML:SYNCML1.1' xmlns:m='syncml:metinf'>\
        <s:SyncHdr><s:VerDTD> 1.2 </s:VerDTD><s:VerProto>DM/1.2</s:VerProto><s:SessionID>A</s:SessionID>\
        <s:MsgID>\n3\n</s:MsgID><s:Target><s:LocURI>t</s:LocURI></s:Target><s:Source><s:LocURI>d</s:LocURI></s:Source>\
        <s:Meta><m:MaxMsgSize>16384</m:MaxMsgSize></s:Meta></s:SyncHdr><s:SyncBody><s:Vendor><s:CmdID>4</s:CmdID>\
        </s:Vendor><s:Final/></s:SyncBody></s:SyncML>";
    let message = Message::parse(text.as_bytes(), ContentType::Xml).unwrap();
    assert_eq!((message.header.msg_id, message.header.meta.max_msg_size), (3, Some(16384)));
    assert_eq!(message.header.ver_dtd, "1.2");
    assert_eq!(message.body, [Command::Other { name: "Vendor".into(), cmd_id: "4".into() }]);
}

/// A message with one more Status at its end, in XML and where WBXML can say the same in WBXML too.
fn beside(body: &str) -> Message {
    let good = "<Status><CmdID>77</CmdID><MsgRef>1</MsgRef><CmdRef>7</CmdRef><Cmd>Get</Cmd><Data>200</Data></Status>";
    let mut message = parse(&format!("{body}{good}<Final/>")).unwrap();
    assert!(message.is_final);
    let Some(Command::Status(status)) = message.body.pop() else { panic!("{:?}", message.body) };
    assert_eq!((status.cmd_ref.as_str(), status.code), ("7", 200));
    message
}

#[test]
fn one_bad_command_does_not_spoil_the_message() {
    for (row, body, want) in [
        ("no number", "<Alert><Data>1201</Data></Alert>", "Alert: CmdID is missing"),
        ("alert without code", "<Alert><CmdID>1</CmdID></Alert>", "Alert: Data is missing"),
        ("an empty code", "<Alert><CmdID>1</CmdID><Data> </Data></Alert>", "Alert: Data is missing"),
        ("code not a number", "<Alert><CmdID>1</CmdID><Data>+12</Data></Alert>", "Data of Alert: not a number"),
        ("status without reference", "<Status><CmdID>1</CmdID><Data>200</Data></Status>", "Status: MsgRef is missing"),
        (
            "a status that is none",
            "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>2</CmdRef><Cmd>Get</Cmd><Data>2e2</Data></Status>",
            "Data of Status: not a number",
        ),
        ("results of nothing", "<Results><CmdID>1</CmdID><MsgRef>1</MsgRef></Results>", "Results: CmdRef is missing"),
        ("a group without number", "<Atomic><Get/></Atomic>", "Atomic: CmdID is missing"),
        ("an unknown one without number", "<Vendor><X/></Vendor>", "command: CmdID is missing"),
        ("a long number", &format!("<Get><CmdID>{}</CmdID></Get>", "1".repeat(65)), "bytes of CmdID: more than 64"),
    ] {
        let message = beside(body);
        assert!(message.body.iter().all(|c| matches!(c, Command::Unreadable { .. })), "{row}: {:?}", message.body);
        assert_eq!(message.spoilt[0].why, want, "{row}");
    }
    let many = "<Get><CmdID>1</CmdID></Get>".repeat(MAX_COMMANDS + 1);
    assert_eq!(parse(&many), Err(Error::Limit { what: "commands in a message", limit: MAX_COMMANDS }));
    let nested = format!("{}{}", "<Atomic><CmdID>1</CmdID>".repeat(40), "</Atomic>".repeat(40));
    assert!(matches!(parse(&nested), Err(Error::Limit { .. })));
    assert_eq!(beside(&"<Alert/>".repeat(100)).spoilt.len(), 16);
}

#[test]
fn one_bad_part_does_not_spoil_its_command() {
    let status = |rest: &str| format!("<Status><CmdRef>2</CmdRef>{rest}<Data>200</Data></Status>");
    for (row, body, want) in [
        ("a status's name and number", status("<MsgRef>1</MsgRef>"), "Status: CmdID is missing"),
        ("a status's message", status("<CmdID>1</CmdID><Cmd>Get</Cmd><MsgRef>x</MsgRef>"), "MsgRef: not a number"),
        (
            "a status's challenge",
            status("<CmdID>1</CmdID><MsgRef>1</MsgRef><Cmd>Get</Cmd><Chal/>"),
            "Chal: Meta is missing",
        ),
        (
            "a status's item",
            status("<CmdID>1</CmdID><MsgRef>1</MsgRef><Cmd>Get</Cmd><Item><Source/></Item>"),
            "Target or Source: LocURI is missing",
        ),
    ] {
        let message = beside(&body);
        assert!(matches!(&message.body[..], [Command::Status(s)] if s.cmd_ref == "2" && s.code == 200), "{row}");
        assert_eq!(message.spoilt[0].why, want, "{row}");
        assert_eq!(message.spoilt[0].cmd_ref.as_deref(), Some("2"), "{row}");
    }
    const GOOD: &str = "<Item><Source><LocURI>./Good</LocURI></Source><Data>1</Data></Item>";
    for (row, item, want, items) in [
        ("mark-up in Data", "<Source><LocURI>./A</LocURI></Source><Data>a<b/>c</Data>", "Data: unexpected b", 1),
        ("no LocURI", "<Source><LocName>a</LocName></Source><Data>2</Data>", "Target or Source: LocURI is missing", 1),
        ("a size in words", "<Meta><Size>big</Size></Meta><Data>2</Data>", "Size: not a number", 2),
        ("a size without end", "<Meta><Size>99999999999999999999</Size></Meta>", "Size: not a number in range", 2),
    ] {
        let results = format!("<Results><CmdID>1</CmdID><CmdRef>2</CmdRef><Item>{item}</Item>{GOOD}</Results>");
        let message = beside(&results);
        let [Command::Results(results)] = &message.body[..] else { panic!("{row}: {:?}", message.body) };
        assert_eq!((results.items.len(), message.spoilt[0].why.as_str()), (items, want), "{row}");
        // An alert is known by its type, whatever its item cannot say.
        let message = beside(&format!("<Alert><CmdID>1</CmdID><Data>1226</Data><Item>{item}</Item></Alert>"));
        let [Command::Alert(alert)] = &message.body[..] else { panic!("{row}: {:?}", message.body) };
        assert_eq!((alert.items.len(), message.spoilt[0].why.as_str()), (1, want), "{row}");
    }
}

#[test]
fn text_that_is_none_does_not_spoil_the_message() {
    let head = encoded("<Alert><CmdID>1</CmdID><Data>1226</Data><Item><Data>@</Data></Item></Alert>");
    let (before, after) = head.split_at(head.find('@').unwrap());
    for (row, bad, want) in [
        ("NUL by number", &b"a&#0;b"[..], "a\u{FFFD}b"),
        ("a control character", b"a\x01b", "a\u{FFFD}b"),
        ("by number", b"a&#x1F;b", "a\u{FFFD}b"),
        ("no character", b"a&#xD800;b", "a\u{FFFD}b"),
        ("an entity of its own", b"a&nbsp;b", "a\u{FFFD}b"),
        ("Latin 1", b"B\xFCro", "B\u{FFFD}ro"),
        ("cut UTF-8", b"a\xC3", "a\u{FFFD}"),
    ] {
        let bytes = [before.as_bytes(), bad, &after.as_bytes()[1..]].concat();
        let message = Message::parse(&bytes, ContentType::DmXml).unwrap();
        let [Command::Alert(alert)] = &message.body[..] else { panic!("{row}") };
        assert_eq!(alert.items[0].data.as_deref(), Some(want), "{row}");
        let why = "Data: not UTF-8, or a character that XML does not allow";
        assert_eq!((message.spoilt.len(), message.spoilt[0].why.as_str()), (1, why), "{row}");
    }
    let ampersand = [before.as_bytes(), b"Tom & Co", &after.as_bytes()[1..]].concat();
    let message = Message::parse(&ampersand, ContentType::DmXml).unwrap();
    assert!(matches!(&message.body[..], [Command::Alert(a)] if a.items[0].data.as_deref() == Some("Tom & Co")));
}

#[test]
fn what_only_looks_strange_is_read_as_it_stands() {
    for (row, data, want) in [
        ("CDATA", "<![CDATA[<a>]]>", "<a>"),
        ("CDATA cut in two", "<![CDATA[a]]]]><![CDATA[>b]]>", "a]]>b"),
        ("its end in the open", "a]]>b", "a]]>b"),
        ("nothing", "", ""),
    ] {
        let text =
            encoded(&format!("<Alert><CmdID>1</CmdID><Data>1226</Data><Item><Data>{data}</Data></Item></Alert>"));
        for mark in ["", "\u{FEFF}"] {
            let message = Message::parse(format!("{mark}{text}").as_bytes(), ContentType::DmXml).unwrap();
            let [Command::Alert(alert)] = &message.body[..] else { panic!("{row}") };
            assert_eq!((alert.items[0].data.as_deref(), message.spoilt.len()), (Some(want), 0), "{row}");
        }
    }
}

#[test]
fn wbxml_is_read_as_leniently() {
    let body =
        "<Alert><CmdID>1</CmdID><Data>1226</Data><Item><Data>@@@</Data></Item></Alert><Alert><CmdID>2</CmdID></Alert>";
    let mut written = parse(body).unwrap();
    written.spoilt.clear();
    let bytes = written.encode(ContentType::DmWbxml).unwrap();
    let at = bytes.windows(3).position(|three| three == b"@@@").unwrap();
    for bad in [&b"\xFF\xFE\xFD"[..], b"a\x01b", b"\xC3\xC3\xC3"] {
        let mut bytes = bytes.clone();
        bytes[at..at + 3].copy_from_slice(bad);
        let message = Message::parse(&bytes, ContentType::DmWbxml).unwrap();
        let [Command::Alert(alert), Command::Unreadable { cmd_id, .. }] = &message.body[..] else {
            panic!("{message:?}")
        };
        assert!(alert.items[0].data.as_deref().unwrap().contains('\u{FFFD}'));
        assert_eq!((cmd_id.as_str(), message.spoilt.len()), ("2", 2));
    }
}

#[test]
fn a_message_without_a_header_that_can_be_read_is_refused() {
    let whole = encoded("");
    for (row, from, to) in [
        ("no session", "<SessionID>5</SessionID>", ""),
        ("MsgID in words", "<MsgID>1</MsgID>", "<MsgID>one</MsgID>"),
        ("from nobody", "<Source><LocURI>d</LocURI></Source>", ""),
        ("from nowhere", "<Source><LocURI>d</LocURI></Source>", "<Source/>"),
        ("no end", "</SyncBody>", ""),
        ("bare mark-up that is never closed", "<SyncBody>", "<SyncBody><Alert><Data>a<b</Data></Alert>"),
    ] {
        assert!(whole.contains(from), "{row}: {whole}");
        assert!(Message::parse(whole.replacen(from, to, 1).as_bytes(), ContentType::DmXml).is_err(), "{row}");
    }
    let wide: Vec<u8> = whole.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(Message::parse(&[&[0xFF, 0xFE][..], &wide].concat(), ContentType::DmXml).is_err());
    // What nobody needs may be as it likes.
    let odd = whole.replacen("</SyncHdr>", "<Cred/><Meta><MaxMsgSize>much</MaxMsgSize></Meta></SyncHdr>", 1);
    let message = Message::parse(odd.as_bytes(), ContentType::DmXml).unwrap();
    assert_eq!((message.header.meta.max_msg_size, message.spoilt.len()), (None, 2));
}

#[test]
fn text_that_xml_cannot_carry_never_goes_out_altered() {
    let mut message = parse("<Final/>").unwrap();
    message.header.session_id = "a\u{1}".into();
    for kind in [ContentType::DmXml, ContentType::DmWbxml] {
        assert_eq!(message.encode(kind), Err(Error::Unencodable { element: "text of SyncML" }));
    }
}

#[test]
fn credentials_are_not_shown() {
    let cred = Cred { meta: Meta::default(), data: "c2VjcmV0".into() };
    assert!(!format!("{cred:?}").contains("c2Vj"));
}

#[test]
fn wbxml_of_another_document_type_is_refused() {
    let mut bytes = parse("<Final/>").unwrap().encode(ContentType::DmWbxml).unwrap();
    assert_eq!(&bytes[..5], [0x02, 0xA4, 0x01, 0x6A, 0x00]);
    bytes[2] = 0x02;
    assert_eq!(Message::parse(&bytes, ContentType::DmWbxml), Err(Error::PublicId("0x1202".into())));
}
