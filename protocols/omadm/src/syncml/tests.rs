use proptest::prelude::*;

use super::*;

const HEADER: &str = "<SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>7</SessionID><MsgID>1</MsgID>\
    <Target><LocURI>https://mdm.example/omadm</LocURI></Target><Source><LocURI>DEVICE</LocURI></Source></SyncHdr>";

fn parse(body: &str) -> Result<Message, Error> {
    let text = format!("<SyncML xmlns=\"SYNCML:SYNCML1.2\">{HEADER}<SyncBody>{body}</SyncBody></SyncML>");
    Message::parse(text.as_bytes(), ContentType::DmXml)
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

#[test]
fn what_is_not_a_message_is_refused() {
    let missing = |within, element| Error::Missing { within, element };
    for (row, body, want) in [
        ("no number", "<Alert><Data>1201</Data></Alert>", missing("Alert", "CmdID")),
        ("alert without code", "<Alert><CmdID>1</CmdID></Alert>", missing("Alert", "Data")),
        (
            "code not a number",
            "<Alert><CmdID>1</CmdID><Data>+12</Data></Alert>",
            Error::Value { element: "Data of Alert", reason: "not a number" },
        ),
        (
            "mark-up in Data",
            "<Replace><CmdID>1</CmdID><Item><Data><b/></Data></Item></Replace>",
            Error::Unexpected { within: "Data", found: "b".into() },
        ),
        ("status without reference", "<Status><CmdID>1</CmdID></Status>", missing("Status", "MsgRef")),
    ] {
        assert_eq!(parse(body), Err(want), "{row}");
    }
    let many = "<Get><CmdID>1</CmdID></Get>".repeat(MAX_COMMANDS + 1);
    assert_eq!(parse(&many), Err(Error::Limit { what: "commands in a message", limit: MAX_COMMANDS }));
    let nested = format!("{}{}", "<Atomic><CmdID>1</CmdID>".repeat(40), "</Atomic>".repeat(40));
    assert!(matches!(parse(&nested), Err(Error::Limit { .. })));
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
